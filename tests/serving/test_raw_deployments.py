"""InferenceServices without Knative on KServe: what they are made of, and the way to the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_place import Place, eventually

from installer.cluster.client import Cluster
from installer.core.objects import Object, Ref, conditions
from installer.sandbox import lifecycle
from installer.sandbox.script import ImageRule, Script
from installer.serving.inference_service import KIND

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

API_VERSION = "serving.kserve.io/v1beta1"


@pytest.fixture(scope="module")
def kserve(sandbox_factory: Any, shared: Path) -> Iterator[Place]:
    """KServe 0.11.2 on Kubernetes 1.25, installed by the real command."""
    info = sandbox_factory("1.25.3", fresh=True)
    cluster = Cluster.connect(kubeconfig=str(info.kubeconfig))
    made = Place(info, cluster, shared / "upstream")
    made.install("kserve-0.11.2")
    yield made
    cluster.close()
    lifecycle.down(info.name)


def raw(place: Place, name: str, image: str = "example.com/model:1") -> Ref:
    """An InferenceService that asks for a plain Deployment."""
    body: Object = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"},
        },
        "spec": {"predictor": {"maxReplicas": 3, "containers": [{"name": "m", "image": image}]}},
    }
    place.cluster.create(body)
    return Ref(API_VERSION, KIND, "default", name)


@pytest.fixture(scope="module")
def ready(kserve: Place) -> Ref:
    """One that is ready."""
    ref = raw(kserve, "plain")
    kserve.ready(ref)
    return ref


def test_it_is_made_of_kubernetes_own_kinds_alone(kserve: Place, ready: Ref) -> None:
    tree = kserve.trace(ready.name).tree
    kinds = [node.ref.kind for node in tree.walk()]
    assert {"Deployment", "ReplicaSet", "Pod", "HorizontalPodAutoscaler", "Ingress"} <= set(kinds)
    assert [n.ref for n in tree.walk() if "knative" in n.ref.group] == []
    assert {node.state for node in tree.walk() if node.ref.kind == "Deployment"} == {"ready"}


def test_every_link_to_its_model_holds_and_the_model_answers(kserve: Place, ready: Ref) -> None:
    report = kserve.trace(ready.name)
    assert report.settled, report
    kinds = [hop.kind for hop in report.outside.hops]
    assert "ingress" in kinds
    assert not {"revision", "activator", "virtual-service"} & set(kinds)
    assert (kinds[-1], report.outside.hops[-1].verdict) == ("request", "ok")


def test_verify_asks_it_through_the_ingress(kserve: Place, ready: Ref) -> None:
    code, out, err = kserve.run("verify", "--use", f"default/{ready.name}")
    assert code == 0, out + err
    assert "plain-default.example.com" in out + err


def test_an_image_that_is_not_there_is_blamed_on_its_deployment(kserve: Place) -> None:
    rule = ImageRule("example.com/missing", fail="ErrImagePull")
    kserve.behave(Script(images=(rule,)))
    ref = raw(kserve, "missing", "example.com/missing:1")
    kserve.blamed(ref.name, "model", "ErrImagePull", "ImagePullBackOff")
    found = kserve.cluster.get(ref)
    assert found is not None
    assert conditions(found)["IngressReady"]["status"] == "False"
    kserve.behave(Script())
    kserve.remove(ref)


def test_without_its_ingress_the_missing_route_is_named(kserve: Place, ready: Ref) -> None:
    kserve.behave(Script(paused=("kfserving-controller",)))
    gone = Ref("networking.k8s.io/v1", "Ingress", ready.namespace, ready.name)
    kserve.cluster.delete(gone)
    eventually(lambda: kserve.cluster.get(gone) is None, f"{gone} is gone")
    report = kserve.blamed(ready.name, "virtual-service", "NotFound")
    assert report.outside.first_unwell is not None
    assert "Ingress" in report.outside.first_unwell.object
    kserve.behave(Script())

"""From KFServing to KServe: 0.5.1 → 0.6.1 → 0.7.0 with models in three namespaces."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from harness import RELEASE, MakePlace, Place, follow

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.readiness import readiness
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Object, Ref, dig
from installer.operations.upgrade_serving import ask_all
from installer.plan.api_group import counterpart
from installer.sandbox import script
from installer.sandbox.script import Script
from installer.serving.inference_service import of_object

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

BETWEEN, TARGET = "kfserving-0.6.1", "kserve-0.7.0"
OLD, NEW = "serving.kubeflow.org", "serving.kserve.io"
PLACES = ("one", "two", "three")
MODELS = [Ref(f"{OLD}/v1beta1", "InferenceService", place, "flowers") for place in PLACES]
TRAINED = [Ref(f"{OLD}/v1alpha1", "TrainedModel", place, "extra") for place in PLACES]
MOVED = [counterpart(ref, NEW) for ref in MODELS]
MOVED_TRAINED = [counterpart(ref, NEW) for ref in TRAINED]
CONFIG = Ref("v1", "ConfigMap", "kfserving-system", "inferenceservice-config")
SPACES = [Ref("v1", "Namespace", "", name) for name in (*PLACES, CONFIG.namespace)]
PULL = Ref("v1", "Secret", "one", "registry")
ACCOUNT = Ref("v1", "ServiceAccount", "one", "reader")
KNATIVE = [Ref("serving.knative.dev/v1", "Service", p, "flowers-predictor-default") for p in PLACES]


@dataclass(slots=True)
class Way(Place):
    """A place at BETWEEN. before: the objects in the old group; pods: of models by uid; around:
    what the models are surrounded by."""

    before: dict[Ref, Object]
    pods: set[str]
    around: dict[Ref, Object | None]


def create(cluster: Cluster, ref: Ref, spec: Object, **metadata: Any) -> Object:
    body = {"apiVersion": ref.api_version, "kind": ref.kind, "spec": spec}
    return cluster.create(
        {**body, "metadata": {"name": ref.name, "namespace": ref.namespace, **metadata}}
    )


def populate(cluster: Cluster) -> None:
    tensorflow = {"tensorflow": {"storageUri": "gs://models/flowers"}}
    for ref in MODELS:
        space = {"name": ref.namespace, "labels": {"istio-injection": "disabled"}}
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": space})
        if ref.namespace == "three":  # made by the API version that only KFServing has
            alpha = Ref(f"{OLD}/v1alpha2", ref.kind, ref.namespace, ref.name)
            create(cluster, alpha, {"default": {"predictor": tensorflow}})
        else:
            said = {"team": "a"}
            notes = {"example.com/note": "kept"}
            create(cluster, ref, {"predictor": tensorflow}, labels=said, annotations=notes)
    wait_ready(cluster, MODELS, deadline=120, cancel=Cancel())
    model = {"framework": "sklearn", "storageUri": "gs://models/extra", "memory": "1Gi"}
    for ref, owner in zip(TRAINED, MODELS, strict=True):
        reference = {
            "apiVersion": owner.api_version,
            "kind": owner.kind,
            "name": owner.name,
            "uid": cluster.get(owner)["metadata"]["uid"],  # type: ignore[index]
            "controller": True,
        }
        spec = {"inferenceService": "flowers", "model": model}
        finalizers = ["trainedmodel.finalizer"]
        create(cluster, ref, spec, ownerReferences=[reference], finalizers=finalizers)
    secret = {"name": "aws", "namespace": "one", "annotations": {f"{OLD}/s3-endpoint": "minio"}}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": secret})
    pull = {"name": PULL.name, "namespace": PULL.namespace}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": pull})
    account = {"name": ACCOUNT.name, "namespace": ACCOUNT.namespace}
    names = {"secrets": [{"name": "aws"}], "imagePullSecrets": [{"name": PULL.name}]}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account, **names})
    config = cluster.get(CONFIG)
    assert config is not None
    storage = {**json.loads(config["data"]["storageInitializer"]), "memoryLimit": "2Gi"}
    edited = {"storageInitializer": json.dumps(storage), "team": "a"}
    cluster.patch(CONFIG, {"data": edited}, manager="kubectl-edit")


def model_pods(cluster: Cluster) -> set[str]:
    return {
        p["metadata"]["uid"] for place in PLACES for p in cluster.list("v1", "Pod", place).items
    }


@pytest.fixture(scope="module")
def way(place: MakePlace) -> Way:
    made = place()
    first = made.installer.run("install", RELEASE)
    assert first.code == 0, first.stderr
    cluster = made.cluster()
    populate(cluster)
    # two hops lead to TARGET: this ends after the first
    done = made.installer.run("upgrade", TARGET, "--pause-between-hops", timeout=600)
    assert done.code == 0, done.finished
    assert ledgers.read(cluster).release == BETWEEN
    before = {ref: cluster.get(ref) for ref in (*MODELS, *TRAINED)}
    assert None not in before.values()
    around = {ref: cluster.get(ref) for ref in (*SPACES, PULL, ACCOUNT)}
    return Way(made.sandbox, made.installer, before, model_pods(cluster), around)  # type: ignore[arg-type]


@contextmanager
def asked_all_the_time(cluster: Cluster) -> Iterator[list[str]]:
    """What the models did not answer meanwhile."""
    services = [of_object(obj) for ref in MODELS if (obj := cluster.get(ref)) is not None]
    failed: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            said = ask_all(cluster, services, Cancel())
            failed.extend(f"{n}: {m.says}" for n, m in said.items() if m.origin != "model")
            over.wait(0.2)

    worker = threading.Thread(target=ask)
    worker.start()
    yield failed
    over.set()
    worker.join(60)


def test_what_cannot_be_moved_is_named_before_anything_is_touched(way: Way) -> None:
    cluster = way.cluster()
    # the schema of serving.kserve.io knows no such predictor; that of 0.6.1 keeps what it does not
    crd = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", f"trainedmodels.{OLD}")
    assert cluster.get(crd) is not None
    odd = Ref(f"{OLD}/v1alpha1", "TrainedModel", "two", "odd")
    create(
        cluster,
        odd,
        {
            "inferenceService": "flowers",
            "model": {"framework": "sklearn", "storageUri": "gs://x/y", "memory": "1Gi"},
        },
        finalizers=["example.com/held"],
    )
    cluster.delete(odd)
    refused = way.installer.run("upgrade", TARGET, timeout=600)
    assert (refused.code, refused.finished["error"]["kind"]) == (3, "not-movable")
    assert "TrainedModel two/odd: is being deleted" in refused.finished["error"]["message"]
    assert cluster.get(Ref("v1", "Namespace", "", "kserve")) is None
    cluster.patch(odd, {"metadata": {"finalizers": None}})


def test_one_can_be_moved_first_and_its_pods_go_on_serving_under_the_new_owner(way: Way) -> None:
    cluster = way.cluster()
    # KServe's controller writes the template anew, which Knative rolls out as it does any other
    # change: with Knative's controller held back, what the move itself does is seen
    script.write(way.sandbox.script, Script(paused=("knative-controller",)))
    done = way.installer.run("upgrade", TARGET, "--only", "one/flowers", timeout=600)
    assert done.code == 0, done.finished
    assert owner_of(cluster, KNATIVE[0]) == uid(cluster, MOVED[0])
    assert model_pods(cluster) == way.pods
    assert cluster.get(MOVED[1]) is None
    assert all(cluster.get(ref) is not None for ref in MODELS)
    said = [event["message"] for event in done.of("warning")]
    assert "2 more InferenceServices are in serving.kubeflow.org" in said
    script.write(way.sandbox.script, Script())


def uid(cluster: Cluster, ref: Ref) -> str:
    return str(dig(cluster.get(ref), "metadata", "uid", default="none"))


def owner_of(cluster: Cluster, ref: Ref) -> str:
    return str(dig(cluster.get(ref), "metadata", "ownerReferences", 0, "uid", default=""))


def test_it_can_be_undone_while_the_old_ones_are_there(way: Way) -> None:
    cluster = way.cluster()
    back = way.installer.run("rollback", timeout=600)
    assert back.code == 0, back.finished
    said = [event["message"] for event in back.of("warning")]
    assert any(message.startswith("cert-manager stays at 1.3.1") for message in said)
    assert ledgers.read(cluster).release == BETWEEN
    for ref, knative in zip(MODELS, KNATIVE, strict=True):
        assert uid(cluster, ref) == way.before[ref]["metadata"]["uid"]
        assert owner_of(cluster, knative) == uid(cluster, ref)
        assert readiness(cluster.get(ref)).ready
    assert cluster.get(MOVED[0]) is None
    assert all(cluster.get(ref) is not None for ref in TRAINED)


def test_a_move_that_is_killed_goes_on_and_every_model_answers_throughout(way: Way) -> None:
    cluster = way.cluster()
    with asked_all_the_time(cluster) as failed:
        process = way.installer.start("upgrade", TARGET)
        follow(process, lambda event: event["event"] == "moved")
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        done = way.installer.run("upgrade", TARGET, timeout=600)
        assert done.code == 0, done.finished
    assert failed == []
    ledger = ledgers.read(cluster)
    assert (ledger.release, ledger.before, ledger.state) == (TARGET, BETWEEN, "installed")
    assert [str(ref) for ref in (*MODELS, *TRAINED) if cluster.get(ref) is not None] == []
    for ref, knative in zip(MOVED, KNATIVE, strict=True):
        found = cluster.get(ref)
        assert found is not None
        assert readiness(found).ready
        assert owner_of(cluster, knative) == found["metadata"]["uid"]
        old = way.before[counterpart(ref, OLD)]
        for key in ("labels", "annotations"):
            kept = {**old["metadata"].get(key, {})}
            kept.pop("kubectl.kubernetes.io/last-applied-configuration", None)
            assert kept.items() <= found["metadata"].get(key, {}).items()
        uri = found["spec"]["predictor"]["tensorflow"]["storageUri"]
        assert uri == "gs://models/flowers"
    for ref, owner in zip(MOVED_TRAINED, MOVED, strict=True):
        found = cluster.get(ref)
        assert found is not None
        assert found["spec"] == way.before[counterpart(ref, OLD)]["spec"]
        assert owner_of(cluster, ref) == uid(cluster, owner)
    secret = cluster.get(Ref("v1", "Secret", "one", "aws"))
    assert secret is not None
    assert secret["metadata"]["annotations"][f"{NEW}/s3-endpoint"] == "minio"


def test_namespaces_pull_secrets_and_accounts_are_not_touched(way: Way) -> None:
    cluster = way.cluster()
    assert {ref: cluster.get(ref) for ref in way.around} == way.around
    labels = way.around[SPACES[-1]]["metadata"]["labels"]  # type: ignore[index]
    assert "control-plane" in labels


def test_edits_of_the_config_map_are_in_the_one_of_the_new_namespace(way: Way) -> None:
    found = way.cluster().get(Ref("v1", "ConfigMap", "kserve", CONFIG.name))
    assert found is not None
    storage = json.loads(found["data"]["storageInitializer"])
    assert (storage["memoryLimit"], storage["image"][-7:]) == ("2Gi", ":v0.7.0")
    assert found["data"]["team"] == "a", "which no release knows"


def test_the_old_controller_and_its_webhooks_are_gone_and_the_new_release_is_whole(
    way: Way,
) -> None:
    cluster = way.cluster()
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        names = [
            item["metadata"]["name"]
            for item in cluster.list("admissionregistration.k8s.io/v1", kind).items
        ]
        assert not [name for name in names if name.endswith(OLD)]
    controller = Ref("apps/v1", "StatefulSet", "kfserving-system", "kfserving-controller-manager")
    assert cluster.get(controller) is None
    assert cluster.get(Ref("v1", "Namespace", "", "kfserving-system")) is not None
    assert way.installer.status("--exit-code")[0] == 0
    again = way.installer.run("upgrade", TARGET)
    assert (again.code, again.finished["outcome"]) == (0, "unchanged")

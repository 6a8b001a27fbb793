"""The first broken link, against recorded clusters and with one link taken out at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from recorded import (
    RECORDINGS,
    activator,
    endpoints,
    gateway,
    gateway_service,
    ingress_gateway,
    local_gateway,
    objects_of,
    pod,
    scene_of,
)

from installer.core.objects import Object
from installer.serving import path
from installer.serving.scene import Scene

CASES = f"{RECORDINGS}/inferenceservice"
SAMPLE = f"{CASES}/flowers-sample/objects"
REVISION = "flowers-sample-predictor-default-86n5r"


def _around() -> list[Object]:
    return [*ingress_gateway(), *local_gateway(), *activator()]


def _without(objects: Iterable[Object], kind: str, name: str) -> list[Object]:
    return [o for o in objects if (o["kind"], o["metadata"]["name"]) != (kind, name)]


def _both(scene: Scene) -> list[path.Path]:
    return [path.outside(scene), path.inside(scene)]


def _blamed(found: path.Path) -> tuple[str, str]:
    assert found.first_broken is not None, found
    return found.first_broken.kind, found.first_broken.reason


def test_the_sample_is_followed_from_the_gateway_to_the_model(shared: Path) -> None:
    found = path.outside(scene_of([*objects_of(shared / SAMPLE), *_around()]))
    assert [hop.kind for hop in found.hops] == [
        "host",
        "gateway",
        "gateway-pods",
        "listener",
        "virtual-service",
        "gateway",
        "gateway-pods",
        "listener",
        "virtual-service",
        "revision-service",
        "activator",
        "private-service",
        "revision",
        "deployment",
        "pod",
        "queue-proxy",
        "model",
    ]
    assert {hop.verdict for hop in found.hops} == {"ok"}


def test_from_inside_it_begins_with_its_name_in_cluster_dns(shared: Path) -> None:
    found = path.inside(scene_of([*objects_of(shared / SAMPLE), *_around()]))
    assert [hop.kind for hop in found.hops[:3]] == ["host", "internal-name", "gateway"]
    assert found.first_unwell is None


@pytest.mark.parametrize(
    ("folder", "kind", "reason"),
    [
        ("fail-crash-loop", "model", "CrashLoopBackOff"),
        ("fail-digest-missing", "model", "ImagePullBackOff"),
        ("fail-skip-resolution-missing", "model", "ImagePullBackOff"),
        ("fail-model-missing", "model-download", "CrashLoopBackOff"),
        ("fail-never-ready", "model", "ProgressDeadlineExceeded"),
        ("fail-tag-missing", "revision", "ContainerMissing"),
        ("fail-unschedulable", "pod", "Unschedulable"),
    ],
)
def test_each_recorded_failure_is_found_where_it_is(
    shared: Path, folder: str, kind: str, reason: str
) -> None:
    scene = scene_of([*objects_of(shared / CASES / folder / "objects"), *_around()])
    for found in _both(scene):
        assert _blamed(found) == (kind, reason)


def test_an_init_container_s_last_words_stand_in_for_the_empty_message(shared: Path) -> None:
    scene = scene_of([*objects_of(shared / CASES / "fail-model-missing" / "objects"), *_around()])
    broken = path.outside(scene).first_broken
    assert broken is not None
    assert "The path or model does not exist" in broken.says


def test_a_missing_local_gateway_is_seen_although_everything_is_ready(shared: Path) -> None:
    objects = objects_of(shared / CASES / "fail-cluster-local-gateway-missing" / "objects")
    around = _without(_around(), "Service", "cluster-local-gateway")
    around = _without(around, "Endpoints", "cluster-local-gateway")
    for found in _both(scene_of([*objects, *around])):
        assert _blamed(found) == ("gateway", "NoService")
        assert found.first_broken is not None
        assert found.first_broken.object == "Service istio-system/cluster-local-gateway"


def test_a_local_gateway_without_pods_is_seen_although_everything_is_ready(shared: Path) -> None:
    objects = objects_of(shared / CASES / "fail-cluster-local-gateway-no-pods" / "objects")
    around = _without(_around(), "Endpoints", "cluster-local-gateway")
    for found in _both(scene_of([*objects, *around, endpoints("cluster-local-gateway")])):
        assert _blamed(found) == ("gateway-pods", "NoEndpoints")


def test_a_later_kfserving_over_knative_0_18_points_at_a_service_that_is_elsewhere(
    shared: Path,
) -> None:
    objects = objects_of(shared / RECORDINGS / "upgrade" / "objects-after-apply")
    of_0_18 = [
        gateway_service("knative-local-gateway", "ingressgateway", 8081, "knative-serving"),
        gateway("knative-local-gateway", "ingressgateway", 8081),
    ]
    for found in _both(scene_of([*objects, *_around(), *of_0_18])):
        assert _blamed(found) == ("gateway", "NoService")
        assert found.first_broken is not None
        assert "there is one in namespace knative-serving" in found.first_broken.says


def test_at_zero_nothing_is_broken(shared: Path) -> None:
    folder = shared / CASES / "scale-to-zero" / "objects-at-zero"
    for found in _both(scene_of([*objects_of(folder), *_around()])):
        assert found.first_unwell is None
        assert [hop.reason for hop in found.hops if hop.verdict == "note"] == ["NoTraffic"] * 2


def _edit(objects: list[Object], kind: str, name: str, change: Callable[[Object], Any]) -> None:
    (obj,) = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    change(obj)


def _no_activator(objects: list[Object]) -> None:
    for name in ("activator-service", REVISION):
        _edit(objects, "Endpoints", name, lambda o: o.update(subsets=[]))


def _another_domain(objects: list[Object]) -> None:
    hosts = ["flowers-sample.default.svc.cluster.local", "flowers-sample.default.models.org"]
    _edit(objects, "VirtualService", "flowers-sample", lambda o: o["spec"].update(hosts=hosts))


def _other_gateways(objects: list[Object]) -> None:
    def change(obj: Object) -> None:
        obj["spec"]["gateways"] = ["edge/gateway"]

    _edit(objects, "VirtualService", "flowers-sample", change)


def _no_rule(objects: list[Object]) -> None:
    _edit(objects, "VirtualService", "flowers-sample", lambda o: o["spec"].update(http=[]))


def _deselected(objects: list[Object]) -> None:
    _edit(objects, "Endpoints", f"{REVISION}-private", lambda o: o.update(subsets=[]))


def _being_deleted(objects: list[Object]) -> None:
    def change(obj: Object) -> None:
        obj["metadata"]["deletionTimestamp"] = "2026-11-23T11:00:00Z"

    _edit(objects, "InferenceService", "flowers-sample", change)


def _no_gateway(objects: list[Object]) -> None:
    objects[:] = _without(objects, "Gateway", "knative-ingress-gateway")


def _no_virtual_service(objects: list[Object]) -> None:
    objects[:] = _without(objects, "VirtualService", "flowers-sample")


def _no_knative_virtual_service(objects: list[Object]) -> None:
    objects[:] = _without(objects, "VirtualService", "flowers-sample-predictor-default-ingress")


def _quota(objects: list[Object]) -> None:
    objects[:] = [o for o in objects if o["kind"] != "Pod" or "flowers" not in str(o)]
    refused = {
        "type": "ReplicaFailure",
        "status": "True",
        "message": 'pods "x" is forbidden: exceeded quota: small, requested: cpu=1',
    }

    def change(obj: Object) -> None:
        obj["status"] = {"conditions": [refused]}

    _edit(objects, "Deployment", f"{REVISION}-deployment", change)
    _edit(objects, "Endpoints", f"{REVISION}-private", lambda o: o.update(subsets=[]))


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (_no_activator, "activator", "NoEndpoints"),
        (_another_domain, "virtual-service", "OtherHost"),
        (_other_gateways, "virtual-service", "OtherGateway"),
        (_no_rule, "virtual-service", "NoRule"),
        (_no_virtual_service, "virtual-service", "NotFound"),
        (_no_knative_virtual_service, "virtual-service", "NotFound"),
        (_no_gateway, "listener", "NoGateway"),
        (_deselected, "private-service", "NoEndpoints"),
        (_being_deleted, "host", "Deleting"),
        (_quota, "deployment", "FailedCreate"),
    ],
)
def test_a_fault_in_one_link_is_named_as_that_link(
    shared: Path, fault: Callable[[list[Object]], None], kind: str, reason: str
) -> None:
    objects = copy.deepcopy([*objects_of(shared / SAMPLE), *_around()])
    fault(objects)
    assert _blamed(path.outside(scene_of(objects))) == (kind, reason)


def test_what_may_not_be_read_is_unknown_and_not_broken(shared: Path) -> None:
    objects = [o for o in [*objects_of(shared / SAMPLE), *_around()] if o["kind"] != "Pod"]
    scene = scene_of(objects, unseen={("Pod", "default"): "pods is forbidden"})
    found = path.outside(scene)
    assert found.first_broken is None
    (blind,) = [hop for hop in found.hops if hop.kind == "deployment"]
    assert "pods may not be listed" in blind.says


def test_a_redirect_to_https_is_told(shared: Path) -> None:
    around = _without(_around(), "Gateway", "knative-ingress-gateway")
    secured = gateway("knative-ingress-gateway", "ingressgateway", 80, tls={"httpsRedirect": True})
    found = path.outside(scene_of([*objects_of(shared / SAMPLE), *around, secured]))
    assert [hop.reason for hop in found.hops if hop.verdict == "note"] == ["HttpsRedirect"]


def test_traffic_that_is_split_is_followed_to_each_revision(shared: Path) -> None:
    objects = copy.deepcopy([*objects_of(shared / SAMPLE), *_around()])
    canary = copy.deepcopy(next(o for o in objects if _is(o, "Service", REVISION)))
    canary["metadata"]["name"] = "canary"
    canary["metadata"]["labels"]["serving.knative.dev/revision"] = "canary"

    def split(obj: Object) -> None:
        for rule in obj["spec"]["http"]:
            first = rule["route"][0]
            other = copy.deepcopy(first)
            first["weight"], other["weight"] = 90, 10
            other["destination"]["host"] = "canary.default.svc.cluster.local"
            rule["route"] = [other, first]

    _edit(objects, "VirtualService", "flowers-sample-predictor-default-ingress", split)
    found = path.outside(scene_of([*objects, canary]))
    assert _blamed(found) == ("revision", "NotFound")
    assert "Revision default/canary" in {hop.object for hop in found.hops}


def _is(obj: Object, kind: str, name: str) -> bool:
    return bool((obj["kind"], obj["metadata"]["name"]) == (kind, name))


def _raw() -> list[Object]:
    """What KServe makes of an InferenceService without Knative, well."""
    owner = [{"kind": "InferenceService", "name": "iris", "uid": "i", "controller": True}]
    labels = {"app": "isvc.iris-predictor"}
    host = "iris-models.example.com"
    backend = {"service": {"name": "iris-predictor", "port": {"number": 80}}}

    def made(version: str, kind: str, name: str, spec: Any, status: Any = None) -> Object:
        metadata: Object = {"name": name, "namespace": "models", "uid": f"{kind}-{name}"}
        metadata["ownerReferences"] = owner
        obj: Object = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
        return {**obj, "status": status or {}}

    template = {"metadata": {"labels": labels}}
    replica_set = made("apps/v1", "ReplicaSet", "iris-1", {"replicas": 1})
    replica_set["metadata"]["ownerReferences"] = [{"uid": "Deployment-iris-predictor"}]
    running = pod("iris-pod", "x", "models")
    running["metadata"]["ownerReferences"] = [{"uid": "ReplicaSet-iris-1"}]
    running["spec"] = {"containers": [{"name": "kserve-container"}]}
    return [
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "iris", "namespace": "models", "uid": "i"},
            "spec": {"predictor": {"sklearn": {}}},
            "status": {"url": f"http://{host}"},
        },
        made(
            "networking.k8s.io/v1",
            "Ingress",
            "iris",
            {"rules": [{"host": host, "http": {"paths": [{"path": "/", "backend": backend}]}}]},
        ),
        made("v1", "Service", "iris-predictor", {"selector": labels, "ports": [{"port": 80}]}),
        endpoints("iris-predictor", "iris-pod", namespace="models"),
        made(
            "apps/v1",
            "Deployment",
            "iris-predictor",
            {"replicas": 1, "template": template},
            {"readyReplicas": 1},
        ),
        replica_set,
        running,
    ]


def test_a_raw_deployment_is_followed_through_its_ingress() -> None:
    found = path.outside(scene_of([*_raw(), *ingress_gateway()]))
    assert [hop.kind for hop in found.hops] == [
        "host",
        "gateway",
        "gateway-pods",
        "listener",
        "ingress",
        "private-service",
        "deployment",
        "pod",
        "model",
    ]
    assert {hop.verdict for hop in found.hops} == {"ok"}


def test_a_raw_deployment_without_ready_pods_is_blamed_on_its_pods() -> None:
    objects = [o for o in _raw() if o["kind"] not in ("Endpoints", "Pod")]
    _edit(objects, "Deployment", "iris-predictor", lambda o: o.update(status={}))
    found = path.outside(scene_of([*objects, *ingress_gateway()]))
    assert found.first_unwell is not None
    assert (found.first_unwell.kind, found.first_unwell.reason) == ("deployment", "NoPods")


def _called(objects: list[Object], url: str, labels: dict[str, str]) -> list[Object]:
    changed = copy.deepcopy(objects)

    def change(obj: Object) -> None:
        obj["status"]["url"] = url
        obj["metadata"]["labels"] = labels

    _edit(changed, "InferenceService", "flowers-sample", change)
    return changed


def test_the_default_domain_of_knative_1_8_is_explained(shared: Path) -> None:
    objects = [*objects_of(shared / SAMPLE), *_around()]
    url = "http://flowers-sample.default.svc.cluster.local"
    found = path.outside(scene_of(_called(objects, url, {})))
    assert _blamed(found) == ("host", "ClusterLocal")
    assert found.first_broken is not None
    assert "config-domain" in found.first_broken.remedy
    wished = {"networking.knative.dev/visibility": "cluster-local"}
    assert path.outside(scene_of(_called(objects, url, wished))).first_broken is None


def test_https_is_followed_through_the_port_for_it(shared: Path) -> None:
    objects = [*objects_of(shared / SAMPLE), *_around()]
    objects = _called(objects, "https://flowers-sample.default.example.com", {})
    assert _blamed(path.outside(scene_of(objects))) == ("listener", "NoGateway")
    secured = gateway("knative-ingress-gateway", "ingressgateway", 443, tls={"mode": "SIMPLE"})
    objects = [*_without(objects, "Gateway", "knative-ingress-gateway"), secured]
    assert path.outside(scene_of(objects)).first_broken is None

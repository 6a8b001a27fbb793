"""One link broken at a time, on a real API server: `trace` names exactly that link."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from serving_place import Place, eventually

from installer.core.objects import Object, Ref, conditions
from installer.sandbox.script import ImageRule, ModelRule, Script

pytestmark = pytest.mark.cluster

NAME = "flowers-sample"
VIRTUAL_SERVICE = "networking.istio.io/v1beta1"
serving = pytest.mark.usefixtures("sample")
KFSERVING_061 = "raw.githubusercontent.com/kserve/kserve/v0.6.1/install/v0.6.1/kfserving.yaml"
KFSERVING, NET_ISTIO = "kfserving-controller", "net-istio-controller"


@pytest.fixture(scope="module")
def sample(place: Place) -> Ref:
    """An InferenceService that serves."""
    ref = place.create(NAME)
    place.ready(ref)
    return ref


def _recreated(obj: Object) -> Object:
    metadata = obj["metadata"]
    kept = {k: metadata[k] for k in ("name", "namespace", "labels", "annotations") if k in metadata}
    kept["ownerReferences"] = metadata.get("ownerReferences", [])
    found: Object = {**obj, "metadata": kept}
    found.pop("status", None)
    if "clusterIP" in found.get("spec", {}):
        found["spec"] = {
            k: v for k, v in found["spec"].items() if k not in ("clusterIP", "clusterIPs")
        }
    return found


@contextmanager
def _without(place: Place, ref: Ref, paused: str = "") -> Iterator[None]:
    """While an object is deleted, and whoever would make it again does nothing."""
    place.behave(Script(paused=(paused,) if paused else ()))
    there = place.cluster.get(ref)
    assert there is not None
    place.cluster.delete(ref)
    eventually(lambda: place.cluster.get(ref) is None, f"{ref} is gone")
    yield
    place.cluster.create(_recreated(there))
    place.behave(Script())


@contextmanager
def _scaled_to_zero(place: Place, namespace: str, name: str) -> Iterator[None]:
    ref = Ref("apps/v1", "Deployment", namespace, name)
    place.cluster.patch(ref, {"spec": {"replicas": 0}})
    yield
    place.cluster.patch(ref, {"spec": {"replicas": 1}})


def _holds_again(place: Place) -> None:
    eventually(lambda: place.trace(NAME).settled, "every link holds again")


@serving
def test_with_everything_well_every_link_holds_and_the_model_answers(place: Place) -> None:
    report = place.trace(NAME)
    assert report.settled, report
    assert [hop.kind for hop in report.outside.hops][:2] == ["host", "entry"]
    asked = report.outside.hops[-1]
    assert (asked.kind, asked.verdict) == ("request", "ok")
    assert report.curl[0].startswith("curl -H 'Host: flowers-sample.default.example.com'")


@serving
@pytest.mark.parametrize("name", ["istio-ingressgateway", "cluster-local-gateway"])
def test_a_gateway_without_endpoints(place: Place, name: str) -> None:
    with _scaled_to_zero(place, "istio-system", name):
        report = place.blamed(NAME, "gateway-pods", "NoEndpoints")
        assert report.first_broken is not None
        assert report.first_broken.object == f"Service istio-system/{name}"
    _holds_again(place)


@serving
def test_the_service_of_the_local_gateway_is_missing(place: Place) -> None:
    with _without(place, Ref("v1", "Service", "istio-system", "cluster-local-gateway")):
        place.blamed(NAME, "gateway", "NoService")
        report = place.trace(NAME)
        verdicts = {hop.kind: hop.verdict for hop in report.outside.hops}
        assert verdicts["request"] == "note"
        assert any(hop.reason == "ComponentAnswers" for hop in report.outside.hops)
    _holds_again(place)


@serving
def test_kfserving_0_6_1_over_knative_0_18_is_ready_and_every_request_is_lost(
    place: Place,
) -> None:
    """The trap recorded on a real cluster: net-istio 0.18 has that Service in another namespace."""
    config = Ref("v1", "ConfigMap", "kfserving-system", "inferenceservice-config")
    before = place.cluster.get(config)
    assert before is not None
    newer = yaml.load_all((place.mirror / KFSERVING_061).read_text(), yaml.CSafeLoader)
    (after,) = [obj for obj in newer if obj["kind"] == "ConfigMap" and "ingress" in obj["data"]]
    place.cluster.patch(config, {"data": after["data"]})
    try:
        place.blamed(NAME, "gateway", "NoService")
        report = place.trace(NAME)
    finally:
        place.cluster.patch(config, {"data": before["data"]})
    blamed = report.outside.first_broken
    assert blamed is not None
    assert blamed.object == "Service istio-system/knative-local-gateway"
    assert "knative-serving" in blamed.says
    assert conditions(report.service.obj)["Ready"]["status"] == "True"
    assert any(hop.reason == "ComponentAnswers" for hop in report.outside.hops), report.outside
    _holds_again(place)


@serving
def test_the_activator_is_down(place: Place) -> None:
    with _scaled_to_zero(place, "knative-serving", "activator"):
        place.blamed(NAME, "activator", "NoEndpoints")
    _holds_again(place)


@serving
@pytest.mark.parametrize(
    ("ref", "paused", "kind", "reason"),
    [
        (
            Ref(VIRTUAL_SERVICE, "VirtualService", "default", NAME),
            KFSERVING,
            "virtual-service",
            "NotFound",
        ),
        (
            Ref(VIRTUAL_SERVICE, "VirtualService", "default", f"{NAME}-predictor-default-ingress"),
            NET_ISTIO,
            "virtual-service",
            "NotFound",
        ),
        (
            Ref(VIRTUAL_SERVICE, "Gateway", "knative-serving", "knative-ingress-gateway"),
            "",
            "listener",
            "NoGateway",
        ),
    ],
)
def test_an_object_of_istio_is_missing(
    place: Place, ref: Ref, paused: str, kind: str, reason: str
) -> None:
    with _without(place, ref, paused):
        place.blamed(NAME, kind, reason)
    _holds_again(place)


@serving
def test_the_virtual_service_has_another_domain(healed: Place) -> None:
    healed.behave(Script(paused=(KFSERVING,)))
    ref = Ref(VIRTUAL_SERVICE, "VirtualService", "default", NAME)
    before = healed.cluster.get(ref)
    assert before is not None
    healed.cluster.patch(ref, {"spec": {"hosts": ["flowers-sample.default.models.org"]}})
    report = healed.blamed(NAME, "virtual-service", "OtherHost")
    assert report.first_broken is not None
    assert "flowers-sample.default.models.org" in report.first_broken.says
    healed.cluster.patch(ref, {"spec": {"hosts": before["spec"]["hosts"]}})
    _holds_again(healed)


@pytest.mark.parametrize(
    ("name", "rule", "kind", "reason"),
    [
        ("no-tag", ImageRule("9.9.9", fail="no-such-tag"), "revision", "ContainerMissing"),
        ("no-image", ImageRule("tensorflow", fail="ErrImagePull"), "model", "ImagePullBackOff"),
        ("crashes", ImageRule("tensorflow", fail="crash"), "model", "CrashLoopBackOff"),
        ("nowhere", ImageRule("tensorflow", fail="pending"), "pod", "Unschedulable"),
        (
            "silent",
            ImageRule("tensorflow", fail="never-ready"),
            "model",
            "ProgressDeadlineExceeded",
        ),
        (
            "no-model",
            ImageRule("storage-initializer", fail="crash"),
            "model-download",
            "CrashLoopBackOff",
        ),
    ],
)
def test_a_revision_that_does_not_start(
    healed: Place, name: str, rule: ImageRule, kind: str, reason: str
) -> None:
    healed.behave(Script(images=(rule,)))
    ref = healed.create(name, tensorflow={"runtimeVersion": "9.9.9"} if "tag" in name else {})
    healed.blamed(name, kind, reason)
    healed.remove(ref)


def test_a_quota_that_keeps_pods_from_being_made(place: Place) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tight"}}
    place.cluster.create(namespace)
    metadata = {"name": "small", "namespace": "tight"}
    limit = {"spec": {"hard": {"pods": "0"}}}
    place.cluster.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata} | limit
    )
    ref = place.create("refused", "tight")
    report = place.blamed("tight/refused", "deployment", "FailedCreate")
    assert report.first_broken is not None
    assert "exceeded quota" in report.first_broken.says
    assert report.first_broken.remedy == "raise the ResourceQuota of namespace tight"
    place.remove(ref)


def test_a_cold_start_that_never_ends(healed: Place) -> None:
    healed.behave(Script(autoscaler_speed=30))
    ref = healed.create("cold", minReplicas=0)
    healed.ready(ref)

    def at_zero() -> bool:
        return any(h.reason == "NoTraffic" for h in healed.trace("cold", send=False).outside.hops)

    eventually(at_zero, "it is at zero")
    assert healed.trace("cold", send=False).settled
    stuck = ImageRule("tensorflow", fail="never-ready")
    healed.behave(Script(images=(stuck,), autoscaler_speed=1))
    report = healed.trace("cold")
    asked = next(hop for hop in report.outside.hops if hop.kind == "request")
    assert asked.reason == "Timeout"
    healed.blamed("cold", "model", "NotListening", "ProgressDeadlineExceeded")
    healed.remove(ref)


@serving
@pytest.mark.parametrize(
    ("script", "verdict", "reason"),
    [
        (Script(login="https://dex.example.com/dex/auth?x=1"), "broken", "LoginRedirect"),
        (Script(models=(ModelRule(NAME, status=500, body="boom"),)), "ok", "Http500"),
    ],
)
def test_who_answers_a_request_is_told(
    healed: Place, script: Script, verdict: str, reason: str
) -> None:
    healed.behave(script)

    def look() -> bool:
        asked = healed.trace(NAME).outside.hops[-1]
        return (asked.kind, asked.verdict, asked.reason) == ("request", verdict, reason)

    eventually(look, reason)


@serving
def test_without_rights_to_pods_it_says_what_it_could_not_see(place: Place, tmp_path: Path) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["services", "endpoints", "configmaps", "nodes"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"]},
        {"apiGroups": ["serving.kubeflow.org", "serving.knative.dev"], "resources": ["*"]},
        {"apiGroups": ["networking.istio.io"], "resources": ["*"]},
        {"apiGroups": ["networking.internal.knative.dev"], "resources": ["*"]},
    ]
    group = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "watcher"},
        "rules": [{**rule, "verbs": ["get", "list"]} for rule in rules],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "watcher"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "watcher"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "watcher"}],
    }
    place.cluster.create(role)
    place.cluster.create(binding)
    as_watcher = place.impersonating("watcher", tmp_path)

    def look() -> dict[str, object] | None:
        code, out, _ = place.run("trace", NAME, "-o", "json", kubeconfig=as_watcher)
        return json.loads(out) if code == 0 else None

    report = eventually(look, "the rights are in force")
    unseen = report["unseen"]
    assert isinstance(unseen, list)
    assert any(line.startswith("Pod in namespace default: ") for line in unseen)
    assert report["first_broken"] is None


@serving
def test_the_command_exits_with_3_and_writes_a_page(place: Place, tmp_path: Path) -> None:
    page = tmp_path / "trace.html"
    with _scaled_to_zero(place, "knative-serving", "activator"):
        place.blamed(NAME, "activator", "NoEndpoints")
        code, out, _ = place.run("trace", NAME, "--html", str(page), "--request-timeout", "2s")
    assert code == 3
    assert "ends at Service knative-serving/activator-service" in out
    assert "activator" in page.read_text()
    _holds_again(place)


@serving
def test_one_that_does_not_exist_is_told_with_the_nearest_name(place: Place) -> None:
    code, _, err = place.run("trace", "flower-sample")
    assert code == 1
    assert "did you mean flowers-sample?" in err

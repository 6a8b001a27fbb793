"""The simulators against the recordings of the real controllers, on a real API server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from recorded_forms import (
    FAULTS,
    assert_fields_as_recorded,
    normal,
    recorded_managers,
    unordered,
)
from upstream_stack import Stack, eventually, is_ready, pod, waiting_reason

from installer.core.objects import Object, conditions, dig
from installer.sandbox import lifecycle, script
from installer.sandbox.script import ImageRule, Script, WebhookRule
from installer.sandbox.simulators.api import JSON_PATCH, MERGE, Api, Refused, path_of

pytestmark = pytest.mark.cluster

ADMISSION = "admissionregistration.k8s.io/v1"
CONFIGURATIONS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
WEBHOOK = "cert-manager/cert-manager-webhook"
ISSUER: Object = {
    "apiVersion": "cert-manager.io/v1alpha2",
    "kind": "Issuer",
    "metadata": {"name": "probe", "namespace": "probe"},
    "spec": {"selfSigned": {}},
}
ISSUERS = path_of(ISSUER["apiVersion"], "issuers", "probe")
OTHER_VERSION = path_of("cert-manager.io/v1alpha3", "issuers")


@pytest.fixture(scope="module")
def stack(sandbox_factory: Any, shared: Path) -> Iterator[Stack]:
    """A sandbox of its own with the stack of the recordings."""
    info = sandbox_factory(fresh=True)
    api = Api.from_kubeconfig(info.kubeconfig)
    stack = Stack(info, api, shared / "upstream")
    stack.install()
    api.create(path_of("v1", "namespaces"), {"metadata": {"name": "probe"}}, "test")
    yield stack
    lifecycle.down(info.name)


@pytest.fixture(scope="module")
def recordings(shared: Path) -> Path:
    return shared / "facts/recordings/kfserving-0.5.1"


@pytest.fixture
def behave(stack: Stack) -> Iterator[Callable[..., None]]:
    """Puts a script in force; afterwards everything works again."""

    def put(**parts: Any) -> None:
        script.write(stack.info.script, Script(**parts))

    yield put
    put()


def answer(stack: Stack, method: str, path: str, body: Object | None = None) -> tuple[int, Any]:
    """(status, decoded body) of one request."""
    try:
        return 200, stack.api.request(method, path, body=body)
    except Refused as error:
        return error.code, error.message


@pytest.mark.parametrize("plural", CONFIGURATIONS)
def test_webhook_configurations_are_completed_by_the_recorded_managers(
    stack: Stack, recordings: Path, plural: str
) -> None:
    recorded = yaml.safe_load((recordings / f"managed-fields/{plural}.yaml").read_text())

    def complete() -> bool:
        found = stack.api.request("GET", path_of(ADMISSION, plural))["items"]
        return all(
            h["clientConfig"].get("caBundle") and h.get("rules") and h["failurePolicy"] == "Fail"
            for configuration in found
            for h in configuration["webhooks"]
        )

    eventually(complete, "all webhook configurations complete")
    for name, entry in recorded.items():
        configuration = stack.api.get(path_of(ADMISSION, plural, name=name))
        assert configuration is not None
        assert_fields_as_recorded(configuration, entry)
        policies = {h["name"]: h["failurePolicy"] for h in configuration["webhooks"]}
        assert policies == entry["failurePolicy"]


def test_conversion_bundles_are_written_by_the_recorded_managers(
    stack: Stack, recordings: Path
) -> None:
    file = recordings / "managed-fields/customresourcedefinitions.yaml"
    recorded = yaml.safe_load(file.read_text())
    compared = 0
    for name, entry in recorded.items():
        if not recorded_managers(entry):
            continue
        path = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", name=name)

        def bundled(path: str = path) -> Any:
            crd = stack.api.get(path)
            config = dig(crd, "spec", "conversion", "webhook", "clientConfig", default={})
            return crd if config.get("caBundle") else None

        assert_fields_as_recorded(eventually(bundled, f"caBundle of {name}"), entry)
        compared += 1
    assert compared == 11


def test_secrets_hold_the_recorded_keys_of_the_recorded_managers(
    stack: Stack, recordings: Path
) -> None:
    recorded = yaml.safe_load((recordings / "managed-fields/secrets.yaml").read_text())
    for name, entry in recorded.items():
        secret = stack.api.get(path_of("v1", "secrets", *name.split("/")))
        assert secret is not None
        assert secret["type"] == entry["type"]
        assert sorted(secret.get("data") or {}) == entry["dataKeys"]
        assert_fields_as_recorded(secret, entry)


def test_certificate_and_issuer_end_as_recorded(stack: Stack, recordings: Path) -> None:
    place = "cert-manager.io/v1alpha2", "certificates", "kfserving-system", "serving-cert"
    certificate = eventually(
        lambda: (found := stack.api.get(path_of(*place))) and is_ready(found) and found,
        "certificate Ready",
    )
    ready = conditions(certificate)["Ready"]
    assert ready["message"] == "Certificate is up to date and has not expired"
    entry = yaml.safe_load((recordings / "managed-fields/certificates.yaml").read_text())
    assert_fields_as_recorded(certificate, entry["kfserving-system/serving-cert"])


def test_kfserving_admits_and_refuses_as_recorded(stack: Stack, recordings: Path) -> None:
    cases = yaml.safe_load((recordings / "inferenceservice/webhook-answers.yaml").read_text())
    plurals = {"InferenceService": "inferenceservices", "TrainedModel": "trainedmodels"}
    for version in ("v1alpha2", "v1beta1"):
        collection = path_of(f"serving.kubeflow.org/{version}", "inferenceservices")
        eventually(lambda c=collection: answer(stack, "GET", c)[0] == 200, f"{version} served")  # type: ignore[misc]
    for case in cases:
        obj = case["request"]
        path = path_of(obj["apiVersion"], plurals[obj["kind"]], "probe")
        code, body = answer(stack, "POST", path, obj)
        assert code == (200 if case["code"] == 201 else case["code"]), (case["case"], body)
        if code == 200:
            assert body["spec"] == case["admittedAs"], case["case"]
            stack.api.request("DELETE", f"{path}/{obj['metadata']['name']}")
        elif isinstance(case["body"], dict) and "quantity" not in case["case"]:
            # The recorded text about a quantity quotes bytes around it as Go's decoder does.
            assert unordered(body) == unordered(case["body"]["message"]), case["case"]


@pytest.mark.parametrize("case", FAULTS)
def test_a_broken_webhook_is_reported_as_recorded(
    stack: Stack, recordings: Path, behave: Callable[..., None], case: str
) -> None:
    file = recordings / "install/webhook-failures-endpoint-routing.yaml"
    recorded = [e for e in yaml.safe_load(file.read_text()) if e["case"] == case]
    rule = FAULTS[case]
    behave(webhooks={WEBHOOK: rule})
    for entry in recorded:
        conversion = entry["request"].startswith("conversion")
        if conversion and (rule.on == "admission" or case == "server accepts and says nothing"):
            continue
        if conversion:
            code, message = answer(stack, "GET", OTHER_VERSION)
        else:
            code, message = answer(stack, "POST", f"{ISSUERS}?dryRun=All", ISSUER)
        assert code == entry["code"]
        assert normal(message) == normal(entry["body"]["message"])


def test_a_webhook_that_never_answers_times_out(stack: Stack, behave: Callable[..., None]) -> None:
    plural = CONFIGURATIONS[1]
    configuration = stack.api.get(path_of(ADMISSION, plural, name="cert-manager-webhook"))
    assert configuration is not None
    hook = configuration["webhooks"][0] | {"name": "impatient.test.io", "timeoutSeconds": 1}
    hook["rules"] = [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["configmaps"],
        }
    ]
    hook["namespaceSelector"] = {"matchLabels": {"impatient": "yes"}}
    name = {"name": "impatient"}
    own = {**configuration, "metadata": name, "webhooks": [hook]}
    stack.api.create(path_of(ADMISSION, plural), own, "test")
    space = {"apiVersion": "v1", "kind": "Namespace"}
    space["metadata"] = {"name": "impatient", "labels": {"impatient": "yes"}}
    stack.api.create(path_of("v1", "namespaces"), space, "test")
    behave(webhooks={WEBHOOK: WebhookRule("timeout")})
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x"}}

    def timed_out() -> str:
        code, message = answer(stack, "POST", path_of("v1", "configmaps", "impatient"), body)
        return message if code == 500 else ""

    assert "context deadline exceeded" in eventually(timed_out, "the new webhook is called")
    stack.api.request("DELETE", path_of(ADMISSION, plural, name="impatient"))


def test_a_webhook_without_ready_pods_refuses_connections(stack: Stack) -> None:
    scale = path_of("apps/v1", "deployments", "cert-manager", "cert-manager-webhook") + "/scale"
    stack.api.patch(scale, {"spec": {"replicas": 0}}, "test")
    try:
        refused = "connect: connection refused"
        eventually(
            lambda: refused in str(answer(stack, "POST", f"{ISSUERS}?dryRun=All", ISSUER)[1]),
            "connection refused",
        )
    finally:
        stack.api.patch(scale, {"spec": {"replicas": 1}}, "test")
    eventually(
        lambda: answer(stack, "POST", f"{ISSUERS}?dryRun=All", ISSUER)[0] == 200, "answers again"
    )


def test_a_wrong_bundle_is_repaired_by_its_controller_unless_it_is_paused(
    stack: Stack, behave: Callable[..., None]
) -> None:
    path = path_of(ADMISSION, CONFIGURATIONS[0], name="cert-manager-webhook")
    behave(paused=("cainjector",))
    operations = [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]
    stack.api.patch(path, operations, "test", JSON_PATCH)  # type: ignore[arg-type]
    eventually(
        lambda: (
            "x509: certificate signed by unknown authority"
            in str(answer(stack, "POST", f"{ISSUERS}?dryRun=All", ISSUER)[1])
        ),
        "x509 error without a bundle",
    )
    behave()
    eventually(
        lambda: answer(stack, "POST", f"{ISSUERS}?dryRun=All", ISSUER)[0] == 200, "bundle is back"
    )


def test_an_emptied_knative_secret_is_filled_again(stack: Stack) -> None:
    path = path_of("v1", "secrets", "knative-serving", "webhook-certs")
    stack.api.patch(path, {"data": None}, "test")
    eventually(lambda: (stack.api.get(path) or {}).get("data"), "Secret filled")
    config = path_of("v1", "configmaps", "knative-serving", "config-autoscaler")
    wrong = {"data": {"stable-window": "bogus"}}
    query = {"dryRun": "All"}

    def denial() -> bool:
        try:
            stack.api.request("PATCH", config, body=wrong, content_type=MERGE, query=query)
        except Refused as error:
            return 'time: invalid duration "bogus"' in error.message
        return False

    eventually(denial, "Knative's webhook refuses a bad value")


def test_a_pod_waits_for_a_secret_it_mounts(stack: Stack) -> None:
    volume = {"name": "cert", "secret": {"secretName": "late"}}
    optional = {"name": "maybe", "configMap": {"name": "never", "optional": True}}
    body = pod("waits", "example.com/app:1", volumes=[volume, optional])
    path = path_of("v1", "pods", "probe", "waits")
    stack.api.request("POST", path_of("v1", "pods", "probe"), body=body)
    found = eventually(
        lambda: (p := stack.api.get(path)) and waiting_reason(p) == "ContainerCreating" and p,
        "ContainerCreating",
    )
    assert found["status"]["phase"] == "Pending"
    query = {"fieldSelector": "involvedObject.name=waits,reason=FailedMount"}
    event = eventually(
        lambda: stack.api.request("GET", path_of("v1", "events", "probe"), query=query)["items"],
        "FailedMount",
    )[0]
    assert (
        event["message"] == 'MountVolume.SetUp failed for volume "cert" : secret "late" not found'
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}}
    stack.api.request("POST", path_of("v1", "secrets", "probe"), body=secret)
    eventually(lambda: is_ready(stack.api.get(path)), "pod Ready")


BROKEN = (
    ImageRule("bad-image", fail="ErrImagePull"),
    ImageRule("crashing", fail="crash", exit_code=3, message="told to crash\n"),
    ImageRule("unready", fail="never-ready"),
    ImageRule("evicted", fail="evicted"),
    ImageRule("too-big", fail="pending"),
)


def test_images_misbehave_as_scripted_and_heal(stack: Stack, behave: Callable[..., None]) -> None:
    behave(images=BROKEN)
    for rule in BROKEN:
        body = pod(rule.match, f"example.com/{rule.match}:1")
        stack.api.request("POST", path_of("v1", "pods", "probe"), body=body)

    def get(name: str) -> Object:
        return stack.api.get(path_of("v1", "pods", "probe", name)) or {}

    eventually(lambda: waiting_reason(get("bad-image")) == "ImagePullBackOff", "ImagePullBackOff")
    eventually(lambda: waiting_reason(get("crashing")) == "CrashLoopBackOff", "CrashLoopBackOff")
    status = get("crashing")["status"]["containerStatuses"][0]
    ended = status["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert ended["message"] == "told to crash\n"
    assert status["restartCount"] >= 1
    eventually(lambda: dig(get("evicted"), "status", "reason") == "Evicted", "Evicted")
    assert get("evicted")["status"]["phase"] == "Failed"
    eventually(lambda: dig(get("unready"), "status", "phase") == "Running", "Running")
    told = conditions(get("unready"))["Ready"]["message"]
    assert told == "containers with unready status: [main]"
    eventually(
        lambda: (
            conditions(get("too-big")).get("PodScheduled", {}).get("message")
            == "0/1 nodes are available: 1 Insufficient cpu."
        ),
        "Unschedulable",
    )
    behave()
    healing = [rule.match for rule in BROKEN if rule.fail != "evicted"]
    eventually(lambda: all(is_ready(get(name)) for name in healing), "all of them Ready")


def test_load_balancers_get_addresses_when_the_script_says_so(
    stack: Stack, behave: Callable[..., None]
) -> None:
    path = path_of("v1", "services", "istio-system", "istio-ingressgateway")

    def address() -> str:
        return str(
            dig(stack.api.get(path), "status", "loadBalancer", "ingress", 0, "ip", default="")
        )

    assert not address()
    behave(load_balancer=True)
    # loopback where this process may listen on port 80, else an address that nobody has
    assert eventually(address, "an address").startswith(("127.", "172.31."))
    behave()
    eventually(lambda: not address(), "no address")


def test_an_aggregated_api_is_available_while_its_pods_run(stack: Stack) -> None:
    group = "apiregistration.k8s.io/v1"
    spec = {"group": "probe.io", "version": "v1", "insecureSkipTLSVerify": True}
    spec |= {"groupPriorityMinimum": 100, "versionPriority": 100}
    spec["service"] = {"namespace": "cert-manager", "name": "cert-manager-webhook"}
    body: Object = {"apiVersion": group, "kind": "APIService", "metadata": {"name": "v1.probe.io"}}
    stack.api.create(path_of(group, "apiservices"), body | {"spec": spec}, "test")
    path = path_of(group, "apiservices", name="v1.probe.io")
    eventually(
        lambda: conditions(stack.api.get(path) or {}).get("Available", {}).get("status") == "True",
        "APIService Available",
    )
    stack.api.request("DELETE", path)


def test_nodes_say_that_they_are_simulated(stack: Stack) -> None:
    nodes = stack.api.request("GET", path_of("v1", "nodes"))["items"]
    assert [n["metadata"]["annotations"]["kserve-installer/simulated"] for n in nodes] == ["true"]
    assert conditions(nodes[0])["Ready"]["status"] == "True"


def test_pods_still_start_after_the_api_server_was_killed(stack: Stack) -> None:
    lifecycle.restart(stack.info.name)
    body = pod("after-restart", "example.com/app:1")

    def created() -> bool:
        code, _ = answer(stack, "POST", path_of("v1", "pods", "probe"), body)
        return code in (200, 409)

    eventually(created, "pod created")
    path = path_of("v1", "pods", "probe", "after-restart")
    eventually(lambda: is_ready(stack.api.get(path)), "pod Ready")
    stack.api.request("DELETE", path)
    eventually(lambda: stack.api.get(path) is None, "pod gone")
    eventually(
        lambda: answer(stack, "POST", f"{ISSUERS}?dryRun=All", ISSUER)[0] == 200, "webhooks answer"
    )

"""Webhooks that answer, late, badly or never, on a real API server.

Istio 1.6.2 (failurePolicy Ignore at first), Knative Serving 0.18.0 (rules filled in by itself),
cert-manager 0.15.1 (dry runs, conversion) and KFServing 0.5.1 (refuses dry runs) from their own
manifests; who serves them is simulated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy
from stack import CERT_MANAGER, ISTIO, KFSERVING, KNATIVE, Manifest, apply, read
from waits import PATIENCE, Following, Running

from installer.cluster import webhooks
from installer.cluster.client import Cluster
from installer.cluster.probes import INVALID_NAME, NAME
from installer.cluster.wait import wait_ready
from installer.cluster.webhooks import wait_answering
from installer.core.cancel import Cancel
from installer.core.errors import Interrupted, NotReady
from installer.core.events import Event
from installer.core.objects import Object, Ref
from installer.sandbox import lifecycle, script
from installer.sandbox.options import SandboxInfo
from installer.sandbox.script import Script, WebhookRule

pytestmark = pytest.mark.cluster

CERT_MANAGER_SERVICE = "cert-manager/cert-manager-webhook"
KFSERVING_SERVICE = "kfserving-system/kfserving-webhook-server-service"


@pytest.fixture(scope="module")
def sandbox(sandbox_factory: Callable[..., SandboxInfo]) -> Iterator[SandboxInfo]:
    """One that no other module scripts."""
    yield sandbox_factory(name="answering", fresh=True)
    lifecycle.down("answering")


@pytest.fixture(scope="module")
def cluster(sandbox: SandboxInfo) -> Cluster:
    return Cluster.connect(kubeconfig=str(sandbox.kubeconfig))


@pytest.fixture(scope="module")
def manifests(shared: Path, cluster: Cluster) -> dict[str, Manifest]:
    """Each component, applied up to its webhook configurations and answering."""
    upstream = shared / "upstream"
    found = {
        "istio": read(upstream, ISTIO, component=("istio", "1.6.2")),
        "knative": read(upstream, *KNATIVE, component=("knative-serving", "0.18.0")),
        "cert-manager": read(upstream, CERT_MANAGER, component=("cert-manager", "0.15.1")),
        "kfserving": read(upstream, KFSERVING, component=("kfserving", "0.5.1")),
    }
    for manifest in found.values():
        apply(cluster, manifest, "namespaces", "crds", "setup", "workloads", "webhooks")
        answering(cluster, manifest)
    return found


@pytest.fixture
def scripted(sandbox: SandboxInfo) -> Iterator[Callable[[str, WebhookRule], None]]:
    def set_rule(service: str, rule: WebhookRule) -> None:
        script.write(sandbox.script, Script(webhooks={service: rule}))

    yield set_rule
    script.write(sandbox.script, Script())


def answering(
    cluster: Cluster,
    manifest: Manifest,
    *,
    deadline: float = PATIENCE,
    progress: Following | None = None,
    cancel: Cancel | None = None,
) -> list[Event]:
    events: list[Event] = []
    wait_answering(
        cluster,
        manifest.webhooks,
        manifest.definitions,
        probes=manifest.probes,
        deadline=deadline,
        cancel=cancel or Cancel(),
        progress=progress or Following(),
        emit=events.append,
    )
    return events


def audited(sandbox: SandboxInfo, since: int = 0) -> list[Object]:
    """The audit log's entries after the first `since`."""
    assert sandbox.audit_log is not None
    lines = sandbox.audit_log.read_text().splitlines()[since:]
    return [json.loads(line) for line in lines]


def probes_in(entries: list[Object]) -> Iterator[tuple[str, int, Object]]:
    """(URI, code, object) of each probe that is not a read."""
    for entry in entries:
        uri = entry["requestURI"]
        if entry["stage"] == "ResponseComplete" and "fieldManager=kserve-installer" in uri:
            yield uri, entry["responseStatus"]["code"], entry["objectRef"]


@pytest.mark.parametrize("component", ["istio", "knative", "cert-manager", "kfserving"])
def test_webhooks_that_answer_are_ready_and_nothing_is_stored(
    cluster: Cluster, sandbox: SandboxInfo, manifests: dict[str, Manifest], component: str
) -> None:
    before = len(audited(sandbox))
    assert answering(cluster, manifests[component]) == []
    creates = [(uri, code) for uri, code, _ in probes_in(audited(sandbox, before))]
    assert creates
    assert [uri for uri, code in creates if "dryRun=All" not in uri and code < 300] == []
    for kind in ("Pod", "ConfigMap"):
        names = [item["metadata"]["name"] for item in cluster.list("v1", kind).items]
        assert not {NAME, INVALID_NAME} & set(names)
    for kind in ("InferenceService", "TrainedModel"):
        version = "v1beta1" if kind == "InferenceService" else "v1alpha1"
        assert cluster.list(f"serving.kubeflow.org/{version}", kind).items == []


def test_a_kind_that_refuses_dry_runs_is_proven_by_creates_that_are_denied(
    cluster: Cluster, sandbox: SandboxInfo, manifests: dict[str, Manifest]
) -> None:
    before = len(audited(sandbox))
    answering(cluster, manifests["kfserving"])
    codes: dict[str, set[int]] = {}
    for uri, code, target in probes_in(audited(sandbox, before)):
        if "dryRun=All" not in uri:
            codes.setdefault(f"{target['resource']}.{target['apiVersion']}", set()).add(code)
    assert codes == {
        "inferenceservices.v1alpha2": {403},
        "inferenceservices.v1beta1": {403},
        "trainedmodels.v1alpha1": {403},
        "pods.v1": {422},
    }


FAULTS = [
    ("cert-manager", CERT_MANAGER_SERVICE, "refused", "webhook-refused"),
    ("cert-manager", CERT_MANAGER_SERVICE, "x509", "webhook-x509"),
    ("cert-manager", CERT_MANAGER_SERVICE, "reset", "webhook-reset"),
    ("cert-manager", CERT_MANAGER_SERVICE, "not-json", "webhook-bad-answer"),
    ("cert-manager", CERT_MANAGER_SERVICE, "http", "webhook-http"),
    ("kfserving", KFSERVING_SERVICE, "refused", "webhook-refused"),
    ("kfserving", KFSERVING_SERVICE, "x509-name", "webhook-x509"),
    ("kfserving", KFSERVING_SERVICE, "eof", "webhook-reset"),
]


@pytest.mark.parametrize(("component", "service", "fault", "kind"), FAULTS)
def test_a_webhook_that_cannot_be_called_is_named_at_the_deadline(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
    component: str,
    service: str,
    fault: str,
    kind: str,
) -> None:
    scripted(service, WebhookRule(fault))
    with pytest.raises(NotReady) as caught:
        answering(cluster, manifests[component], deadline=8)
    assert caught.value.kind == kind
    assert "does not answer after 8 s" in caught.value.message
    assert caught.value.object.startswith(("Mutating", "Validating", "CustomResource"))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("x509-name", "its certificate is made out to another name"),
        ("plain-http", "it speaks plain HTTP where HTTPS is expected"),
    ],
)
def test_a_webhook_whose_fault_does_not_pass_ends_the_wait_long_before_the_deadline(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    cause: str,
) -> None:
    monkeypatch.setattr(webhooks, "HOPELESS_SECONDS", 2.0)
    scripted(CERT_MANAGER_SERVICE, WebhookRule(fault))
    with pytest.raises(NotReady) as caught:
        answering(cluster, manifests["cert-manager"], deadline=600)
    assert "does not answer, and will not by itself: " in caught.value.message
    assert caught.value.object.startswith(("Mutating", "Validating", "CustomResource"))
    assert cause in caught.value.message
    assert caught.value.remedy


def test_a_webhook_whose_fault_may_pass_is_not_given_up(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhooks, "HOPELESS_SECONDS", 0.5)
    scripted(CERT_MANAGER_SERVICE, WebhookRule("x509"))
    with pytest.raises(NotReady, match="does not answer after 4 s"):
        answering(cluster, manifests["cert-manager"], deadline=4)


@pytest.mark.parametrize("fault", ["refused", "x509", "reset"])
@pytest.mark.parametrize(
    ("component", "service"),
    [("cert-manager", CERT_MANAGER_SERVICE), ("kfserving", KFSERVING_SERVICE)],
)
def test_a_webhook_that_heals_is_waited_for(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
    component: str,
    service: str,
    fault: str,
) -> None:
    scripted(service, WebhookRule(fault, count=12))
    progress = Following()
    answering(cluster, manifests[component], progress=progress)
    assert progress.shown[-1] == []


def test_a_flapping_webhook_is_ready_only_after_it_answered_in_a_row(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
) -> None:
    scripted(CERT_MANAGER_SERVICE, WebhookRule("flapping", seconds=0.5))
    answering(cluster, manifests["cert-manager"])


def test_a_slow_webhook_answers(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
) -> None:
    scripted(CERT_MANAGER_SERVICE, WebhookRule("slow", seconds=1))
    answering(cluster, manifests["cert-manager"])


@pytest.mark.parametrize(
    ("component", "service"),
    [("cert-manager", CERT_MANAGER_SERVICE), ("kfserving", KFSERVING_SERVICE)],
)
def test_a_webhook_that_denies_everything_answers(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
    component: str,
    service: str,
) -> None:
    scripted(service, WebhookRule("deny", message="not today"))
    assert answering(cluster, manifests[component]) == []


def test_a_conversion_webhook_that_fails_alone_is_found(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
) -> None:
    scripted(CERT_MANAGER_SERVICE, WebhookRule("http", on="conversion", code=503))
    with pytest.raises(NotReady) as caught:
        answering(cluster, manifests["cert-manager"], deadline=5)
    assert caught.value.object.startswith("CustomResourceDefinition ")
    assert "conversion of " in caught.value.message


def test_conversion_is_proven_by_a_list_where_objects_are_stored(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
) -> None:
    predictor = {"tensorflow": {"storageUri": "gs://bucket/model"}}
    body = {
        "apiVersion": "serving.kubeflow.org/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "stored", "namespace": "default"},
        "spec": {"predictor": predictor},
    }
    cluster.create(body)
    scripted(KFSERVING_SERVICE, WebhookRule("not-json", on="conversion"))
    try:
        with pytest.raises(NotReady) as caught:
            answering(cluster, manifests["kfserving"], deadline=5)
    finally:
        cluster.delete(Ref("serving.kubeflow.org/v1beta1", "InferenceService", "default", "stored"))
    assert "conversion of InferenceService.serving.kubeflow.org" in caught.value.message


def test_a_webhook_without_ready_pods_is_told_as_such(
    cluster: Cluster, manifests: dict[str, Manifest]
) -> None:
    deployment = Ref("apps/v1", "Deployment", "cert-manager", "cert-manager-webhook")
    cluster.patch(deployment, {"spec": {"replicas": 0}})
    wait_ready(cluster, [deployment], deadline=PATIENCE, cancel=Cancel())
    with Running(
        lambda progress, cancel: answering(
            cluster, manifests["cert-manager"], progress=progress, cancel=cancel
        )
    ) as run:
        run.progress.until(f"Service {CERT_MANAGER_SERVICE} has no ready pod")
        cluster.patch(deployment, {"spec": {"replicas": 1}})


def test_a_ca_bundle_that_was_taken_away_is_waited_for(
    cluster: Cluster, sandbox: SandboxInfo, manifests: dict[str, Manifest]
) -> None:
    script.write(sandbox.script, Script(paused=("cainjector",)))
    name = "cert-manager-webhook"
    ref = Ref("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", name)
    gone = [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]
    cluster.patch(ref, gone, type="json")
    with Running(
        lambda progress, cancel: answering(
            cluster, manifests["cert-manager"], progress=progress, cancel=cancel
        )
    ) as run:
        run.progress.until("it has no CA bundle yet")
        script.write(sandbox.script, Script())


def test_rules_that_a_controller_fills_in_are_waited_for(
    cluster: Cluster, sandbox: SandboxInfo, manifests: dict[str, Manifest]
) -> None:
    script.write(sandbox.script, Script(paused=("knative-webhook",)))
    name = "validation.webhook.serving.knative.dev"
    ref = Ref("admissionregistration.k8s.io/v1", *_validating(name))
    cluster.patch(ref, [{"op": "remove", "path": "/webhooks/0/rules"}], type="json")
    with Running(
        lambda progress, cancel: answering(
            cluster, manifests["knative"], progress=progress, cancel=cancel
        )
    ) as run:
        run.progress.until("it has no rules yet")
        script.write(sandbox.script, Script())


def test_a_configuration_that_does_not_exist_yet_is_waited_for(
    cluster: Cluster, manifests: dict[str, Manifest]
) -> None:
    manifest = manifests["cert-manager"]
    cluster.delete(Ref("admissionregistration.k8s.io/v1", *_validating("cert-manager-webhook")))
    with Running(
        lambda progress, cancel: answering(cluster, manifest, progress=progress, cancel=cancel)
    ) as run:
        run.progress.until("ValidatingWebhookConfiguration cert-manager-webhook: does not exist")
        apply(cluster, manifest, "webhooks")


def _validating(name: str) -> tuple[str, str, str]:
    return ("ValidatingWebhookConfiguration", "", name)


def test_a_cancelled_wait_ends(
    cluster: Cluster,
    manifests: dict[str, Manifest],
    scripted: Callable[[str, WebhookRule], None],
) -> None:
    scripted(CERT_MANAGER_SERVICE, WebhookRule("timeout"))
    manifest = manifests["cert-manager"]
    run = Running(
        lambda progress, cancel: answering(cluster, manifest, progress=progress, cancel=cancel)
    )
    with pytest.raises(Interrupted), run:
        _cancel_once_shown(run)


@pytest.fixture
def proxy(sandbox: SandboxInfo, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(sandbox.kubeconfig, tmp_path) as started:
        yield started


def alone(proxy: FaultProxy, deadline: float) -> None:
    """Wait for one webhook, which one request proves, through the proxy."""
    ref = Ref("admissionregistration.k8s.io/v1", *_validating("cert-manager-webhook"))
    cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig))
    try:
        wait_answering(cluster, [ref], [], deadline=deadline, cancel=Cancel())
    finally:
        cluster.close()


@pytest.mark.usefixtures("manifests")
@pytest.mark.parametrize("action", [{"status": 429}, {"status": 503}, {"close": True}])
def test_what_the_api_server_says_of_itself_does_not_count_against_a_webhook(
    proxy: FaultProxy, action: dict[str, Any]
) -> None:
    rule = proxy.on("POST", "dryRun=All", times=None, every=2, **action)
    alone(proxy, deadline=20)
    assert rule.hits, "no two answers came without a failure between them"


@pytest.mark.usefixtures("manifests")
def test_an_api_server_that_asks_for_a_pause_gets_it(proxy: FaultProxy) -> None:
    rule = proxy.on("POST", "dryRun=All", status=429, headers={"Retry-After": "1000"})
    with pytest.raises(NotReady) as caught:
        alone(proxy, deadline=6)
    assert caught.value.kind == "throttled"
    assert (rule.hits, proxy.count("POST", "dryRun=All")) == (1, 1)


def sibling(cluster: Cluster, ca: str) -> Ref:
    """A webhook of cert-manager's Service that no request reaches."""
    name = "sibling"
    ours = cluster.get(Ref("admissionregistration.k8s.io/v1", *_validating("cert-manager-webhook")))
    assert ours is not None
    entry = dict(ours["webhooks"][0])
    entry["name"] = "sibling.example.com"
    entry["namespaceSelector"] = {"matchLabels": {"sibling.example.com/none": "none"}}
    entry["clientConfig"] = {**entry["clientConfig"], **({"caBundle": ca} if ca else {})}
    body = {key: ours[key] for key in ("apiVersion", "kind")}
    cluster.apply({**body, "metadata": {"name": name}, "webhooks": [entry]}, force=True)
    return Ref("admissionregistration.k8s.io/v1", *_validating(name))


@pytest.mark.parametrize(("ca", "warnings"), [("", 0), ("YW5vdGhlcg==", 1)])
def test_a_proven_webhook_vouches_for_what_its_service_and_ca_bundle_serve(
    cluster: Cluster, manifests: dict[str, Manifest], ca: str, warnings: int
) -> None:
    manifest = manifests["cert-manager"]
    ref = sibling(cluster, ca)
    events: list[Event] = []
    refs = [*manifest.webhooks, ref]
    try:
        wait_answering(cluster, refs, [], deadline=PATIENCE, cancel=Cancel(), emit=events.append)
    finally:
        cluster.delete(ref)
    assert [str(event.fields["object"]) for event in events] == [str(ref)] * warnings
    assert all("trusted with another CA bundle" in str(e.fields["message"]) for e in events)


def _cancel_once_shown(run: Running) -> None:
    run.progress.until("waiting for its answer")
    run.cancel.stop()

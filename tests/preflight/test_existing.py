"""Checks of the category existing, on an API server where others have installed things."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accounts import account, allow, until
from foreign_installs import (
    HELM,
    definition,
    deployment,
    manifest,
    marked,
    namespace,
    placed,
    put,
    webhooks,
)
from keepers import record

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.checks import Finding
from installer.core.objects import Object, Ref, ref_of
from installer.plan.drift import Entry
from installer.plan.handover import Handover
from installer.plan.settings import Settings
from installer.sandbox import lifecycle, script
from installer.sandbox.lifecycle import SandboxInfo
from installer.sandbox.script import Script, WebhookRule

pytestmark = pytest.mark.cluster

EXTERNAL = Settings(external=("cert-manager",))
WEBHOOK = Ref("apps/v1", "Deployment", "cert-manager", "cert-manager-webhook")
CONTROLLER = "quay.io/jetstack/cert-manager-controller:v0.15.1"


@pytest.fixture(scope="module")
def place(sandbox_factory: Any) -> Iterator[SandboxInfo]:
    """One sandbox for this module; every test leaves it as it was."""
    info = sandbox_factory("1.20.2", fresh=True)
    yield info
    lifecycle.down(info.name)


@pytest.fixture(scope="module")
def cluster(place: SandboxInfo) -> Cluster:
    return Cluster.connect(kubeconfig=str(place.kubeconfig))


@pytest.fixture
def seen(look: Any, place: SandboxInfo) -> Any:
    """`seen(…)`: the findings of this category."""

    def run(**options: Any) -> Mapping[str, Finding]:
        found: Mapping[str, Finding] = look(place, only=("existing",), **options)
        return found

    return run


@pytest.fixture
def cert_manager(cluster: Cluster, shared: Path) -> Iterator[None]:
    """cert-manager 0.15.1 as kubectl leaves it."""
    with placed(cluster, manifest(shared, "cert-manager")):
        yield


def reasons(finding: Finding, verdict: str = "failed") -> str:
    return "\n".join(d.reason for d in finding.details if d.verdict == verdict)


def test_an_empty_cluster_passes_every_check(seen: Any) -> None:
    assert {check: f.verdict for check, f in seen().items() if f.verdict != "ok"} == {}


@pytest.mark.parametrize(
    ("state", "release", "words"),
    [
        ("installed", "kserve-0.11.2", "kserve-0.11.2 is installed here"),
        ("uninstalling", "kfserving-0.5.1", "an uninstall of kfserving-0.5.1 has not ended"),
    ],
)
def test_another_release_and_half_an_uninstall_are_found(
    seen: Any, cluster: Cluster, state: str, release: str, words: str
) -> None:
    ledgers.create_home(cluster)
    ledgers.write_stack(cluster, ledgers.Ledger(release=release, state=state))
    try:
        assert words in reasons(seen()["existing-release"])
    finally:
        cluster.delete(ledgers.HOME)
        wait_gone(cluster, [ledgers.HOME], deadline=60, cancel=Cancel())


@pytest.mark.usefixtures("cert_manager")
def test_what_kubectl_installed_may_be_used_or_adopted(
    seen: Any, cluster: Cluster, place: SandboxInfo
) -> None:
    found = seen()
    assert "from kubectl" in reasons(found["existing-components"])
    assert "--adopt cert-manager" in found["existing-components"].details[0].remedy
    assert found["existing-webhooks"].verdict == "ok"

    adopted = seen(adopt=("cert-manager",))["existing-components"]
    assert [detail.verdict for detail in adopted.details] == ["note"]

    used = seen(settings=EXTERNAL)
    assert {f.verdict for f in used.values()} <= {"ok", "note"}, used

    script.write(
        place.script, Script(webhooks={"cert-manager/cert-manager-webhook": WebhookRule("refused")})
    )
    try:
        assert "does not answer" in reasons(seen(settings=EXTERNAL)["external-webhooks"])
    finally:
        script.write(place.script, Script())

    away = {"spec": {"template": {"spec": {"nodeSelector": {"there": "is-none"}}}}}
    cluster.patch(WEBHOOK, away, manager="somebody")
    assert "is declared external and not healthy" in reasons(
        seen(settings=EXTERNAL)["external-components"]
    )


def test_what_helm_installed_may_be_adopted_when_the_whole_release_can_go(
    seen: Any, cluster: Cluster, shared: Path
) -> None:
    objects = marked(manifest(shared, "cert-manager", kind="Deployment"), HELM)
    refs = [ref_of(obj) for obj in objects]
    other = Ref("apps/v1", "Deployment", "cert-manager", "trust-manager")
    stray = Ref("v1", "ConfigMap", "cert-manager", "values")
    torn = {**record("cm", "cert-manager", refs), "data": {"release": "bm90aGluZw=="}}
    space = namespace("cert-manager")

    def looked(*records: Object) -> Finding:
        with placed(cluster, records, manager="helm"):
            return seen(adopt=("cert-manager",))["existing-components"]  # type: ignore[no-any-return]

    with placed(cluster, [space, *objects], manager="helm", ready=False):
        asked = seen()
        assert "from Helm release cert-manager/cm" in reasons(asked["existing-components"])
        assert (
            "adopt it with --adopt cert-manager" in asked["existing-components"].details[0].remedy
        )
        # its CRDs are missing
        assert asked["existing-halves"].verdict == "warning"
        assert "keeps no record of Helm release" in reasons(looked(), "note")

        gone = looked(record("cm", "cert-manager", [*refs, stray, other]))
        assert gone.verdict in ("ok", "note")
        assert reasons(gone, "note").endswith("once the install is done"), "neither is there"

        values: Object = {"apiVersion": "v1", "kind": "ConfigMap"}
        values["metadata"] = {"name": stray.name, "namespace": stray.namespace}
        whole = looked(record("cm", "cert-manager", [*refs, stray]), values)
        assert whole.verdict in ("ok", "note")
        assert (
            "Helm forgets it once the install is done; ConfigMap cert-manager/values of it stays"
            in reasons(whole, "note")
        )

        trust = deployment("cert-manager", other.name, "quay.io/jetstack/trust-manager:v0.1.0")
        with placed(cluster, [trust], manager="helm", ready=False):
            more = looked(record("cm", "cert-manager", [*refs, other]))
        assert "it also runs Deployment cert-manager/trust-manager" in reasons(more)
        assert "external: [cert-manager]" in more.details[-1].remedy

        history = [
            record("cm", "cert-manager", refs),
            record("cm", "cert-manager", refs, version="2", status="pending-upgrade"),
        ]
        pending = looked(*history)
        assert "Helm release cert-manager/cm is pending-upgrade" in reasons(pending)
        assert "helm rollback cm -n cert-manager" in pending.details[-1].remedy
        assert "cannot be read: it is not base64 of gzip" in reasons(looked(torn))


def test_what_helm_keeps_and_may_not_be_read_is_not_said_to_be_nothing(
    seen: Any, cluster: Cluster, place: SandboxInfo, shared: Path, tmp_path: Path
) -> None:
    few = account(cluster, place, "without-secrets", tmp_path)
    read: dict[str, Any] = {"resources": ["*"], "verbs": ["get", "list", "watch"]}
    core = ["namespaces", "nodes", "pods", "services", "configmaps"]
    groups = ["apps", "apiextensions.k8s.io", "admissionregistration.k8s.io"]
    rules = [{**read, "apiGroups": groups}, {**read, "apiGroups": [""], "resources": core}]
    allow(cluster, "without-secrets", rules)
    objects = marked(manifest(shared, "cert-manager", kind="Deployment"), HELM)
    kept = record("cm", "cert-manager", [ref_of(obj) for obj in objects])

    def looked() -> Finding:
        return seen(adopt=("cert-manager",), kubeconfig=few)["existing-components"]  # type: ignore[no-any-return]

    with placed(cluster, [namespace("cert-manager"), *objects, kept], manager="helm", ready=False):
        until(lambda: "Helm release cert-manager/cm" in reasons(looked(), "unknown"))
        finding = looked()
    assert "could not look at Helm release cert-manager/cm" in reasons(finding, "unknown")
    assert "keeps no record" not in reasons(finding, "note")


def test_an_adoption_that_was_killed_is_looked_at_as_one_that_is_asked_for(
    seen: Any, cluster: Cluster
) -> None:
    space, pending = (
        namespace("cert-manager"),
        record("cm", "cert-manager", [], status="pending-upgrade"),
    )
    begun = Handover("helm", "cert-manager", "cm", ("cert-manager",))
    ledgers.create_home(cluster)
    with placed(cluster, [space, pending], manager="helm"):
        for components, said in ((begun.components, True), (("kserve",), False)):
            kept = replace(begun, components=components)
            ledgers.write_stack(
                cluster, Ledger(release="kfserving-0.5.1", state="installing", handovers=(kept,))
            )
            found = reasons(seen()["existing-components"])
            assert ("Helm release cert-manager/cm is pending-upgrade" in found) == said
    cluster.delete(ledgers.HOME)
    wait_gone(cluster, [ledgers.HOME], deadline=30, cancel=Cancel())


def test_what_helm_installed_under_other_names_may_not_be_adopted(
    seen: Any, cluster: Cluster
) -> None:
    objects = marked([deployment("cert-manager", "cm-cert-manager", CONTROLLER)], HELM)
    with placed(cluster, [namespace("cert-manager"), *objects], manager="helm", ready=False):
        found = seen(adopt=("cert-manager",))["existing-components"]
        said = "Deployment cert-manager/cm-cert-manager would run on beside what the release calls"
        assert said in reasons(found)


@pytest.mark.parametrize(
    ("component", "manager", "owner"),
    [("istio", "istio-operator", "istioctl"), ("knative-serving", "kubectl", "")],
)
def test_istioctl_and_knatives_operator_are_recognised(
    seen: Any, cluster: Cluster, shared: Path, component: str, manager: str, owner: str
) -> None:
    objects = manifest(shared, component, kind="Deployment")
    where = objects[0]["metadata"]["namespace"]
    before = [namespace(where)]
    if not owner:
        before.append(definition("knativeservings", "operator.knative.dev", "KnativeServing"))
        before.append(
            {
                "apiVersion": "operator.knative.dev/v1alpha1",
                "kind": "KnativeServing",
                "metadata": {"name": "knative-serving", "namespace": where},
            }
        )
    with placed(cluster, [*before, *objects], manager=manager, ready=False):
        found = seen()
        finding = found["existing-components"]
        assert (owner or "KnativeServing knative-serving") in reasons(finding)
        assert f"adopt it with --adopt {component}" in finding.details[0].remedy
        if not owner:
            kept = seen(adopt=(component,))["existing-components"]
            assert "would put it back, and its mark is on none of the objects" in reasons(kept)
            assert "has a KnativeServing, and Knative's operator does not run" in reasons(
                found["existing-halves"]
            )


def test_an_external_component_that_is_missing_is_told(seen: Any) -> None:
    found = seen(settings=EXTERNAL)
    assert "no cert-manager runs here" in reasons(found["external-components"])


def test_the_service_of_an_external_webhook_may_be_gone(seen: Any, cluster: Cluster) -> None:
    objects = [
        namespace("cert-manager"),
        deployment("cert-manager", "cert-manager", CONTROLLER),
        webhooks(
            "cert-manager-webhook",
            "webhook.cert-manager.io",
            service="cert-manager/cert-manager-webhook",
            apiGroups=["cert-manager.io"],
            resources=["*"],
        ),
    ]
    with placed(cluster, objects):
        found = seen(settings=EXTERNAL)
        assert "cert-manager-webhook does not exist" in reasons(found["external-webhooks"])
        assert "runs its jetstack/cert-manager-cainjector" in reasons(found["external-components"])
        assert found["existing-webhooks"].verdict == "ok"


def test_a_second_cert_manager_and_kubeflow_are_told(seen: Any, cluster: Cluster) -> None:
    objects = [
        namespace("infra-a"),
        namespace("infra-b"),
        deployment("infra-a", "cert-manager", CONTROLLER),
        deployment("infra-b", "cert-manager", CONTROLLER),
        definition("profiles", "kubeflow.org", "Profile", scope="Cluster"),
    ]
    with placed(cluster, objects, ready=False):
        finding = seen()["existing-duplicates"]
        assert "cert-manager runs more than once: in infra-a" in reasons(finding)
        assert "Kubeflow is here" in reasons(finding, "warning")


def test_a_second_ingress_gateway_is_told(seen: Any, cluster: Cluster) -> None:
    gateway = deployment("edge", "gateway", "docker.io/istio/proxyv2:1.9.1", istio="ingressgateway")
    with placed(cluster, [namespace("edge"), gateway], ready=False):
        finding = seen()["existing-gateways"]
        assert "Deployment edge/gateway is a second ingress gateway" in reasons(finding, "warning")


def test_gateways_that_the_configuration_names_must_exist(seen: Any) -> None:
    finding = seen(settings=Settings(external=("istio",)))["existing-gateways"]
    assert "Service istio-system/cluster-local-gateway" in reasons(finding)
    assert "Service istio-system/istio-ingressgateway" in reasons(finding)


@pytest.mark.parametrize(("marks", "verdict"), [({}, "warning"), (HELM, "failed")])
def test_crds_without_their_controllers_are_told(
    seen: Any, cluster: Cluster, marks: Any, verdict: str
) -> None:
    left = marked([definition("certificates", "cert-manager.io", "Certificate")], marks)
    with placed(cluster, left):
        finding = seen()["existing-halves"]
        assert finding.verdict == verdict
        assert "a CRD of cert-manager is here without its controllers" in reasons(finding, verdict)
        assert seen(adopt=("cert-manager",))["existing-halves"].verdict in ("warning", "note")


def test_a_stale_webhook_that_fails_closed_is_found_before_it_refuses_us(
    seen: Any, cluster: Cluster
) -> None:
    closed = webhooks(
        "policy", "policy.example.com", service="gone/gone", apiGroups=[""], resources=["services"]
    )
    with placed(cluster, [closed]):
        finding = seen()["existing-webhooks"]
        assert "ValidatingWebhookConfiguration policy would refuse Service" in reasons(finding)
        assert "kubectl delete validatingwebhookconfiguration policy" in finding.details[0].remedy
        assert "--remove-stale-webhooks" not in finding.details[0].remedy


def test_a_stale_webhook_of_the_stack_may_be_removed_by_the_install(
    seen: Any, cluster: Cluster
) -> None:
    ours = webhooks(
        "old",
        "webhook.serving.knative.dev",
        service="knative-serving/old",
        apiGroups=["serving.knative.dev"],
        resources=["*"],
    )
    with placed(cluster, [ours]):
        finding = seen()["existing-webhooks"]
        assert finding.verdict == "warning"
        assert "--remove-stale-webhooks" in finding.details[0].remedy


def test_our_own_webhook_without_its_service_is_brought_back_and_never_offered_for_removal(
    seen: Any, cluster: Cluster
) -> None:
    mine = webhooks(
        "cert-manager-webhook",
        "webhook.cert-manager.io",
        service="cert-manager/cert-manager-webhook",
        apiGroups=["cert-manager.io"],
        resources=["*"],
    )
    ref = ref_of(mine)
    with placed(cluster, [mine, namespace("kserve-installer")]):
        record = ledgers.ComponentRecord("cert-manager", "0.15.1", "installed")
        entries = {ref.identity: Entry(ref, "sent", "seen")}
        ledgers.write_component(cluster, record.with_entries(entries))
        finding = seen()["existing-webhooks"]
    (detail,) = finding.details
    assert finding.verdict == "warning"
    assert "Service cert-manager/cert-manager-webhook does not exist" in detail.reason
    assert detail.remedy == "an install brings it back"


@pytest.mark.parametrize(
    ("service", "verdict"),
    [("cert-manager/cert-manager-webhook", "warning"), ("gone/gone", "failed")],
)
def test_a_crd_whose_conversion_webhook_is_gone_is_found(
    seen: Any, cluster: Cluster, service: str, verdict: str
) -> None:
    crd = definition("certificates", "cert-manager.io", "Certificate")
    space, _, name = service.partition("/")
    crd["spec"]["preserveUnknownFields"] = False
    crd["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": {"service": {"namespace": space, "name": name}},
        },
    }
    with placed(cluster, [crd]):
        finding = seen()["existing-webhooks"]
        assert finding.verdict == verdict
        assert f"Service {service} does not exist" in reasons(finding, verdict)
        command = next(d for d in finding.details if d.verdict == verdict).remedy.split("'")[1]
        # what the remedy says is a patch that the server takes
        cluster.patch(ref_of(crd), json.loads(command))
        assert seen()["existing-webhooks"].verdict == "ok"


def test_namespaces_and_crds_that_are_being_deleted_are_found(seen: Any, cluster: Cluster) -> None:
    with (
        held(cluster, namespace("knative-serving"), "v1", "ConfigMap", "knative-serving"),
        held(
            cluster,
            definition("certificates", "cert-manager.io", "Certificate"),
            "cert-manager.io/v1alpha1",
            "Certificate",
            "default",
        ),
    ):
        told = reasons(seen()["existing-terminating"])
        assert "Namespace knative-serving is being deleted" in told
        assert "certificates.cert-manager.io is being deleted" in told


@contextmanager
def held(cluster: Cluster, obj: Any, api_version: str, kind: str, namespace: str) -> Iterator[None]:
    """An object that is being deleted inside the block, held by something with a finalizer."""
    with placed(cluster, [obj]):
        holder = Ref(api_version, kind, namespace, "holder")
        metadata = {"name": "holder", "namespace": namespace, "finalizers": ["example.com/hold"]}
        put(cluster, {"apiVersion": api_version, "kind": kind, "metadata": metadata})
        try:
            name = Ref(obj["apiVersion"], obj["kind"], "", obj["metadata"]["name"])
            cluster.delete(name)
            yield
        finally:
            cluster.patch(holder, {"metadata": {"finalizers": None}})
            cluster.delete(holder)


def test_an_adopted_component_that_is_not_there_changes_nothing(seen: Any) -> None:
    found = seen(adopt=("cert-manager",))
    assert {f.verdict for f in found.values()} == {"ok"}


def test_what_we_only_noted_before_an_apply_is_not_ours(seen: Any, cluster: Cluster) -> None:
    """A run that was refused leaves references in the ledger of objects that are another's."""
    ref = Ref("apps/v1", "Deployment", "cert-manager", "cert-manager")
    entry = Entry(ref)
    objects = [namespace("cert-manager"), deployment(ref.namespace, ref.name, CONTROLLER)]
    with placed(cluster, [*objects, namespace("kserve-installer")], ready=False):
        record = ledgers.ComponentRecord("cert-manager", "0.15.1", "installing")
        for known, verdict in ((entry, "failed"), (replace(entry, seen="it"), "ok")):
            entries = {ref.identity: known}
            ledgers.write_component(cluster, record.with_entries(entries))
            assert seen()["existing-components"].verdict == verdict

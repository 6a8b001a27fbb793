"""Taking over what others installed, and clearing away what they left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from harness import RELEASE, MakePlace, Place

from installer.catalog.load import load_release
from installer.catalog.manifests import load_objects
from installer.catalog.sources import SourceOptions
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.events import Event, silent
from installer.core.objects import Object, Ref
from installer.operations.choice import InstallOptions, choose
from installer.operations.stale_webhooks import find_stale_webhooks, remove_stale_webhooks
from installer.plan.settings import Settings
from installer.plan.wanted import Wanted, wanted_of
from installer.preflight.stale_webhooks import Stale

pytestmark = pytest.mark.cluster

NAMESPACE = Ref("v1", "Namespace", "", "cert-manager")
CONTROLLER = Ref("apps/v1", "Deployment", "cert-manager", "cert-manager")
KIND = "ValidatingWebhookConfiguration"


@pytest.fixture(scope="module")
def there(place: MakePlace) -> Place:
    return place()


def cert_manager(shared: Path) -> Sequence[Wanted]:
    component = load_release(RELEASE).components[("cert-manager", "0.15.1")]
    options = SourceOptions(mirror=str(shared / "upstream"))
    objects = load_objects(component, options, silent, Cancel())
    return wanted_of(component, objects, lambda *_: None, Settings(), set())


def stale(name: str, webhook: str, **selector: Mapping[str, str]) -> Object:
    """A configuration that fails closed on Services and that nobody serves."""
    rule = {
        "operations": ["CREATE"],
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["services"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": KIND,
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": webhook,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {"service": {"namespace": "gone", "name": "gone"}},
                "rules": [rule],
                **selector,
            }
        ],
    }


def ref(name: str) -> Ref:
    return Ref("admissionregistration.k8s.io/v1", KIND, "", name)


@pytest.fixture
def left_over(there: Place) -> Iterator[Cluster]:
    """Two stale configurations of the stack and one of others that matches nothing of ours."""
    cluster = there.cluster()
    cluster.apply(stale("old-knative", "webhook.serving.knative.dev"), manager="kubectl")
    cluster.apply(stale("old-istio", "validation.istio.io"), manager="kubectl")
    elsewhere = {"matchLabels": {"policy": "on"}}
    policy = stale("policy", "policy.example.com", namespaceSelector=elsewhere)
    cluster.apply(policy, manager="kubectl")
    yield cluster
    for name in ("old-knative", "old-istio", "policy"):
        cluster.delete(ref(name))


def test_stale_webhooks_stop_the_install_and_a_dry_run_removes_none(
    there: Place, left_over: Cluster
) -> None:
    refused = there.installer.run("install", RELEASE)
    assert refused.code == 3
    assert "old-knative would refuse Service" in refused.finished["error"]["message"]
    assert "--remove-stale-webhooks" in refused.finished["error"]["remedy"]

    shown = there.installer.run("install", RELEASE, "--remove-stale-webhooks", "--dry-run")
    assert shown.code == 0, shown.finished
    told = [e for e in shown.of("object") if e["stage"] == "stale-webhooks"]
    assert sorted(e["object"]["name"] for e in told) == ["old-istio", "old-knative"]
    assert {e["action"] for e in told} == {"delete"}
    assert left_over.get(ref("old-knative")) is not None
    assert (refused.finished["writes"], shown.finished["writes"]) == (0, 0)


def test_each_is_asked_for_and_only_the_very_object_that_was_shown_goes(
    left_over: Cluster,
) -> None:
    cluster = left_over
    choice = choose(InstallOptions(RELEASE))
    found = find_stale_webhooks(cluster, cluster.identity(), choice)
    assert [item.ref.name for item in found] == ["old-istio", "old-knative"]
    asked: list[str] = []

    def ask(item: Stale) -> bool:
        asked.append(item.ref.name)
        return item.ref.name == "old-istio"

    events: list[Event] = []
    assert remove_stale_webhooks(cluster, found, ask, events.append) == 1
    assert asked == ["old-istio", "old-knative"]
    assert [event.fields["object"]["name"] for event in events] == ["old-istio"]
    assert cluster.get(ref("old-istio")) is None
    assert cluster.get(ref("old-knative")) is not None

    cluster.delete(ref("old-knative"))
    cluster.apply(stale("old-knative", "webhook.serving.knative.dev"), manager="kubectl")
    assert remove_stale_webhooks(cluster, found, lambda _: True, silent) == 0
    assert cluster.get(ref("old-knative")) is not None


@pytest.mark.timeout(400)
def test_stale_webhooks_go_and_a_component_of_kubectl_is_adopted(
    there: Place, left_over: Cluster, shared: Path
) -> None:
    cluster = left_over
    for name in ("old-knative", "old-istio"):
        cluster.delete(ref(name))
    wanted = cert_manager(shared)
    for item in wanted:
        cluster.apply(item.body, manager="kubectl-create")
    deployments = [item.ref for item in wanted if item.ref.kind == "Deployment"]
    wait_ready(cluster, deployments, deadline=60, cancel=Cancel())
    # one field is another's way: adopting takes it
    cluster.patch(CONTROLLER, {"metadata": {"labels": {"app": "theirs"}}}, manager="x")
    cluster.apply(stale("old-knative", "webhook.serving.knative.dev"), manager="kubectl")
    cluster.apply(stale("old-istio", "validation.istio.io"), manager="kubectl")

    words = ("install", RELEASE, "--remove-stale-webhooks", "--timeout", "5m")
    refused = there.installer.run(*words)
    assert refused.code == 3
    assert "cert-manager 0.15.1 is in namespace cert-manager already" in str(refused.finished)
    removed = [e["object"]["name"] for e in refused.of("object") if e["action"] == "deleted"]
    assert sorted(removed) == ["old-istio", "old-knative"]
    assert cluster.get(ref("old-knative")) is None
    assert cluster.get(ref("policy")) is not None, "it is not of the stack"

    ended = there.installer.run(*words, "--adopt", "cert-manager")
    assert ended.code == 0, ended.finished.get("error") or ended.stderr
    record = ledgers.read(cluster).components["cert-manager"]
    assert record.state == "installed"
    assert not record.entries[NAMESPACE.identity].created
    controller = cluster.get(CONTROLLER)
    assert controller is not None
    assert controller["metadata"]["labels"]["app"] == "cert-manager"

    again = there.installer.run("install", RELEASE)
    assert (again.code, again.finished["writes"]) == (0, 0)

    gone = there.installer.run("uninstall")
    assert gone.code == 0, gone.finished.get("error") or gone.stderr
    assert cluster.get(CONTROLLER) is None
    assert cluster.get(NAMESPACE) is not None, "it was there before us"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--adopt", "cert-manger"), "unknown-component"),
        (("--adopt", "cert-manager", "-f", "SETTINGS"), "adopt-external"),
    ],
)
def test_what_cannot_be_adopted_is_told_before_the_cluster_is_asked(
    there: Place, tmp_path: Path, words: tuple[str, ...], kind: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("apiVersion: kserve-installer/v1\nkind: Settings\nexternal: [cert-manager]\n")
    given = [str(file) if word == "SETTINGS" else word for word in words]
    refused = there.installer.run("install", RELEASE, *given)
    assert refused.code == 2
    assert refused.finished["error"]["kind"] == kind

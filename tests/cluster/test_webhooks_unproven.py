"""Webhooks that no request can prove, and kinds that the catalog knows, on a real API server.

Nobody serves these webhooks: their selectors match nothing, so they are never called.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from waits import PATIENCE, Following

from installer.catalog.model import WebhookProbe
from installer.cluster.candidates import Bodies, Candidates, Target
from installer.cluster.client import Cluster
from installer.cluster.probes import Specs
from installer.cluster.wait import wait_ready
from installer.cluster.webhooks import UNPROVABLE_SECONDS, wait_answering
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.events import Event
from installer.core.objects import Object, ref_of
from installer.sandbox.options import SandboxInfo

pytestmark = pytest.mark.cluster

NAMESPACE = "default"
SERVICE = "unproven"
CA = base64.b64encode(b"a certificate").decode()
NOWHERE = {"matchLabels": {"unproven.example.com/none": "none"}}


@pytest.fixture(scope="module")
def cluster(sandbox_of_module: SandboxInfo) -> Cluster:
    return Cluster.connect(kubeconfig=str(sandbox_of_module.kubeconfig))


@pytest.fixture(scope="module")
def sandbox_of_module(sandbox_factory: object) -> SandboxInfo:
    return sandbox_factory()  # type: ignore[operator, no-any-return]


def configuration(name: str, ca: str = CA) -> Object:
    """A webhook for ConfigMaps of namespaces that do not exist."""
    webhook = {
        "name": f"{name}.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "namespaceSelector": NOWHERE,
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["configmaps"],
                "operations": ["CREATE"],
            }
        ],
        "clientConfig": {
            "caBundle": ca,
            "service": {"namespace": NAMESPACE, "name": SERVICE},
        },
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }


def endpoints(*addresses: str) -> Object:
    subset = {"addresses": [{"ip": ip} for ip in addresses], "ports": [{"port": 443}]}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "subsets": [subset] if addresses else [],
    }


@pytest.fixture
def served(cluster: Cluster) -> Iterator[Cluster]:
    """The Service of the webhooks has a ready pod, as far as Endpoints tell."""
    cluster.apply(endpoints("192.0.2.1"), force=True)
    yield cluster
    cluster.delete(ref_of(endpoints()))
    for name in ("lone", "other"):
        cluster.delete(ref_of(configuration(name)))


def awaited(cluster: Cluster, *bodies: Object, deadline: float = PATIENCE) -> list[Event]:
    events: list[Event] = []
    refs = [ref_of(body) for body in bodies]
    for body in bodies:
        cluster.apply(body, force=True)
    try:
        wait_answering(cluster, refs, [], deadline=deadline, cancel=Cancel(), emit=events.append)
    except NotReady:
        assert events == [], "what is not ready was not accepted either"
        raise
    return events


def test_a_webhook_that_nothing_can_prove_is_accepted_with_a_warning(served: Cluster) -> None:
    events = awaited(served, configuration("lone"))
    assert [event.name for event in events] == ["warning"]
    fields = events[0].fields
    assert fields["object"] == "ValidatingWebhookConfiguration lone"
    assert fields["message"] == (
        "whether lone.example.com answers could not be proven, and it is taken to: "
        "nothing that its rules and selectors match can be sent here"
    )
    assert f"Service {NAMESPACE}/{SERVICE}" in fields["remedy"]


def test_webhooks_without_proof_do_not_vouch_for_each_other(served: Cluster) -> None:
    events = awaited(served, configuration("lone"), configuration("other"))
    assert sorted(event.fields["object"] for event in events) == [
        "ValidatingWebhookConfiguration lone",
        "ValidatingWebhookConfiguration other",
    ]


def test_before_its_time_is_up_a_webhook_without_proof_is_not_accepted(served: Cluster) -> None:
    with pytest.raises(NotReady, match="nothing that its rules and selectors match"):
        awaited(served, configuration("lone"), deadline=UNPROVABLE_SECONDS / 4)


def test_without_a_ready_pod_no_webhook_is_accepted(served: Cluster) -> None:
    served.apply(endpoints(), force=True)
    with pytest.raises(NotReady, match="has no ready pod"):
        awaited(served, configuration("lone"), deadline=UNPROVABLE_SECONDS + 2)


def test_what_passes_without_a_webhook_when_it_fails_does_not_prove_it(served: Cluster) -> None:
    body = configuration("lone")
    body["webhooks"][0]["namespaceSelector"] = {}
    events = awaited(served, body)
    assert [event.name for event in events] == ["warning"]
    assert "failurePolicy Ignore" in events[0].fields["message"]


GROUP = "models.example.com"
SPEC = {"size": -1}
CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"models.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Model", "plural": "models"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer"}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


def test_a_kind_that_is_new_needs_no_more_than_an_entry_of_the_catalog(cluster: Cluster) -> None:
    cluster.apply(CRD, force=True)
    ref = ref_of(CRD)
    wait_ready(cluster, [ref], deadline=PATIENCE, cancel=Cancel(), progress=Following())
    entry = configuration("models")["webhooks"][0]
    entry |= {"sideEffects": "Unknown", "namespaceSelector": {}}
    entry["rules"][0] |= {"apiGroups": [GROUP], "resources": ["models"]}
    target = Target(ref_of(configuration("models")), entry["name"], "mutating", entry, None)

    def asked(*probes: WebhookProbe) -> list[tuple[object, bool]]:
        bodies = Bodies(cluster, Specs(probes))
        found = Candidates(cluster, bodies, target, lambda: False).probes()
        return [(p.body["spec"], p.body["metadata"]["name"].endswith("_")) for p in found if p.body]

    try:
        denied = WebhookProbe(group=GROUP, kind="Model", denied=SPEC, reason="too small")
        assert asked(denied) == [(SPEC, False)], "it is asked for what it must deny"
        assert asked() == [({}, True), ({}, False)], "else for the smallest, by an invalid name"
    finally:
        cluster.delete(ref)

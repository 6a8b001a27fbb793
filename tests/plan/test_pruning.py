"""What is no longer wanted and may go, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from installer.catalog.load import load
from installer.catalog.model import Component, ObjectMatch
from installer.core.objects import ObjectId, Ref
from installer.plan.drift import Entry
from installer.plan.pruning import in_order, prunable
from installer.plan.settings import Settings

WEBHOOK = Ref("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "checks")
SERVICE = Ref("v1", "Service", "place", "webhook")
WORKLOAD = Ref("apps/v1", "Deployment", "place", "webhook")
SPACE = Ref("v1", "Namespace", "", "place")
CRD = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "models.example.com")
EVERYTHING = (SPACE, CRD, SERVICE, WORKLOAD, WEBHOOK)
ISTIO = load().components[("istio", "1.9.1")]


def owned(name: str, *refs: Ref) -> Mapping[str, Mapping[ObjectId, Entry]]:
    return {name: {ref.identity: Entry(ref) for ref in refs}}


def gone(
    keep: Sequence[Ref] = (), component: Component = ISTIO, settings: Settings | None = None
) -> set[Ref]:
    wanted = {ref.identity for ref in keep}
    found = prunable(owned("istio", *EVERYTHING), wanted, [component], settings or Settings())
    return set(found)


def test_namespaces_and_crds_stay_since_everything_in_them_would_go_too() -> None:
    assert gone() == {SERVICE, WORKLOAD, WEBHOOK}


def test_what_is_still_wanted_stays() -> None:
    assert gone(keep=[SERVICE, WEBHOOK]) == {WORKLOAD}


def test_what_the_catalog_says_is_never_pruned_stays() -> None:
    rule = ObjectMatch(kind="Service", name="web*", namespace="place")
    assert gone(component=replace(ISTIO, never_prune=(rule,))) == {WORKLOAD, WEBHOOK}


def test_what_a_component_holds_that_became_external_stays() -> None:
    assert gone(settings=Settings(external=("istio",))) == set()


def test_what_a_component_owns_that_the_release_no_longer_has_goes() -> None:
    assert set(prunable(owned("left-out", SERVICE), set(), [ISTIO], Settings())) == {SERVICE}


def test_webhooks_go_first_then_workloads_and_services_last() -> None:
    assert in_order([SERVICE, WORKLOAD, WEBHOOK]) == [WEBHOOK, WORKLOAD, SERVICE]

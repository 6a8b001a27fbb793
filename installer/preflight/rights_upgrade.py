"""Rights that an upgrade takes beside those to install each of its stops. Pure.

The list follows what the code does, request by request: `tests/preflight/test_rbac_upgrade.py`
upgrades and goes back with exactly these rights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from installer.catalog.facts import webhooks_of
from installer.core.objects import Object, Ref
from installer.plan.api_group import DEPENDENTS, PLURALS, without_pods
from installer.plan.stored import versions_of
from installer.plan.wanted import Wanted
from installer.preflight.rights_needed import Right, plural_of

_DEFINITIONS = "apiextensions.k8s.io"
_HOOKS = "admissionregistration.k8s.io"
_INFERENCE = "inferenceservices"
_CRD = "CustomResourceDefinition"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

Stop = Sequence[Wanted]
"""Every object of the release at one stop."""


def upgrading(stops: Sequence[Stop], groups: Sequence[str], *, backup: bool = True) -> set[Right]:
    """Rights to go through these stops in order, and back.

    groups: of InferenceServices, those of all releases on the way, in order; more than one where
    they are moved. backup: each hop writes one.
    """
    rights = set(_rewriting(stops))
    rights.update(_looking(groups))
    if backup:
        rights.update(_backing_up())
    for pair in pairwise(groups):
        rights.update(_moving(pair, stops))
    return rights


def _rewriting(stops: Sequence[Stop]) -> Iterator[Right]:
    """Objects whose stored version goes, at one stop or at the one before on the way back."""
    definitions: dict[str, list[Object]] = {}
    for stop in stops:
        for item in stop:
            if item.ref.kind == _CRD:
                definitions.setdefault(item.ref.name, []).append(item.body)
    for name, several in definitions.items():
        if len({frozenset(versions_of(body).names) for body in several}) == 1:
            continue
        spec = several[0]["spec"]
        yield Right("", spec["group"], spec["names"]["plural"], "update")
        yield Right("", _DEFINITIONS, "customresourcedefinitions/status", "patch", name)


def asking(gateway: str) -> set[Right]:
    """Rights to ask models through the gateway in this namespace where its Service has no address
    that answers: by a node's port, or by port-forward.

    A WebSocket is a GET; from Kubernetes 1.35 on it takes the right to create as well
    (kubernetes/enhancements, 4006).
    """
    forward = {Right(gateway, "", "pods/portforward", verb) for verb in ("get", "create")}
    return {Right("", "", "nodes", "list"), *forward}


def _looking(groups: Iterable[str]) -> Iterator[Right]:
    """Is every InferenceService as well as before, and would the webhooks admit it."""
    for group in groups:
        yield Right("", group, _INFERENCE, "get")
        yield Right("", group, _INFERENCE, "patch")


def _backing_up() -> Iterator[Right]:
    """Namespaces of users, with the Secrets, ConfigMaps and ServiceAccounts that their objects
    name."""
    for resource, verbs in (
        ("namespaces", ("get",)),
        ("configmaps", ("get",)),
        ("secrets", ("get", "list")),
        ("serviceaccounts", ("list",)),
    ):
        for verb in verbs:
            yield Right("", "", resource, verb)


def _moving(groups: tuple[str, str], stops: Sequence[Stop]) -> Iterator[Right]:
    """Objects made anew in another API group, and what they own handed over to them."""
    for group in groups:
        for plural in PLURALS.values():
            for verb in ("get", "create", "patch", "delete"):
                yield Right("", group, plural, verb)
        # one that was changed meanwhile is written whole; so are those stored at several versions
        yield Right("", group, _INFERENCE, "update")
    yield from _several_versions(groups, stops)
    for api_version, kind in DEPENDENTS:
        group = Ref(api_version, kind, "", "").group
        for verb in ("get", "list", "patch"):
            yield Right("", group, plural_of(kind), verb)
    for verb in ("list", "patch"):
        yield Right("", "", "secrets", verb)
    for item in (item for stop in stops for item in stop if item.ref.kind in _WEBHOOKS):
        if not _called_for(item.body, groups):
            continue
        hooks = webhooks_of(item.body)
        if without_pods(hooks)[0]:  # what is left when the others go: else it is deleted
            yield Right("", _HOOKS, plural_of(item.ref.kind), "update", item.ref.name)
        for hook in hooks:
            place = hook["clientConfig"]["service"]["namespace"]
            for kind in ("StatefulSet", "Deployment"):
                yield Right(place, "apps", plural_of(kind), "list")


def _several_versions(groups: Iterable[str], stops: Sequence[Stop]) -> Iterator[Right]:
    """Kinds that are moved and may be stored at more than one version: written at one before."""
    moved = {f"{plural}.{group}" for group in groups for plural in PLURALS.values()}
    for item in (item for stop in stops for item in stop if item.ref.kind == _CRD):
        if item.ref.name in moved and len(versions_of(item.body).names) > 1:
            spec = item.body["spec"]
            yield Right("", spec["group"], spec["names"]["plural"], "update")
            name = item.ref.name
            yield Right("", _DEFINITIONS, "customresourcedefinitions/status", "patch", name)


def _called_for(configuration: Object, groups: Iterable[str]) -> bool:
    return any(
        set(groups) & set(rule.get("apiGroups") or [])
        for hook in webhooks_of(configuration)
        for rule in hook.get("rules") or []
    )

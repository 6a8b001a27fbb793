"""Every right that installing, watching and removing a release takes. Pure.

The list follows what the code does, request by request: `tests/preflight/test_rbac.py` installs
and uninstalls with exactly these rights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.catalog.facts import services_called, webhooks_of
from installer.catalog.model import Component
from installer.cluster import ledger as ledgers
from installer.cluster.candidates import in_order
from installer.cluster.lock import LEASE
from installer.cluster.probes import Specs
from installer.cluster.registrations import matches
from installer.core.objects import Object, Ref, dig
from installer.plan.wanted import Wanted

ROLES = "rbac.authorization.k8s.io"
_CRD = "CustomResourceDefinition"
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
_HOME = ledgers.NAMESPACE
GIVING = ("escalate", "bind")
"""Verbs that let somebody give more than they hold."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource. namespace: empty for all; name: empty for any."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {kind}" + (f" {self.name}" if self.name else "")


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that is written or bound, so that its rules are given to others.

    ref: the object that gives them. right: `escalate` on the role, or `bind` on the one that a
    binding names. rules: what is given; None when the role is not one of ours. all_of_all: an
    aggregated role, for which only the right itself will do.
    """

    ref: Ref
    right: Right
    rules: Sequence[Mapping[str, Any]] | None
    all_of_all: bool = False


def plural_of(kind: str) -> str:
    """The resource of a built-in kind.

    Source: k8s.io/apimachinery/pkg/api/meta, UnsafeGuessKindToResource.
    """
    lower = kind.lower()
    if lower in ("endpoints",):
        return lower
    if lower.endswith("s"):
        return f"{lower}es"
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}s"


@dataclass(frozen=True, slots=True)
class _Kind:
    group: str
    kind: str
    plural: str
    namespaced: bool
    definition: Object


class _Kinds:
    """Resources of kinds: those of the release's CRDs, and the built-in ones."""

    def __init__(self, wanted: Iterable[Wanted]) -> None:
        self.own: dict[tuple[str, str], _Kind] = {}
        self.component: dict[str, list[_Kind]] = {}
        for item in wanted:
            if item.ref.kind != _CRD:
                continue
            spec = item.body["spec"]
            names = spec["names"]
            kind = _Kind(
                spec["group"],
                names["kind"],
                names["plural"],
                spec.get("scope") != "Cluster",
                item.body,
            )
            self.own[(kind.group, kind.kind)] = kind
            self.component.setdefault(item.component, []).append(kind)

    def resource(self, group: str, kind: str) -> str:
        own = self.own.get((group, kind))
        return own.plural if own else plural_of(kind)


def needed(
    wanted: Sequence[Wanted],
    components: Sequence[Component],
    external: Sequence[Component] = (),
    *,
    custom_resources: bool = False,
) -> list[Right]:
    """Rights to install, watch and remove these objects of these components, sorted.

    external: components that others run and that are only looked at. custom_resources: to delete
    what users made of the release's kinds as well. What `grants` names is not in the list.
    """
    kinds = _Kinds(wanted)
    rights: set[Right] = set(_home(components))
    for item in wanted:
        rights.update(_object(item, kinds.resource(item.ref.group, item.ref.kind)))
    rights.update(_custom(kinds, delete=custom_resources))
    rights.update(_waiting(wanted))
    specs = {component.name: Specs(component.webhook_probes) for component in components}
    rights.update(_probes(wanted, kinds, specs))
    rights.update(_made(components, kinds))
    for component in external:
        rights.add(Right(component.namespace, "apps", "deployments", "list"))
    return sorted(without_covered(rights))


def grants(wanted: Sequence[Wanted]) -> list[Grant]:
    """The roles that these objects write or bind (Kubernetes' prevention of escalation)."""
    roles = {
        (item.ref.kind, item.ref.namespace, item.ref.name): item.body
        for item in wanted
        if item.ref.group == ROLES and item.ref.kind in ("Role", "ClusterRole")
    }
    found = []
    for item in wanted:
        ref, body = item.ref, item.body
        if ref.group != ROLES:
            continue
        if ref.kind in ("Role", "ClusterRole"):
            right = Right(ref.namespace, ROLES, plural_of(ref.kind), "escalate", ref.name)
            rules = body.get("rules") or []
            found.append(Grant(ref, right, rules, bool(body.get("aggregationRule"))))
        else:
            target = body["roleRef"]
            right = Right(ref.namespace, ROLES, plural_of(target["kind"]), "bind", target["name"])
            place = "" if target["kind"] == "ClusterRole" else ref.namespace
            role = roles.get((target["kind"], place, target["name"]))
            rules = None if role is None else role.get("rules") or []
            found.append(Grant(ref, right, rules, bool(role and role.get("aggregationRule"))))
    return found


def _home(components: Sequence[Component]) -> Iterator[Right]:
    """The namespace of ledger and lock."""
    for verb in ("list", "watch"):
        yield Right("", "", "namespaces", verb)
    for verb in ("get", "create", "patch", "delete"):
        yield Right("", "", "namespaces", verb, _HOME)
    yield Right(_HOME, "", "configmaps", "list")
    for name in (ledgers.STACK, *(ledgers.PREFIX + c.name for c in components)):
        for verb in ("create", "patch", "delete"):
            yield Right(_HOME, "", "configmaps", verb, name)
    yield Right(_HOME, LEASE.group, "leases", "create")
    for verb in ("get", "update", "delete"):
        yield Right(_HOME, LEASE.group, "leases", verb, LEASE.name)


def _object(item: Wanted, resource: str) -> Iterator[Right]:
    """To see what is there, to apply, to see it go."""
    ref = item.ref
    for verb in ("list", "watch"):
        yield Right(ref.namespace, ref.group, resource, verb)
    for verb in ("get", "delete"):
        yield Right(ref.namespace, ref.group, resource, verb, ref.name)
    if item.create_only:
        yield Right(ref.namespace, ref.group, resource, "create")
        return
    # a server-side apply that creates has a name, so both verbs can be limited to it
    for verb in ("create", "patch"):
        yield Right(ref.namespace, ref.group, resource, verb, ref.name)


def _custom(kinds: _Kinds, *, delete: bool) -> Iterator[Right]:
    """Objects of the release's own kinds, wherever: an uninstall would lose them."""
    for kind in kinds.own.values():
        for verb in ("list", "watch", *(("delete",) if delete else ())):
            yield Right("", kind.group, kind.plural, verb)


def _waiting(wanted: Sequence[Wanted]) -> Iterator[Right]:
    """What tells why a workload is not ready, and whether a webhook's Service has endpoints."""
    for namespace in {w.ref.namespace for w in wanted if w.ref.kind in _WORKLOADS}:
        for resource in ("pods", "events"):
            for verb in ("list", "watch"):
                yield Right(namespace, "", resource, verb)
        yield Right(namespace, "apps", "replicasets", "list")
    for service in {service for w in wanted for service in services_called(w.body)}:
        for verb in ("list", "watch"):
            yield Right(service.namespace, "", "endpoints", verb)


def _made(components: Sequence[Component], kinds: _Kinds) -> Iterator[Right]:
    """What controllers leave behind and an uninstall removes."""
    for component in components:
        for rule in component.makes:
            group = Ref(rule.api_version, "", "", "").group
            resource = kinds.resource(group, rule.kind)
            for verb in ("list", "watch"):
                yield Right(rule.namespace, group, resource, verb)
            name = "" if "*" in rule.name else rule.name
            yield Right(rule.namespace, group, resource, "delete", name)


def _probes(wanted: Sequence[Wanted], kinds: _Kinds, specs: Mapping[str, Specs]) -> Iterator[Right]:
    """Creates that prove webhooks and store nothing: dry runs, and ones that must be refused."""
    spaces: dict[str, Mapping[str, str]] = {_HOME: {}, "default": {}}
    for item in wanted:
        if item.ref.kind == "Namespace":
            spaces[item.ref.name] = dig(item.body, "metadata", "labels", default={})
    for kind in kinds.own.values():
        yield from _conversion(kind)
    for item in wanted:
        for webhook in webhooks_of(item.body):
            space = _first(webhook.get("namespaceSelector"), spaces)
            known = specs.get(item.component, Specs())
            for group, plural, namespaced in _probed(webhook, kinds, item.component, known):
                if space is not None or not namespaced:
                    place = space or "" if namespaced else ""
                    yield Right(place, group, plural, "create")


def _conversion(kind: _Kind) -> Iterator[Right]:
    if dig(kind.definition, "spec", "conversion", "strategy") != "Webhook":
        return
    for service in services_called(kind.definition):
        for namespace in (_HOME, service.namespace) if kind.namespaced else ("",):
            yield Right(namespace, kind.group, kind.plural, "create")


def _first(selector: Any, spaces: Mapping[str, Mapping[str, str]]) -> str | None:
    """The namespace that a probe takes first among those of the release."""
    return next((n for n in in_order(spaces) if matches(selector, dict(spaces[n]))), None)


def _probed(
    webhook: Mapping[str, Any], kinds: _Kinds, component: str, specs: Specs
) -> list[tuple[str, str, bool]]:
    """(group, resource, namespaced) of what a webhook may be asked with.

    Rules that a controller fills at run time are not known here: they are about the component's
    own kinds and ConfigMaps.
    """
    rules = webhook.get("rules") or []
    own = [kind for kind in kinds.own.values() if not rules or _meant(kind, rules)]
    if not rules:
        own = kinds.component.get(component, [])
    known = [kind for kind in own if specs.knows(kind.group, kind.kind)] or own
    found = [(kind.group, kind.plural, kind.namespaced) for kind in known]
    for kind in ("Pod", "ConfigMap"):
        if any("" in r["apiGroups"] and plural_of(kind) in r["resources"] for r in rules):
            found.append(("", plural_of(kind), True))
    return found if rules else [*found, ("", "configmaps", True)]


def _meant(kind: _Kind, rules: Sequence[Mapping[str, Any]]) -> bool:
    return any(
        {kind.group, "*"} & set(rule.get("apiGroups") or [])
        and {kind.plural, "*", "*/*"} & set(rule.get("resources") or [])
        for rule in rules
    )


def without_covered(rights: Collection[Right]) -> Iterator[Right]:
    """Those that no wider one of the list gives already."""
    every = set(rights)
    for right in every:
        wider = {
            Right(namespace, right.group, right.resource, right.verb, name)
            for namespace in {"", right.namespace}
            for name in {"", right.name}
        }
        if not (wider - {right}) & every:
            yield right

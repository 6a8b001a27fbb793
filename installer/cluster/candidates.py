"""Which requests could prove a webhook, found from its rules and selectors on the live cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.discovery import Resource
from installer.cluster.errors import ApiError
from installer.cluster.ledger import NAMESPACE
from installer.cluster.probes import (
    Phase,
    Probe,
    Specs,
    allows_dry_run,
    create,
    read_one,
    touch,
)
from installer.cluster.registrations import Backend, labels_matching, matches
from installer.cluster.schemas import smallest_object
from installer.core.objects import Object, Ref, dig

_KINDS_TRIED = 6
_PREFERRED_NAMESPACES = (NAMESPACE, "default")


@dataclass(frozen=True, slots=True)
class Target:
    """One webhook to prove. ref: its configuration or CRD. name: as error messages name it.

    entry: the webhook as in its configuration; for conversion the CRD's essentials (`group`,
    `kind`, `versions`: the served ones, the stored one first).
    """

    ref: Ref
    name: str
    phase: Phase
    entry: Mapping[str, Any]
    backend: Backend | None

    @property
    def key(self) -> tuple[str, str, str]:
        """Identifies the target while its configuration changes."""
        return (self.ref.kind, self.ref.name, self.name)


class Bodies:
    """Objects to send, by kind. Definitions are large: read one at a time, and not kept."""

    def __init__(self, cluster: Cluster, specs: Specs) -> None:
        self.specs = specs
        self._cluster = cluster
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, bool], Object | None] = {}

    def of(self, resource: Resource, *, denied: bool) -> Object | None:
        """An object of a kind without metadata, one that its webhook denies where asked for and
        known; None for built-in kinds but Pod and ConfigMap."""
        key = (resource.api_version, resource.kind, denied)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(resource, denied)
            return self._made[key]

    def _make(self, resource: Resource, denied: bool) -> Object | None:
        group, _, version = resource.api_version.rpartition("/")
        spec = self.specs.of(group, resource.kind, version, denied=denied)
        if not group:
            if resource.kind == "Pod":
                spec = {"automountServiceAccountToken": False, **(spec or {})}
                return {"apiVersion": "v1", "kind": "Pod", "spec": spec}
            config_map = {"apiVersion": "v1", "kind": "ConfigMap"}
            return config_map if resource.kind == "ConfigMap" else None
        name = f"{resource.plural}.{group}"
        ref = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name)
        definition = _or_none(lambda: self._cluster.get(ref))
        return smallest_object(definition, version, spec) if definition else None


class Candidates:
    """Finds the probes for one target.

    dry_run_refused: whether another webhook of the kind was met that refuses dry runs.
    """

    def __init__(
        self,
        cluster: Cluster,
        bodies: Bodies,
        target: Target,
        dry_run_refused: Callable[[], bool],
    ) -> None:
        self._cluster = cluster
        self._bodies = bodies
        self._target = target
        self._dry_run_refused = dry_run_refused

    def probes(self) -> Iterator[Probe]:
        """Probes, the most telling first, made as they are asked for. Raises ApiError when the
        cluster cannot be read."""
        if self._target.phase == "conversion":
            return self._conversion_probes()
        return self._admission_probes()

    def _conversion_probes(self) -> Iterator[Probe]:
        entry = self._target.entry
        for version in entry["versions"][1:] or entry["versions"]:
            resource = self._find(f"{entry['group']}/{version}", entry["kind"])
            if resource is None:
                continue
            yield read_one(resource.path())
            body = self._bodies.of(resource, denied=False)
            for namespace in self._conversion_namespaces(resource) if body else ():
                yield create(resource.path(namespace), body or {}, dry_run=True)

    def _conversion_namespaces(self, resource: Resource) -> Iterator[str]:
        """Any namespace, and the webhook's own: validating webhooks often leave that one out,
        and what they deny is never converted."""
        chosen = self._namespace(resource, None)
        if chosen is not None:
            yield chosen
        backend = self._target.backend
        if chosen and backend is not None and backend.namespace != chosen:
            yield backend.namespace

    def _admission_probes(self) -> Iterator[Probe]:
        entry = self._target.entry
        labels = labels_matching(entry.get("objectSelector"))
        if labels is None:
            return
        resources = self._resources()[:_KINDS_TRIED]
        for resource, operations in resources:
            namespace = self._namespace(resource, entry.get("namespaceSelector"))
            if namespace is not None and operations & {"CREATE", "*"}:
                yield from self._creates(resource, namespace, labels)
        for resource, operations in resources:
            if operations & {"UPDATE", "*"} and allows_dry_run(entry):
                yield from self._touches(resource)

    def _creates(
        self, resource: Resource, namespace: str, labels: Mapping[str, str]
    ) -> Iterator[Probe]:
        path = resource.path(namespace)
        body = self._bodies.of(resource, denied=True)
        if body is None:
            return
        if labels:
            body = {**body, "metadata": {"labels": dict(labels)}}
        if allows_dry_run(self._target.entry):
            yield create(path, body, dry_run=True)
            if not self._dry_run_refused():
                return
        group, _, version = resource.api_version.rpartition("/")
        denied = self._bodies.specs.denies(group, resource.kind, version)
        if self._target.phase == "mutating" and not denied:
            yield create(path, body, dry_run=False, invalid_name=True)
        yield create(path, body, dry_run=False)

    def _touches(self, resource: Resource) -> Iterator[Probe]:
        """Updates of an object that exists and that the webhook's selectors match."""
        entry = self._target.entry
        page = _or_none(
            lambda: self._cluster.request(
                "GET", resource.path(), query={"limit": "50"}, about=f"list of {resource.kind}"
            )
        )
        if page is None:
            return
        spaces = self._namespaces() if resource.namespaced else {}
        for item in page.get("items") or []:
            labels = dig(item, "metadata", "labels", default={})
            namespace = dig(item, "metadata", "namespace", default="")
            around = spaces.get(namespace, {})
            if namespace and not matches(entry.get("namespaceSelector"), around):
                continue
            if matches(entry.get("objectSelector"), labels):
                yield touch(resource.path(namespace, item["metadata"]["name"]))
                return

    def _resources(self) -> list[tuple[Resource, set[str]]]:
        """What the rules name and the server serves, with operations; known kinds first."""
        found: dict[tuple[str, str], tuple[Resource, set[str]]] = {}
        for rule in self._target.entry.get("rules") or []:
            operations = set(rule.get("operations") or [])
            for resource in self._matching(rule):
                have = found.setdefault((resource.api_version, resource.kind), (resource, set()))
                have[1].update(operations)
        return sorted(
            found.values(),
            key=lambda pair: (
                not self._bodies.specs.knows(pair[0].api_version.rpartition("/")[0], pair[0].kind),
                pair[0].api_version,
                pair[0].plural,
            ),
        )

    def _matching(self, rule: Mapping[str, Any]) -> Iterator[Resource]:
        patterns = {str(p).partition("/")[0] for p in rule.get("resources") or [] if _whole(p)}
        discovery = self._cluster.discovery()
        for api_version in self._api_versions(rule):
            kinds = discovery.kinds(api_version).values()
            if not _covers(kinds, patterns):
                discovery.forget([api_version])  # it may be newer than what we know
                kinds = discovery.kinds(api_version).values()
            for resource in kinds:
                scope = "Namespaced" if resource.namespaced else "Cluster"
                in_scope = rule.get("scope") in (None, "*", scope)
                named = "*" in patterns or resource.plural in patterns
                if named and in_scope and "create" in resource.verbs:
                    yield resource

    def _api_versions(self, rule: Mapping[str, Any]) -> Iterator[str]:
        """What a rule names; for `*` as group the core's, as version all, preferred first."""
        for group in rule.get("apiGroups") or []:
            group = "" if group == "*" else group
            versions: Iterable[str] = rule.get("apiVersions") or []
            if "*" in versions:
                versions = self._cluster.discovery().versions(group)
            yield from (f"{group}/{version}" if group else version for version in versions)

    def _find(self, api_version: str, kind: str) -> Resource | None:
        discovery = self._cluster.discovery()
        found = discovery.find(api_version, kind)
        if found is None:
            discovery.forget([api_version])
            found = discovery.find(api_version, kind)
        return found

    def _namespaces(self) -> dict[str, dict[str, str]]:
        """Labels of the namespaces that are not being deleted, by name."""
        listed = self._cluster.list("v1", "Namespace").items
        active = [n for n in listed if not dig(n, "metadata", "deletionTimestamp")]
        return {n["metadata"]["name"]: dig(n, "metadata", "labels", default={}) for n in active}

    def _namespace(self, resource: Resource, selector: Mapping[str, Any] | None) -> str | None:
        """A namespace that the selector matches; empty for cluster scope, None without one."""
        if not resource.namespaced:
            return ""
        spaces = self._namespaces()
        return next((n for n in in_order(spaces) if matches(selector, spaces[n])), None)


def in_order(namespaces: Collection[str]) -> list[str]:
    """Those that a probe may be sent to, as they are tried: ours first, Kubernetes' own never."""
    first = [name for name in _PREFERRED_NAMESPACES if name in namespaces]
    return first + sorted(n for n in namespaces if n not in first and not n.startswith("kube-"))


def _or_none(read: Callable[[], Any]) -> Any:
    """None where we may not look: other requests may still prove the webhook."""
    try:
        return read()
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        return None


def _whole(pattern: str) -> bool:
    """Whether a resource pattern means objects and not only a subresource of theirs."""
    return "/" not in pattern or pattern.endswith("/*")


def _covers(kinds: Iterable[Resource], patterns: set[str]) -> bool:
    plurals = {resource.plural for resource in kinds}
    return bool(plurals) if "*" in patterns else patterns <= plurals

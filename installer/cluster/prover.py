"""Proves one webhook at a time: chooses probes for it, sends them, judges the answers.

A webhook counts as answering after three successes in a row. Webhooks that the same request
proves share its answers: a mutating and a validating webhook of one kind cost three requests,
not six.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.discovery import Resource
from installer.cluster.errors import ApiError, Failure
from installer.cluster.probes import (
    Answer,
    Phase,
    Probe,
    allows_dry_run,
    create,
    denies,
    is_known,
    judge,
    read_one,
    spec_for,
    touch,
)
from installer.cluster.registrations import Backend, labels_matching, matches
from installer.cluster.schemas import smallest_object
from installer.core.objects import Object, Ref, dig

IN_A_ROW = 3
SETTLE = 0.1
"""Seconds between the first and the last of the successes, when none came from the webhook itself:
an API server that has not seen the configuration yet lets everything pass."""
FIRST_PAUSE, LAST_PAUSE = 0.05, 1.0
_BLOCKED_TRIES = 30
_REQUEST_SECONDS = 45.0
"""More than the 30 s that an API server waits for a webhook at most."""
_PARALLEL = 8
_KINDS_TRIED = 6
_PREFERRED_NAMESPACES = ("kserve-installer", "default")


@dataclass(frozen=True, slots=True)
class Target:
    """One webhook to prove. ref: its configuration or CRD. name: as error messages name it.

    entry: the webhook as in its configuration; for conversion the CRD's essentials (`group`,
    `kind`, `plural`, `versions`: the served ones, the stored one first).
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


class Senders:
    """Sends probes, each only once for all that want its answer, a few at a time."""

    def __init__(self, cluster: Cluster, on_stored: Callable[[Object], None]) -> None:
        self._cluster = cluster
        self._on_stored = on_stored
        self._guard = threading.Lock()
        self._channels: dict[bytes, _Channel] = {}
        self._slots = threading.Semaphore(_PARALLEL)

    def channel(self, probe: Probe) -> _Channel:
        """The shared answers of a probe."""
        with self._guard:
            return self._channels.setdefault(probe.key, _Channel(self, probe))

    def send(self, probe: Probe) -> Answer:
        """Send once."""
        with self._slots:
            try:
                body = self._cluster.request(
                    probe.method,
                    probe.path,
                    query=dict(probe.query),
                    body=probe.body,
                    content_type=probe.content_type,
                    deadline=_REQUEST_SECONDS,
                    retry=False,
                    about="webhook probe",
                )
            except ApiError as error:
                return Answer(None, error.failure)
        if probe.must_fail:
            self._on_stored(body)
        return Answer(body, None)


class _Channel:
    """The answers to one probe in order; who asks for one that is not there yet sends."""

    def __init__(self, senders: Senders, probe: Probe) -> None:
        self._senders = senders
        self._probe = probe
        self._lock = threading.Lock()
        self._answers: list[Answer] = []

    def now(self) -> int:
        """Index of the next answer."""
        return len(self._answers)

    def answer(self, index: int) -> Answer:
        with self._lock:
            if len(self._answers) <= index:
                self._answers.append(self._senders.send(self._probe))
            return self._answers[index]


class Prover:
    """Proves one target; `run` is for a thread of its own and ends early after `stop`."""

    def __init__(
        self,
        cluster: Cluster,
        senders: Senders,
        target: Target,
        report: Callable[[Prover, str, Failure | Exception | None], None],
    ) -> None:
        self.target = target
        self._cluster = cluster
        self._senders = senders
        self._report = report
        self._stopped = threading.Event()
        self._dry_run_refused = False

    def stop(self) -> None:
        """Send nothing more; returns at once."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """True once `stop` was called."""
        return self._stopped.is_set()

    def run(self) -> None:
        """Report `answered`, or `unproven` when no request can tell, or `broken` with what made it
        impossible to go on; `failing` meanwhile."""
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                for probe in self._probes():
                    if self._stopped.is_set():
                        return
                    if self._prove(probe):
                        self._report(self, "answered", None)
                        return
                self._report(self, "unproven", None)
                return
            except ApiError as error:  # choosing probes reads the cluster
                self._report(self, "failing", error.failure)
                self._stopped.wait(pause)
                pause = min(LAST_PAUSE, pause * 2)
            except Exception as error:  # raised where reports are read, not lost in a thread
                self._report(self, "broken", error)
                return

    def _prove(self, probe: Probe) -> bool:
        """True when proven, False when this probe cannot tell (or we were stopped)."""
        channel = self._senders.channel(probe)
        index, pause, blocked = channel.now(), FIRST_PAUSE, 0
        row, began = 0, 0.0
        while not self._stopped.is_set():
            answer = channel.answer(index)
            index += 1
            proof = judge(self.target.phase, self.target.name, answer)
            if proof in ("strong", "weak"):
                began = began if row else time.monotonic()
                row += 1
                pause = FIRST_PAUSE
                if row >= IN_A_ROW and (proof == "strong" or time.monotonic() - began >= SETTLE):
                    return True
                if proof == "weak":
                    self._stopped.wait(SETTLE / 2)
                continue
            row = 0
            failure = answer.failure
            if failure is not None and failure.kind == "dry-run-unsupported":
                self._dry_run_refused = True
            blocked = blocked + 1 if proof == "blocked" and not _passing(failure) else 0
            if proof == "unproven" or blocked >= _BLOCKED_TRIES:
                return False
            self._report(self, "failing", failure)
            self._stopped.wait(pause * random.uniform(0.5, 1.0))  # not in step with what flaps
            pause = min(LAST_PAUSE, pause * 2)
        return False

    def _probes(self) -> Iterator[Probe]:
        if self.target.phase == "conversion":
            return self._conversion_probes()
        return self._admission_probes()

    def _conversion_probes(self) -> Iterator[Probe]:
        entry = self.target.entry
        for version in entry["versions"][1:] or entry["versions"]:
            resource = self._find(f"{entry['group']}/{version}", entry["kind"])
            if resource is None:
                continue
            yield read_one(resource.path())
            body = self._body(resource, {}, denied=False)
            for namespace in self._conversion_namespaces(resource) if body else ():
                yield create(resource.path(namespace), body or {}, dry_run=True)

    def _conversion_namespaces(self, resource: Resource) -> Iterator[str]:
        """Any namespace, and the webhook's own: validating webhooks often leave that one out,
        and what they deny is never converted."""
        chosen = self._namespace(resource, None)
        if chosen is not None:
            yield chosen
        backend = self.target.backend
        if chosen and backend is not None and backend.namespace != chosen:
            yield backend.namespace

    def _admission_probes(self) -> Iterator[Probe]:
        entry = self.target.entry
        labels = labels_matching(entry.get("objectSelector"))
        if labels is None:
            return
        resources = self._resources()[:_KINDS_TRIED]
        for resource, operations in resources:
            namespace = self._namespace(resource, entry.get("namespaceSelector"))
            if namespace is None or not operations & {"CREATE", "*"}:
                continue
            yield from self._creates(resource, namespace, labels)
        for resource, operations in resources:
            if operations & {"UPDATE", "*"} and allows_dry_run(entry):
                yield from self._touches(resource)

    def _creates(
        self, resource: Resource, namespace: str, labels: Mapping[str, str]
    ) -> Iterator[Probe]:
        path = resource.path(namespace)
        body = self._body(resource, labels, denied=True)
        if body is None:
            return
        if allows_dry_run(self.target.entry):
            yield create(path, body, dry_run=True)
            if not self._dry_run_refused:  # by another webhook of the same kind
                return
        version = resource.api_version.rpartition("/")[2]
        if self.target.phase == "mutating" and not denies(_group(resource), resource.kind, version):
            yield create(path, body, dry_run=False, invalid_name=True)
        yield create(path, body, dry_run=False)

    def _touches(self, resource: Resource) -> Iterator[Probe]:
        """Updates of an object that exists and that the webhook's selectors match."""
        entry = self.target.entry
        page = self._cluster.request(
            "GET", resource.path(), query={"limit": "50"}, about=f"list of {resource.kind}"
        )
        spaces = self._namespaces() if resource.namespaced else {}
        for item in page.get("items") or []:
            labels = dig(item, "metadata", "labels", default={})
            namespace = dig(item, "metadata", "namespace", default="")
            if not matches(entry.get("objectSelector"), labels):
                continue
            if namespace and not matches(entry.get("namespaceSelector"), spaces.get(namespace, {})):
                continue
            yield touch(resource.path(namespace, item["metadata"]["name"]))
            return

    def _resources(self) -> list[tuple[Resource, set[str]]]:
        """What the rules name and the server serves, with operations; known kinds first."""
        found: dict[tuple[str, str], tuple[Resource, set[str]]] = {}
        for rule in self.target.entry.get("rules") or []:
            operations = set(rule.get("operations") or [])
            for resource in self._matching(rule):
                have = found.setdefault((resource.path_prefix, resource.plural), (resource, set()))
                have[1].update(operations)
        return sorted(
            found.values(),
            key=lambda pair: (
                not is_known(_group(pair[0]), pair[0].kind),
                pair[0].path_prefix,
                pair[0].plural,
            ),
        )

    def _matching(self, rule: Mapping[str, Any]) -> Iterator[Resource]:
        patterns = {str(p).partition("/")[0] for p in rule.get("resources") or [] if _whole(p)}
        discovery = self._cluster.discovery()
        for group in rule.get("apiGroups") or []:
            for version in self._versions("" if group == "*" else group, rule):
                api_version = f"{group}/{version}" if group not in ("", "*") else version
                kinds = discovery.kinds(api_version).values()
                if not _covers(kinds, patterns):
                    discovery.forget([api_version])  # it may be newer than what we know
                    kinds = discovery.kinds(api_version).values()
                for resource in kinds:
                    in_scope = rule.get("scope") in (
                        None,
                        "*",
                        "Namespaced" if resource.namespaced else "Cluster",
                    )
                    named = "*" in patterns or resource.plural in patterns
                    if named and in_scope and "create" in resource.verbs:
                        yield resource

    def _versions(self, group: str, rule: Mapping[str, Any]) -> Iterable[str]:
        """The versions a rule names, all served ones for `*`, the preferred one first."""
        named = list(rule.get("apiVersions") or [])
        if "*" not in named:
            return named
        return self._cluster.discovery().versions(group)

    def _find(self, api_version: str, kind: str) -> Resource | None:
        found = self._cluster.discovery().find(api_version, kind)
        if found is None:
            found = self._cluster.refresh_discovery().find(api_version, kind)
        return found

    def _namespaces(self) -> dict[str, dict[str, str]]:
        """Labels of the active namespaces by name."""
        listed = self._cluster.list("v1", "Namespace").items
        active = [n for n in listed if not dig(n, "metadata", "deletionTimestamp")]
        return {n["metadata"]["name"]: dig(n, "metadata", "labels", default={}) for n in active}

    def _namespace(self, resource: Resource, selector: Mapping[str, Any] | None) -> str | None:
        """A namespace that the selector matches; empty for cluster scope, None without one."""
        if not resource.namespaced:
            return ""
        spaces = self._namespaces()
        order = [n for n in _PREFERRED_NAMESPACES if n in spaces]
        order += sorted(n for n in spaces if n not in order and not n.startswith("kube-"))
        return next((n for n in order if matches(selector, spaces[n])), None)

    def _body(
        self, resource: Resource, labels: Mapping[str, str], *, denied: bool
    ) -> Object | None:
        """An object of a kind; None for built-in kinds but Pod and ConfigMap."""
        group, _, version = resource.api_version.rpartition("/")
        spec = spec_for(group, resource.kind, version, denied=denied)
        metadata = {"metadata": {"labels": dict(labels)}} if labels else {}
        if resource.kind == "ConfigMap" and not group:
            return {"apiVersion": "v1", "kind": "ConfigMap", **metadata}
        if resource.kind == "Pod" and not group:
            body = {"automountServiceAccountToken": False, **(spec or {})}
            return {"apiVersion": "v1", "kind": "Pod", **metadata, "spec": body}
        name = f"{resource.plural}.{group}"
        ref = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name)
        definition = self._cluster.get(ref)
        if definition is None:
            return None
        return {**smallest_object(definition, version, spec), **metadata}


def _group(resource: Resource) -> str:
    return resource.api_version.rpartition("/")[0]


def _whole(pattern: str) -> bool:
    """Whether a resource pattern means objects and not only a subresource of theirs."""
    return "/" not in pattern or pattern.endswith("/*")


def _covers(kinds: Iterable[Resource], patterns: set[str]) -> bool:
    plurals = {resource.plural for resource in kinds}
    return bool(plurals) if "*" in patterns else patterns <= plurals


def _passing(failure: Failure | None) -> bool:
    """Failures that pass by themselves are waited for as long as it takes."""
    return failure is not None and failure.transient

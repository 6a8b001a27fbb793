"""Waiting until webhooks answer, which is later than when their pods are ready.

Recorded with KFServing 0.5.1: pod ready, its port served 4 s later, then admission, then
conversion 4 s after that. A webhook answers when
- its configuration is filled in: CA bundle and rules (`registrations`),
- its Service has ready endpoints, and
- requests through it came back three times in a row with anything but "failed calling webhook"
  (`prover`, `probes`).
Everything is read from the live webhook configurations and CRDs, for any component and version.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from installer.cluster.candidates import Target
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError, Failure
from installer.cluster.feeds import Broken, Change, Feed, Reset, Topic
from installer.cluster.prover import Prover, Senders
from installer.cluster.registrations import (
    Backend,
    backend_of,
    conversion_client,
    entries,
    has_ca,
    served_versions,
    stored_version,
)
from installer.cluster.verdicts import READY, Readiness, progressing
from installer.cluster.wait import Pending, Progress, Report, belongs, ignore, topics_of
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.events import Emit, Event, silent
from installer.core.objects import Object, Ref, dig, ref_of

_REGISTRATION = "admissionregistration.k8s.io/v1"
_DEFINITION = "apiextensions.k8s.io/v1"
_PHASES = {
    "MutatingWebhookConfiguration": "mutating",
    "ValidatingWebhookConfiguration": "validating",
}
_TICK = 0.1
Key = tuple[str, str, str]


def wait_answering(
    cluster: Cluster,
    webhook_refs: Sequence[Ref],
    crd_refs: Sequence[Ref],
    *,
    deadline: float,
    cancel: Cancel,
    progress: Progress = ignore,
    emit: Emit = silent,
) -> None:
    """Return when every webhook of these configurations, and every conversion webhook of these
    CRDs, answers. deadline: seconds from now.

    Raises NotReady naming the first that does not, with the cause and remedy of its last failure;
    ApiError when the cluster cannot be read; what `cancel` carries, within a second.
    """
    wait = _Answering(cluster, webhook_refs, crd_refs, progress, emit)
    try:
        wait.run(deadline, cancel)
    finally:
        wait.stop()


@dataclass(slots=True)
class _State:
    """A target on its way. settled: no request can prove it by itself."""

    target: Target
    filled: str
    done: bool = False
    settled: bool = False
    prover: Prover | None = None
    last: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Report:
    """What a prover found: `answered`, `unproven`, `failing` or `broken`."""

    prover: Prover
    word: str
    failure: Failure | Exception | None


@dataclass(slots=True)
class _Answering:
    cluster: Cluster
    webhook_refs: Sequence[Ref]
    crd_refs: Sequence[Ref]
    progress: Progress
    emit: Emit
    _messages: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    _feeds: dict[Topic, Feed[Any]] = field(default_factory=dict)
    _states: dict[Key, _State] = field(default_factory=dict)
    _found: dict[Key, Ref] = field(default_factory=dict)
    _endpoints: dict[tuple[str, str], bool] = field(default_factory=dict)
    _senders: Senders | None = None
    _missing: set[tuple[str, str]] = field(default_factory=set)

    def run(self, deadline: float, cancel: Cancel) -> None:
        end = time.monotonic() + deadline
        self._missing = {(ref.kind, ref.name) for ref in self.webhook_refs}
        self._missing |= {(ref.kind, ref.name) for ref in self.crd_refs}
        if not self._missing:
            return
        self._senders = Senders(self.cluster, self._delete_stored)
        for topic in self._topics():
            self._follow(topic, _essentials)
        report = Report(self.progress, 0)
        while True:
            cancel.check()
            self._advance()
            pending = self._pending()
            if not pending:
                break
            now = time.monotonic()
            if now >= end:
                raise self._too_late(deadline, pending)
            report.total = len(self._states) + len(self._missing)
            report.show(pending)
            self._take(min(_TICK, end - now))
        report.finish()

    def stop(self) -> None:
        for feed in self._feeds.values():
            feed.stop()
        for state in self._states.values():
            if state.prover is not None:
                state.prover.stop()

    # what is followed

    def _topics(self) -> list[Topic]:
        """Old manifests name v1beta1; everything is read at v1."""
        refs = [replace(ref, api_version=_REGISTRATION) for ref in self.webhook_refs]
        return topics_of(refs + [replace(ref, api_version=_DEFINITION) for ref in self.crd_refs])

    def _follow(self, topic: Topic, digest: Callable[[Object], Any]) -> None:
        feed: Feed[Any] = Feed(self.cluster, topic, digest, self._messages)
        self._feeds[topic] = feed
        self._apply(Reset(topic, feed.list()))
        if topic.kind != "CustomResourceDefinition" or self._awaits_definitions():
            feed.start()

    def _awaits_definitions(self) -> bool:
        """Most components' CRDs do not convert: then there is nothing to watch."""
        kinds = [*self._missing, *(key[:2] for key in self._states)]
        return any(kind == "CustomResourceDefinition" for kind, _ in kinds)

    def _take(self, seconds: float) -> None:
        try:
            self._apply(self._messages.get(timeout=max(0.0, seconds)))
            while True:
                self._apply(self._messages.get_nowait())
        except queue.Empty:
            return

    def _apply(self, message: Any) -> None:
        if isinstance(message, _Report):
            self._hear(message)
        elif isinstance(message, Broken):
            raise message.error
        elif message.topic.kind == "Endpoints":
            self._apply_endpoints(message)
        elif isinstance(message, Change):
            self._apply_object(message.ref, message.fact)
        else:
            for ref in [*self.webhook_refs, *self.crd_refs]:
                if belongs(replace(ref, api_version=message.topic.api_version), message.topic):
                    found = [f for r, f in message.facts.items() if r.name == ref.name]
                    self._apply_object(ref, found[0] if found else None)

    def _apply_endpoints(self, message: Change[bool] | Reset[bool]) -> None:
        name = (message.topic.namespace, message.topic.fields.partition("=")[2])
        if isinstance(message, Change):
            self._endpoints[name] = bool(message.fact)
        else:
            self._endpoints[name] = any(message.facts.values())

    def _apply_object(self, found: Ref, fact: Mapping[str, Any] | None) -> None:
        refs = (*self.webhook_refs, *self.crd_refs)
        ref = next((r for r in refs if (r.kind, r.name) == (found.kind, found.name)), None)
        if ref is None:
            return
        place = (ref.kind, ref.name)
        self._missing.add(place) if fact is None else self._missing.discard(place)
        targets = {} if fact is None else {t.key: (t, why) for t, why in _targets(ref, fact)}
        for key in [k for k in self._states if k[:2] == place and k not in targets]:
            self._halt(self._states.pop(key))
        for key, (target, lacking) in targets.items():
            have = self._states.get(key)
            if have is None or have.target != target:
                if have is not None:
                    self._halt(have)
                self._states[key] = _State(target, lacking)

    def _halt(self, state: _State) -> None:
        if state.prover is not None:
            state.prover.stop()

    # what is done with it

    def _advance(self) -> None:
        """Start the provers of what is ready for them, settle what no request can prove."""
        for state in list(self._states.values()):
            if state.done or state.filled:
                continue
            backend = state.target.backend
            if backend is not None and not self._has_endpoints(backend):
                if state.prover is not None:
                    state.prover.stop()
                    state.prover, state.settled = None, False
                continue
            if state.settled:
                state.done = self._vouched(state.target)
            elif state.prover is None:
                self._start(state)

    def _has_endpoints(self, backend: Backend) -> bool:
        name = (backend.namespace, backend.name)
        if name not in self._endpoints:
            self._endpoints[name] = False
            topic = Topic("v1", "Endpoints", backend.namespace, f"metadata.name={backend.name}")
            self._follow(topic, _has_addresses)
        return self._endpoints[name]

    def _start(self, state: _State) -> None:
        assert self._senders is not None
        state.prover = Prover(self.cluster, self._senders, state.target, self._tell)
        threading.Thread(target=state.prover.run, name="prove webhook", daemon=True).start()

    def _tell(self, prover: Prover, word: str, failure: Failure | Exception | None) -> None:
        """Called in a prover's thread."""
        self._messages.put(_Report(prover, word, failure))

    def _hear(self, report: _Report) -> None:
        state = self._states.get(report.prover.target.key)
        if state is None or state.prover is not report.prover or report.prover.stopped:
            return
        if isinstance(report.failure, Exception):
            raise report.failure
        state.last = report.failure
        state.done = report.word == "answered"
        state.settled = report.word == "unproven"

    def _vouched(self, target: Target) -> bool:
        """Whether what serves a webhook is known to work although no request can show it for
        this one: every other webhook of the same Service and port that can be proven has
        answered, and is trusted with the same CA bundle."""
        others = [
            state
            for state in self._states.values()
            if state.target.key != target.key and _same_server(state.target, target)
        ]
        return all(
            (state.done or state.settled) and state.target.backend == target.backend
            for state in others
        )

    def _pending(self) -> list[Pending]:
        found = [
            Pending(ref, Readiness("absent", "NotFound", "does not exist yet"))
            for ref in (*self.webhook_refs, *self.crd_refs)
            if (ref.kind, ref.name) in self._missing
        ]
        for state in self._states.values():
            verdict = self._verdict(state)
            if not verdict.ready:
                found.append(Pending(state.target.ref, verdict))
        return sorted(found, key=lambda p: (_ORDER.get(p.readiness.reason, 0), p.ref))

    def _verdict(self, state: _State) -> Readiness:
        target = state.target
        if state.done:
            return READY
        if state.filled:
            return progressing("NotFilled", f"{target.name}: {state.filled}")
        backend = target.backend
        if backend is not None and not self._endpoints.get((backend.namespace, backend.name)):
            return progressing(
                "NoEndpoints",
                f"{target.name}: Service {backend.namespace}/{backend.name} has no ready pod",
            )
        if state.settled:
            text = "waiting for the other webhooks of its Service to answer with its CA bundle"
            return progressing("Probing", f"{target.name}: {text}")
        if state.last is not None:
            return progressing("NotAnswering", f"{target.name}: {state.last.cause}")
        return progressing("Probing", f"{target.name}: waiting for its answer")

    def _too_late(self, deadline: float, pending: Sequence[Pending]) -> NotReady:
        first = pending[0]
        last = next(
            (
                state.last
                for state in self._states.values()
                if state.target.ref == first.ref
                and state.last is not None
                and state.last.cause in first.readiness.message
            ),
            None,
        )
        more = f" (and {len(pending) - 1} more)" if len(pending) > 1 else ""
        return NotReady(
            f"{first.ref} does not answer after {deadline:.0f} s: "
            f"{first.readiness.message or first.readiness.reason}{more}",
            kind=last.kind if last else "webhook-not-ready",
            object=str(first.ref),
            remedy=(last.remedy if last else "")
            or "see whether the pods behind it run, and give it more time with --timeout",
        )

    def _delete_stored(self, body: Object) -> None:
        """A probe that must be refused was not: take the object back at once."""
        ref = ref_of(body)
        try:
            self.cluster.delete(ref, uid=dig(body, "metadata", "uid"))
            remedy = "it was deleted again at once; nothing else is to be done"
        except ApiError as error:
            remedy = f"delete it: {error.message}"
        message = "the API server stored an object that was sent to try a webhook"
        self.emit(Event("warning", {"message": message, "object": str(ref), "remedy": remedy}))


_ORDER = {"NotAnswering": 0, "NoEndpoints": 1, "NotFilled": 2, "Probing": 3, "NotFound": 4}


def _essentials(obj: Object) -> Mapping[str, Any]:
    """What targets are made of; CRDs are large, so only this is kept."""
    if obj.get("kind") != "CustomResourceDefinition":
        return {"webhooks": list(entries(obj))}
    stored = stored_version(obj)
    ever = dig(obj, "status", "storedVersions", default=[])
    return {
        "client": conversion_client(obj),
        "group": dig(obj, "spec", "group"),
        "kind": dig(obj, "spec", "names", "kind"),
        "versions": served_versions(obj),
        "converts": len(served_versions(obj)) > 1 or any(v != stored for v in ever),
    }


def _targets(ref: Ref, fact: Mapping[str, Any]) -> list[tuple[Target, str]]:
    """The webhooks of a configuration or CRD, each with what it still lacks."""
    if ref.kind == "CustomResourceDefinition":
        client = fact["client"]
        if client is None or not fact["converts"]:
            return []
        entry = {key: fact[key] for key in ("group", "kind", "versions")}
        name = f"conversion of {fact['kind']}.{fact['group']}"
        lacking = "" if has_ca(client) else "it has no CA bundle yet"
        return [(Target(ref, name, "conversion", entry, backend_of(client)), lacking)]
    targets = []
    for entry in fact["webhooks"]:
        client = entry.get("clientConfig") or {}
        missing = [] if has_ca(client) else ["CA bundle"]
        missing += [] if entry.get("rules") else ["rules"]
        lacking = f"it has no {' and no '.join(missing)} yet" if missing else ""
        phase = _PHASES[ref.kind]
        target = Target(ref, str(entry.get("name")), phase, entry, backend_of(client))  # type: ignore[arg-type]
        targets.append((target, lacking))
    return targets


def _same_server(one: Target, other: Target) -> bool:
    a, b = one.backend, other.backend
    if a is None or b is None:
        return False
    return (a.namespace, a.name, a.port) == (b.namespace, b.name, b.port)


def _has_addresses(endpoints: Object) -> bool:
    return any(subset.get("addresses") for subset in endpoints.get("subsets") or [])

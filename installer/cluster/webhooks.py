"""Waiting until webhooks answer, which is later than when their pods are ready.

Recorded with KFServing 0.5.1: pod ready, its port served 4 s later, then admission, then
conversion 4 s after that. A webhook answers when
- its configuration is filled in: CA bundle and rules (`registrations`),
- its Service has ready endpoints, and
- requests through it came back three times in a row with anything but "failed calling webhook"
  (`prover`, `probes`).
Everything is read from the live webhook configurations and CRDs, for any component and version;
what is known of a component's kinds comes from the catalog. A webhook that no request can prove
(its selectors match nothing here, or requests pass without it when it fails) counts as answering
with one of its Service, port and CA bundle that is proven. Where there is none, it is accepted
after a while, with a warning.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from installer.catalog.model import WebhookProbe
from installer.cluster.candidates import Target
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError, Failure
from installer.cluster.feeds import Broken, Change, Feed, Reset, arrived
from installer.cluster.pending import Pending, Progress, Report, ignore, named
from installer.cluster.probes import Specs
from installer.cluster.prover import Prover, Senders
from installer.cluster.registrations import Backend
from installer.cluster.targets import essentials, same_server, targets
from installer.cluster.topics import Topic, belongs, topics_of
from installer.cluster.verdicts import READY, Readiness, progressing
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.events import Emit, Event, silent
from installer.core.objects import Object, Ref, dig, ref_of

_REGISTRATION = "admissionregistration.k8s.io/v1"
_DEFINITION = "apiextensions.k8s.io/v1"
_TICK = 0.1
UNPROVABLE_SECONDS = 10.0
"""How long a webhook that nothing speaks for is tried before it is accepted without proof."""
_RETRY_SECONDS = 1.0
HOPELESS_SECONDS = 60.0
"""How long a webhook may fail in ways that do not pass: its pods or certificate may be replaced."""
Key = tuple[str, str, str]


def wait_answering(
    cluster: Cluster,
    webhook_refs: Sequence[Ref],
    crd_refs: Sequence[Ref],
    *,
    deadline: float,
    cancel: Cancel,
    probes: Sequence[WebhookProbe] = (),
    progress: Progress = ignore,
    emit: Emit = silent,
) -> None:
    """Return when every webhook of these configurations, and every conversion webhook of these
    CRDs, answers. deadline: seconds from now. probes: what the catalog says they are asked with.

    What no request can prove is told by an event `warning`, and accepted.
    Raises NotReady naming the first that does not, with the cause and remedy of its last failure,
    at the deadline, or once it has failed for `HOPELESS_SECONDS` in ways that do not pass;
    ApiError when the cluster cannot be read; what `cancel` carries, within a second.
    """
    wait = _Answering(cluster, webhook_refs, crd_refs, Specs(tuple(probes)), progress, emit)
    try:
        wait.run(deadline, cancel)
    finally:
        wait.stop()


@dataclass(slots=True)
class _State:
    """A target on its way.

    settled: no request can prove it by itself, because of `why`; since: from when on
    (time.monotonic()), tried: when that was found last. assumed: accepted without proof.
    lasting: how it failed last, if in a way that does not pass by itself; hopeless: since when it
    has failed in no other way.
    """

    target: Target
    filled: str
    done: bool = False
    settled: bool = False
    why: str = ""
    since: float = 0.0
    tried: float = 0.0
    assumed: bool = False
    prover: Prover | None = None
    last: Failure | None = None
    lasting: Failure | None = None
    hopeless: float = 0.0


@dataclass(frozen=True, slots=True)
class _Report:
    """What a prover found: `answered`, `unproven`, `failing`, `waiting` or `broken`."""

    prover: Prover
    word: str
    failure: Failure | Exception | None


@dataclass(slots=True)
class _Answering:
    cluster: Cluster
    webhook_refs: Sequence[Ref]
    crd_refs: Sequence[Ref]
    specs: Specs
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
        self._senders = Senders(self.cluster, self.specs, self._delete_stored)
        for topic in self._topics():
            self._follow(topic, essentials)
        report = Report(self.progress, 0)
        while True:
            self._advance()
            pending = self._pending()
            cancel.check(f"waiting for {named(pending)}")
            if not pending:
                break
            now = time.monotonic()
            self._give_up(now)
            if now >= end:
                raise self._too_late(deadline, pending)
            report.total = len(self._states) + len(self._missing)
            report.show(pending)
            for message in arrived(self._messages, min(_TICK, end - now)):
                self._apply(message)
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
        found_now = {} if fact is None else {t.key: (t, why) for t, why in targets(ref, fact)}
        for key in [k for k in self._states if k[:2] == place and k not in found_now]:
            self._halt(self._states.pop(key))
        for key, (target, lacking) in found_now.items():
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
                    state.prover, state.settled, state.since = None, False, 0.0
                    state.lasting, state.hopeless = None, 0.0
                continue
            if state.settled:
                self._settle(state)
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
        if state.settled:
            state.why, state.tried = report.prover.why, time.monotonic()
            state.since = state.since or state.tried
        elif report.word == "failing":
            state.since = 0.0  # it was called, so there is a request that can prove it
        if report.word != "waiting":  # which tells of others
            failure = report.failure if report.word == "failing" else None
            state.lasting = None if failure is None or failure.transient else failure
            state.hopeless = (state.hopeless or time.monotonic()) if state.lasting else 0.0

    def _settle(self, state: _State) -> None:
        """What no request can prove: others of its Service and port vouch for it, if they are
        proven and trusted with the same CA bundle; or time does, and that is told."""
        target = state.target
        others = [
            other
            for other in self._states.values()
            if other.target.key != target.key and same_server(other.target, target)
        ]
        if not all(other.done or other.settled for other in others):
            return  # they may still vouch for it
        proven = [other for other in others if other.done and not other.assumed]
        if any(other.target.backend == target.backend for other in proven):
            state.done = True
        elif time.monotonic() - state.since >= UNPROVABLE_SECONDS:
            if proven:
                state.why += (
                    "; others of its Service answer, but are trusted with another CA bundle"
                )
            state.done = state.assumed = True
            self._tell_assumed(state)
        elif time.monotonic() - state.tried >= _RETRY_SECONDS:
            state.settled = False
            self._start(state)

    def _tell_assumed(self, state: _State) -> None:
        backend = state.target.backend
        where = f"Service {backend.namespace}/{backend.name}" if backend else "its URL"
        fields = {
            "message": f"whether {state.target.name} answers could not be proven, and it is taken "
            f"to: {state.why}",
            "object": str(state.target.ref),
            "remedy": f"if objects of its kinds are refused later, look at {where}",
        }
        self.emit(Event("warning", fields))

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
            text = "or for another webhook of its Service with its CA bundle to answer"
            return progressing("Probing", f"{target.name}: waiting for proof ({state.why}), {text}")
        if state.last is not None:
            return progressing("NotAnswering", f"{target.name}: {state.last.cause}")
        return progressing("Probing", f"{target.name}: waiting for its answer")

    def _give_up(self, now: float) -> None:
        for state in self._states.values():
            fault = state.lasting
            if fault is not None and now - state.hopeless >= HOPELESS_SECONDS:
                raise NotReady(
                    f"{state.target.ref} does not answer, and will not by itself: {fault.cause}",
                    kind=fault.kind,
                    object=str(state.target.ref),
                    remedy=fault.remedy,
                )

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


def _has_addresses(endpoints: Object) -> bool:
    return any(subset.get("addresses") for subset in endpoints.get("subsets") or [])

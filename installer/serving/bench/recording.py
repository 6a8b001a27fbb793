"""Follows pods and autoscaler of an InferenceService, on the clock of whoever sends the load."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.feeds import Broken, Change, Feed, Message, Reset
from installer.cluster.topics import Topic
from installer.core.errors import Interrupted
from installer.core.objects import Object, Ref, dig
from installer.serving.bench.pods import (
    PodFact,
    State,
    belongs,
    counted,
    pod_fact,
    replicas_of,
    wanted_of,
)
from installer.serving.inference_service import InferenceService

_SCALER = "autoscaling.internal.knative.dev/v1alpha1"
_NETWORK = "networking.internal.knative.dev/v1alpha1"
_POLL = 0.2
MOST_STATES = 20_000
"""Changes that are kept; beyond that every other one of the older half is left out."""


class Recording:
    """While entered, `states` grows with every change. Reads only; never raises afterwards."""

    def __init__(self, cluster: Cluster, service: InferenceService) -> None:
        self.unseen: dict[str, str] = {}
        self._cluster = cluster
        self._service = service
        self._out: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._guard = threading.Condition()
        self._states: list[State] = []
        self._facts: dict[str, dict[Ref, Any]] = {}
        self._feeds: list[Feed[Any]] = []
        self._zero = perf_counter()
        self._done = threading.Event()

    def __enter__(self) -> Recording:
        name, place = self._service.ref.name, self._service.ref.namespace

        def mine(digest: Callable[[Object], Any]) -> Callable[[Object], Any]:
            return lambda obj: digest(obj) if belongs(obj, name) else None

        wanted: list[tuple[Topic, Callable[[Object], Any]]] = [
            (Topic("v1", "Pod", place), mine(pod_fact)),
            (Topic("apps/v1", "Deployment", place), mine(replicas_of)),
            (Topic(_SCALER, "PodAutoscaler", place), mine(wanted_of)),
            (
                Topic(_NETWORK, "ServerlessService", place),
                mine(lambda obj: dig(obj, "spec", "mode", default="")),
            ),
        ]
        for topic, digest in wanted:
            self._begin(topic, digest)
        threading.Thread(target=self._run, name="recording", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for feed in self._feeds:
            feed.stop()

    def begins(self, zero: float) -> None:
        """The load begins at this time of perf_counter; states are counted from then."""
        with self._guard:
            shift = zero - self._zero
            self._states = [replace(state, at=state.at - shift) for state in self._states]
            self._zero = zero

    @property
    def states(self) -> tuple[State, ...]:
        """Every change so far, the newest last."""
        with self._guard:
            return tuple(self._states)

    @property
    def now(self) -> State:
        """What there is."""
        with self._guard:
            return self._states[-1] if self._states else State(0.0)

    def wait(self, seconds: float) -> None:
        """Sleep until something changes, or so long."""
        with self._guard:
            self._guard.wait(seconds)

    def _begin(self, topic: Topic, digest: Callable[[Object], Any]) -> None:
        feed: Feed[Any] = Feed(self._cluster, topic, digest, self._out)
        try:
            self._facts[topic.kind] = _known(feed.list())
        except ApiError as error:
            self.unseen[topic.kind] = error.message
            return
        self._feeds.append(feed)
        feed.start()
        self._note()

    def _run(self) -> None:
        while not self._done.is_set():
            try:
                message = self._out.get(timeout=_POLL)
            except queue.Empty:
                continue
            kind = message.topic.kind
            if isinstance(message, Broken):
                error = message.error
                if isinstance(error, Interrupted):
                    continue  # the user ends the run: nothing was hidden from us
                self.unseen[kind] = getattr(error, "message", str(error))
                self._facts.pop(kind, None)
            elif isinstance(message, Reset):
                self._facts[kind] = _known(message.facts)
            elif isinstance(message, Change):
                found = self._facts.setdefault(kind, {})
                if message.fact is None:
                    found.pop(message.ref, None)
                else:
                    found[message.ref] = message.fact
            self._note()

    def _note(self) -> None:
        with self._guard:
            state = self._state(perf_counter() - self._zero)
            if not self._states or replace(self._states[-1], at=state.at) != state:
                self._states.append(state)
                if len(self._states) > MOST_STATES:
                    half = len(self._states) // 2
                    self._states = self._states[:half:2] + self._states[half:]
            self._guard.notify_all()

    def _state(self, at: float) -> State:
        pods: dict[Ref, PodFact] | None = self._facts.get("Pod")
        state = State(at) if pods is None else counted(at, pods.values())
        scalers = self._facts.get("PodAutoscaler") or self._facts.get("Deployment")
        if scalers:
            state = replace(state, wanted=sum(scalers.values()))
        modes = self._facts.get("ServerlessService")
        if modes:
            state = replace(state, proxied="Proxy" in modes.values())
        return state


def _known(facts: Any) -> dict[Ref, Any]:
    return {ref: fact for ref, fact in facts.items() if fact is not None}

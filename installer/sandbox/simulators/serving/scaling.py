"""Runs the autoscaler's model for every Revision and sets the scale of its Deployment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from installer.core.objects import Object, dig
from installer.sandbox.simulators.roles import KNATIVE_AUTOSCALER
from installer.sandbox.simulators.serving.base_forms import (
    KNATIVE,
    ROUTING_STATE,
    annotations_of,
    child_name,
    labels_of,
)
from installer.sandbox.simulators.serving.kpa import TICK, Decision, Kpa, Spec, spec_of
from installer.sandbox.simulators.serving.settings import Settings
from installer.sandbox.simulators.serving.traffic import Key, Traffic
from installer.sandbox.simulators.serving.world import Objects, addresses

MANAGER = "autoscaler"
_FASTEST = 0.02
"""Seconds between two looks at a Revision at the least, however fast time is to run."""


@dataclass(slots=True)
class Scaled:
    """One Revision under the autoscaler. Times are the autoscaler's own seconds."""

    model: Kpa
    decision: Decision
    next_decision: float = 0.0
    active_since: float | None = None
    idle_since: float | None = None
    idle: bool = False
    initialized: bool = False


class Scaling:
    """The autoscaler of all Revisions; `changed` is called with (namespace, revision)."""

    def __init__(
        self,
        objects: Objects,
        settings: Settings,
        traffic: Traffic,
        changed: Callable[[Key], None],
    ) -> None:
        self._objects = objects
        self._world = objects.world
        self._settings = settings
        self._traffic = traffic
        self._changed = changed
        self._scaled: dict[Key, Scaled] = {}
        traffic.on_first = self._woken

    def of(self, revision: Object) -> Scaled:
        """The state of a Revision, which is scaled from now on."""
        metadata = revision["metadata"]
        key = metadata["namespace"], metadata["name"]
        found = self._scaled.get(key)
        if found is None:
            spec = self._spec(revision)
            first = Decision(max(spec.least, spec.initial), False, -1, 2)
            found = self._scaled[key] = Scaled(Kpa(spec), first)
            self._world.work.add(("kpa", *key), lambda: self._tick(key))
        return found

    def _spec(self, revision: Object) -> Spec:
        hard = int(dig(revision, "spec", "containerConcurrency", default=0) or 0)
        spec = spec_of(self._settings.autoscaler, annotations_of(revision), hard)
        if labels_of(revision).get(ROUTING_STATE) == "reserve":
            return replace(spec, least=0)  # what no Route leads to has no minimum
        return spec

    @property
    def _speed(self) -> float:
        return self._world.script.current().autoscaler_speed

    def _now(self) -> float:
        return time.monotonic() * self._speed

    def _woken(self, key: Key) -> None:
        """The activator tells the autoscaler at once of a request for a Revision at zero."""
        scaled = self._scaled.get(key)
        if scaled and scaled.idle:
            self._world.work.add(("kpa", *key), lambda: self._tick(key))

    def _tick(self, key: Key) -> float | None:
        revision = self._objects.of(f"{KNATIVE}/v1", "Revision").get(*key)
        scaled = self._scaled.get(key)
        if revision is None or scaled is None:
            self._scaled.pop(key, None)
            return None
        pause = max(_FASTEST, 1.0 / self._speed)
        if self._world.paused(KNATIVE_AUTOSCALER) or not self._world.running(KNATIVE_AUTOSCALER):
            return 1.0
        scaled.model.spec = self._spec(revision)
        ready = self._ready(key)
        now = self._now()
        scaled.initialized = scaled.initialized or ready > 0
        scaled.model.record(now, self._traffic.average(key))
        if now >= scaled.next_decision or (scaled.idle and self._traffic.in_flight(key)):
            scaled.next_decision = now + TICK
            self._decide(key, scaled, now, ready)
        return pause

    def _ready(self, key: Key) -> int:
        return len(addresses(self._world.endpoints.get(key[0], f"{key[1]}-private")))

    def _decide(self, key: Key, scaled: Scaled, now: float, ready: int) -> None:
        before = scaled.decision, scaled.idle
        decision = scaled.model.decide(now, ready)
        if ready and scaled.active_since is None:
            scaled.active_since = now
        if not scaled.initialized:
            decision = Decision(
                max(scaled.model.spec.least, scaled.model.spec.initial), False, -1, 2
            )
        elif scaled.idle and self._traffic.in_flight(key):
            scaled.idle, scaled.active_since = False, None
            decision = Decision(max(1, decision.pods), decision.panicking, -1, 2)
        elif decision.pods == 0:
            decision = self._to_zero(scaled, decision, now)
        else:
            scaled.idle_since = None
        scaled.decision = decision
        self._scale(key, decision.pods)
        if (scaled.decision, scaled.idle) != before:
            self._changed(key)

    def _to_zero(self, scaled: Scaled, decision: Decision, now: float) -> Decision:
        """Zero only when active for a stable window and the activator is in the path.

        knative/serving@v0.18.0: pkg/reconciler/autoscaling/kpa/scaler.go.
        """
        spec = scaled.model.spec
        if scaled.idle:
            return decision
        active = now - scaled.active_since if scaled.active_since is not None else 0.0
        one = Decision(1, decision.panicking, min(decision.excess, -1), decision.activators)
        if active < spec.stable_window:
            return Decision(1, decision.panicking, decision.excess, decision.activators)
        if not scaled.decision.proxied:
            scaled.idle_since = now
            return one
        if scaled.idle_since is not None and now - scaled.idle_since < spec.grace:
            return one
        scaled.idle = True
        return decision

    def _scale(self, key: Key, pods: int) -> None:
        name = child_name(key[1], "-deployment")
        deployment = self._objects.of("apps/v1", "Deployment").get(key[0], name)
        if deployment is not None and dig(deployment, "spec", "replicas") != pods:
            self._objects.merge(deployment, {"spec": {"replicas": pods}}, MANAGER)

    def report(self, autoscaler: Object, scaled: Scaled, ready: int) -> dict[str, object]:
        """The numbers in the status of a PodAutoscaler."""
        name = autoscaler["metadata"]["name"]
        return {
            "desiredScale": scaled.decision.pods,
            "actualScale": ready,
            "serviceName": name,
            "metricsServiceName": f"{name}-private",
        }

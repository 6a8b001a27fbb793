"""Knative's pod autoscaler as a pure model: concurrency in, wanted pods out.

The rules are those of knative/serving@v0.18.0: pkg/autoscaler/scaling/autoscaler.go and
pkg/reconciler/autoscaling/kpa/scaler.go; tests replay recordings of the real one. Times are
seconds on any clock that does not go back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

TICK = 2.0
"""Seconds between decisions. knative/serving@v0.18.0: pkg/autoscaler/scaling/multiscaler.go."""

ACTIVATOR_CAPACITY = 100.0
MIN_ACTIVATORS = 2
_CLASS = "autoscaling.knative.dev"


@dataclass(frozen=True, slots=True)
class Spec:
    """What one revision is scaled by.

    target: concurrent requests of one pod at 100 %; utilization: the part of it that is aimed at,
    0 to 1. stable_window, panic_window: seconds. panic_threshold: as a factor. least, most: pods
    (most 0: no limit). initial: pods of a new revision. burst: requests kept free, −1 for an
    activator that is always in the path.
    """

    target: float = 100.0
    utilization: float = 0.7
    stable_window: float = 60.0
    panic_window: float = 6.0
    panic_threshold: float = 2.0
    up_rate: float = 1000.0
    down_rate: float = 2.0
    burst: float = 200.0
    least: int = 0
    most: int = 0
    initial: int = 1
    to_zero: bool = True
    grace: float = 30.0

    @property
    def aimed(self) -> float:
        """Concurrent requests of one pod that are aimed at."""
        return max(0.01, self.target * self.utilization)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the autoscaler wants now.

    pods: already between least and most. excess: burst capacity left, negative when the activator
    must buffer. activators: how many of them are to share a revision.
    """

    pods: int
    panicking: bool
    excess: int
    activators: int

    @property
    def proxied(self) -> bool:
        """Whether requests go through the activator."""
        return self.excess < 0 or self.pods == 0


class Kpa:
    """The state of one revision's autoscaler."""

    def __init__(self, spec: Spec, ready: int = 0, now: float = 0.0) -> None:
        self.spec = spec
        self._samples: deque[tuple[float, float]] = deque()
        # a new autoscaler that finds more than one pod keeps them until it has measured
        self._panic_since: float | None = now if ready > 1 else None
        self._panic_pods = ready if ready > 1 else 0

    def record(self, now: float, concurrency: float) -> None:
        """Take the average concurrency of the second that ends now."""
        self._samples.append((now, concurrency))
        while self._samples and self._samples[0][0] <= now - self.spec.stable_window:
            self._samples.popleft()

    def average(self, now: float, window: float) -> float:
        """Average concurrency of the last `window` seconds; seconds without a sample count as 0."""
        found = [value for then, value in self._samples if now - window < then <= now]
        return sum(found) / window

    def decide(self, now: float, ready: int) -> Decision:
        """Decide with so many pods ready."""
        spec = self.spec
        stable = self.average(now, spec.stable_window)
        panic = self.average(now, spec.panic_window)
        there = max(1, ready)
        highest = math.ceil(spec.up_rate * there)
        lowest = there // spec.down_rate
        by_stable = math.ceil(stable / spec.aimed)
        by_panic = math.ceil(panic / spec.aimed)
        self._panic(now, by_panic / there >= spec.panic_threshold)
        wanted = int(min(max(by_stable, lowest), highest))
        if self._panic_since is not None:
            wanted = max(wanted, int(min(max(by_panic, lowest), highest)))
            self._panic_pods = max(self._panic_pods, wanted)
            wanted = self._panic_pods
        wanted = _between(wanted, spec.least, spec.most)
        if wanted == 0 and not spec.to_zero:
            wanted = 1
        return Decision(
            wanted, self._panic_since is not None, self._excess(ready, panic), self._spread(ready)
        )

    def _panic(self, now: float, over: bool) -> None:
        if over:
            self._panic_since = now
        elif self._panic_since is not None and now - self._panic_since > self.spec.stable_window:
            self._panic_since = None
            self._panic_pods = 0

    def _excess(self, ready: int, concurrency: float) -> int:
        if self.spec.burst == 0:
            return 0
        if self.spec.burst < 0:
            return -1
        return math.floor(ready * self.spec.target - self.spec.burst - concurrency)

    def _spread(self, ready: int) -> int:
        if self.spec.burst < 0:
            return MIN_ACTIVATORS
        share = (ready * self.spec.target + self.spec.burst) / ACTIVATOR_CAPACITY
        return max(MIN_ACTIVATORS, math.ceil(share))


def _between(wanted: int, least: int, most: int) -> int:
    wanted = max(wanted, least)
    return min(wanted, most) if most else wanted


def spec_of(
    config: Mapping[str, str], annotations: Mapping[str, str], container_concurrency: int
) -> Spec:
    """The spec of a revision.

    config: data of ConfigMap config-autoscaler. annotations: of the PodAutoscaler.
    container_concurrency: the hard limit, 0 for none, which then takes the place of the target.
    """

    def told(annotation: str, key: str, default: float) -> float:
        for name in (annotation, _kebab(annotation)):
            if name and f"{_CLASS}/{name}" in annotations:
                return _number(annotations[f"{_CLASS}/{name}"], default)
        return _number(config.get(key, ""), default)

    defaults = Spec()
    hard = container_concurrency > 0
    utilization = told(
        "targetUtilizationPercentage", "container-concurrency-target-percentage", 70.0
    )
    utilization = utilization / 100 if utilization > 1 else utilization
    target = told("target", "container-concurrency-target-default", defaults.target)
    if hard:
        target = (
            min(target, container_concurrency)
            if _has(annotations, "target")
            else (float(container_concurrency))
        )
    stable = told("window", "stable-window", defaults.stable_window)
    percent = told("panicWindowPercentage", "panic-window-percentage", 10.0)
    return Spec(
        target=target,
        utilization=utilization,
        stable_window=stable,
        panic_window=max(1.0, stable * percent / 100),
        panic_threshold=told("panicThresholdPercentage", "panic-threshold-percentage", 200.0) / 100,
        up_rate=told("", "max-scale-up-rate", defaults.up_rate),
        down_rate=told("", "max-scale-down-rate", defaults.down_rate),
        burst=told("targetBurstCapacity", "target-burst-capacity", defaults.burst),
        least=int(told("minScale", "min-scale", 0)),
        most=int(told("maxScale", "max-scale", 0)),
        initial=int(told("initialScale", "initial-scale", 1)),
        to_zero=config.get("enable-scale-to-zero", "true").lower() == "true",
        grace=_number(config.get("scale-to-zero-grace-period", ""), defaults.grace),
    )


def _has(annotations: Mapping[str, str], name: str) -> bool:
    return f"{_CLASS}/{name}" in annotations


def _kebab(name: str) -> str:
    """Knative ≥ 1.0 writes `min-scale` for what was `minScale`."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _number(text: str, default: float) -> float:
    """A number, or a Go duration of one unit as seconds."""
    text = text.strip()
    for unit, factor in _UNITS.items():
        if text.endswith(unit) and text[: -len(unit)].replace(".", "", 1).isdigit():
            return float(text[: -len(unit)]) * factor
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        return default

"""When Knative's autoscaler was in panic, told from the load that was sent and the pods. Pure.

No object says so. The rule is Knative's (knative/serving: pkg/autoscaler/scaling/autoscaler.go):
panic begins when what the panic window's average wants is at least the threshold times the pods
that are ready, and ends when that has not been so for a stable window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from installer.load.recorder import Row
from installer.serving.autoscaling import KPA, Setting, number, per_pod

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Period:
    """From one moment to another, in seconds since the load began."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Rule:
    """room: concurrent requests that one pod is aimed at. window, panic_window: seconds.
    threshold: as a factor."""

    room: float
    window: float
    panic_window: float
    threshold: float


def rule_of(settings: Mapping[str, Setting]) -> Rule | None:
    """None where Knative's own autoscaler does not scale by concurrency."""
    if settings["class"].value != KPA or settings["metric"].value != "concurrency":
        return None
    room, window = per_pod(settings), seconds_of(settings, "window", 60.0)
    if room <= 0:
        return None
    percent = settings["panic window"].number if "panic window" in settings else 10.0
    threshold = settings["panic threshold"].number if "panic threshold" in settings else 200.0
    return Rule(room, window, max(1.0, window * percent / 100), threshold / 100)


def seconds_of(settings: Mapping[str, Setting], name: str, default: float) -> float:
    """A setting that is a Go duration of one unit, in seconds."""
    text = settings[name].value.strip() if name in settings else ""
    for unit, factor in _UNITS.items():
        if text.endswith(unit) and text[: -len(unit)].replace(".", "", 1).isdigit():
            return number(text[: -len(unit)]) * factor
    return default


def panics(
    rows: Sequence[Row], ready: Callable[[float], int | None], rule: Rule, until: float
) -> tuple[Period, ...]:
    """Periods of panic. rows: of the load. ready: pods at a time. until: where observation ends.

    Other people's requests are not in it.
    """
    found: list[Period] = []
    over_last: float | None = None
    began = 0.0
    for row in rows:
        at = row.at + row.seconds
        if over_last is not None and at - over_last > rule.window:
            found.append(Period(began, over_last + rule.window))
            over_last = None
        pods = ready(at)
        if pods is None:
            continue
        average = _average(rows, at, rule.panic_window)
        if math.ceil(average / rule.room) / max(1, pods) >= rule.threshold:
            began = at if over_last is None else began
            over_last = at
    if over_last is not None:
        found.append(Period(began, min(over_last + rule.window, max(until, over_last))))
    return tuple(found)


def _average(rows: Sequence[Row], end: float, window: float) -> float:
    """Average of in_flight over the window before `end`; what lies before the first row is 0."""
    area = 0.0
    for row in reversed(rows):
        if row.at + row.seconds <= end - window:
            break
        overlap = min(row.at + row.seconds, end) - max(row.at, end - window)
        if overlap > 0:
            area += row.in_flight * overlap
    return area / window

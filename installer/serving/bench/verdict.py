"""What a load test has shown: pods expected and seen, how fast, and limits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.load.generator import Result
from installer.load.recorder import Row
from installer.load.shape import Load
from installer.serving.autoscaling import Expected, Setting, expected_pods
from installer.serving.bench.panic import Period, panics, rule_of
from installer.serving.bench.pods import State
from installer.serving.bench.slo import Judged, Limit, judge, percentile_of

_STEADY = 1 / 3
"""The last part of the load's heaviest stage, whose pods count as the steady number."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """From nothing to the first answer; seconds since the first request. None: not seen."""

    wanted: float | None
    scheduled: float | None
    ready: float | None
    answered: float | None

    def to_dict(self) -> dict[str, Any]:
        """{wanted, scheduled, ready, answered}."""
        return {
            "wanted": self.wanted,
            "scheduled": self.scheduled,
            "ready": self.ready,
            "answered": self.answered,
        }


@dataclass(frozen=True, slots=True)
class Observed:
    """What the verdict is made of. down_wanted: whether somebody waited for the scale-down.

    until: seconds since the load began at which observation ended. minimum: pods at rest.
    """

    load: Load
    result: Result
    states: Sequence[State]
    settings: Mapping[str, Setting] | None
    minimum: int | None
    until: float
    down_wanted: bool
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pods: None where they could not be seen. up, down: seconds; None where it did not happen.

    concurrency: that the expectation is for. down: from the load's end until pods wanted and there
    were back at the minimum.
    """

    concurrency: float
    expected: Expected | None
    peak_wanted: int | None
    peak_ready: int | None
    steady: int | None
    up: float | None
    down: float | None
    panic: tuple[Period, ...]
    activator: tuple[Period, ...]
    cold: ColdStart | None
    judged: tuple[Judged, ...]

    @property
    def broken(self) -> tuple[Judged, ...]:
        """Limits that were not kept."""
        return tuple(judged for judged in self.judged if not judged.held)


def verdict(seen: Observed) -> Verdict:
    """The verdict on a run."""
    end = load_end(seen.result.rows)
    begin, stop = heaviest(seen.load, end)
    concurrency = _concurrency(seen, begin, stop)
    expected = expected_pods(seen.settings, concurrency) if seen.settings else None
    ready = [s for s in seen.states if s.ready is not None]
    during = _between(seen.states, _first(seen), end)
    up = _up(seen, expected, begin)
    down = _down(seen, end)
    cold = _cold(seen)
    rule = rule_of(seen.settings) if seen.settings else None
    panic: tuple[Period, ...] = ()
    if rule is not None and ready:
        panic = panics(seen.result.rows, lambda at: at_time(ready, at).ready, rule, seen.until)
    values = measured(seen, up, down, cold)
    return Verdict(
        concurrency,
        expected,
        _most(s.wanted for s in during),
        _most(s.ready for s in during),
        _steady(ready, stop - (stop - begin) * _STEADY, stop),
        up,
        down,
        panic,
        periods(seen.states, seen.until, lambda state: state.proxied),
        cold,
        judge(seen.limits, values),
    )


def load_end(rows: Sequence[Row]) -> float:
    """Seconds since the load began at which its last request came to an end."""
    return rows[-1].at + rows[-1].seconds if rows else 0.0


def heaviest(load: Load, end: float) -> tuple[float, float]:
    """When the stage with the most load began and ended, at most until the end of the load."""
    at, peak = 0.0, load.peak
    for stage in load.stages:
        if stage == peak:
            return min(at, end), min(at + stage.seconds, end)
        at += stage.seconds
    return 0.0, end


def at_time(states: Sequence[State], at: float) -> State:
    """The state that held at a time; before the first one, the first."""
    found = states[0]
    for state in states:
        if state.at > at:
            break
        found = state
    return found


def periods(
    states: Sequence[State], until: float, holds: Callable[[State], bool | None]
) -> tuple[Period, ...]:
    """When something held, from the first state to `until`."""
    found: list[Period] = []
    began: float | None = None
    for state in states:
        if holds(state) and began is None:
            began = state.at
        elif not holds(state) and began is not None:
            found.append(Period(began, state.at))
            began = None
    if began is not None:
        found.append(Period(began, max(until, began)))
    return tuple(found)


def measured(
    seen: Observed, up: float | None, down: float | None, cold: ColdStart | None
) -> dict[str, float | None]:
    """Values by the names that the limits have."""
    totals = seen.result.totals
    found: dict[str, float | None] = {"rate": totals.rate, "scale-up": up, "scale-down": down}
    found["errors"] = totals.wrong / totals.done if totals.done else None
    found["cold-start"] = cold.answered if cold else None
    if len(totals.latencies):
        found["average"], found["slowest"] = totals.latencies.average, totals.latencies.slowest
        names = [limit.name for limit in seen.limits]
        wanted = {name: p for name in names if (p := percentile_of(name)) is not None}
        shares = totals.latencies.percentiles(wanted.values())
        found |= {name: shares[p] for name, p in wanted.items()}
    return found


def _concurrency(seen: Observed, begin: float, stop: float) -> float:
    """Requests at a time of the heaviest stage: as asked for, or as measured in an open loop."""
    peak = seen.load.peak
    if peak.workers and not seen.load.per_worker:
        return float(peak.workers)
    rows = [r for r in seen.result.rows if r.at >= begin and r.at + r.seconds <= stop + 0.5]
    span = sum(row.seconds for row in rows)
    return sum(row.in_flight * row.seconds for row in rows) / span if span else 0.0


def _first(seen: Observed) -> float:
    return -seen.load.warm_up


def _between(states: Sequence[State], begin: float, end: float) -> list[State]:
    """States that held at some time in between."""
    if not states:
        return []
    inside = [state for state in states if begin < state.at <= end]
    return [at_time(states, begin), *inside]


def _most(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _steady(ready: Sequence[State], begin: float, end: float) -> int | None:
    """The number of ready pods that there was for the longest time."""
    if not ready:
        return None
    spans: dict[int, float] = {}
    inside = _between(ready, begin, end)
    for state, following in zip(inside, [*inside[1:], State(end)], strict=True):
        span = following.at - max(state.at, begin)
        spans[state.ready or 0] = spans.get(state.ready or 0, 0.0) + span
    return max(spans, key=lambda pods: spans[pods])


def _up(seen: Observed, expected: Expected | None, begin: float) -> float | None:
    """Seconds from the heaviest stage's begin until as many pods were ready as expected."""
    if expected is None or expected.pods is None:
        return None
    for state in _between(seen.states, begin, seen.until):
        if state.ready is not None and state.ready >= expected.pods:
            return max(0.0, state.at - begin)
    return None


def _down(seen: Observed, end: float) -> float | None:
    """Seconds from the load's end until wanted and living pods were at the minimum for good."""
    if seen.minimum is None or not seen.states or not seen.down_wanted:
        return None
    found: float | None = None
    for state in _between(seen.states, end, seen.until):
        if at_rest(state, seen.minimum):
            found = max(0.0, state.at - end) if found is None else found
        else:
            found = None
    return found


def at_rest(state: State, minimum: int) -> bool:
    """Whether pods are back at the minimum, as far as they are seen."""
    known = [value for value in (state.wanted, state.made) if value is not None]
    return bool(known) and all(value <= minimum for value in known)


def _cold(seen: Observed) -> ColdStart | None:
    """Where there was no pod when the first request was sent."""
    first = _first(seen)
    if not seen.states or at_time(seen.states, first).ready != 0:
        return None
    later = [state for state in seen.states if state.at > first]

    def when(value: Callable[[State], int | None]) -> float | None:
        return next((s.at - first for s in later if (value(s) or 0) > 0), None)

    answered = next((r for r in seen.result.rows if r.answered > sum(r.errors.values())), None)
    return ColdStart(
        when(lambda s: s.wanted),
        when(lambda s: s.scheduled),
        when(lambda s: s.ready),
        None if answered is None else _answer_in(answered, first),
    )


def _answer_in(row: Row, first: float) -> float:
    """When the first answer came: a cold start's first requests are the row's slowest."""
    if row.slowest and row.at + row.seconds - first >= row.slowest:
        return row.slowest
    return row.at + row.seconds - first

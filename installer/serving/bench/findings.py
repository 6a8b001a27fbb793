"""The verdict in sentences, each with a sign. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from installer.serving.bench.panic import Period
from installer.serving.bench.pods import State
from installer.serving.bench.verdict import Observed, Verdict

Sign = Literal["ok", "warn", "failed", "idle"]
LATE = 0.01
"""Seconds behind schedule, on average, from which the generator itself is the limit."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the verdict."""

    sign: Sign
    says: str


def findings(found: Verdict, seen: Observed) -> Iterator[Finding]:
    """What there is to say, the pods first."""
    if seen.result.stopped:
        yield Finding("warn", "the load was stopped before its end: this is the report so far")
    yield from _pods(found, seen)
    yield from _down(found, seen)
    yield from _cold(found)
    yield from _paths(found)
    yield from _requests(seen)
    for judged in found.judged:
        sign: Sign = "ok" if judged.held else "failed"
        least = " at least" if judged.limit.name == "rate" else ""
        yield Finding(
            sign, f"{judged.limit.name} {judged.shown}, wanted{least} {judged.limit.text}"
        )


def _pods(found: Verdict, seen: Observed) -> Iterator[Finding]:
    if found.expected is None:
        return
    if found.expected.pods is None:
        yield Finding("idle", f"pods expected: not known: {found.expected.why}")
        return
    wanted, peak = found.expected.pods, found.peak_ready
    said = f"{pods(wanted)} expected for {found.concurrency:.3g} requests at a time"
    why = f"({found.expected.why})"
    if peak is None:
        yield Finding("warn", f"{said} {why}; how many there were could not be seen")
        return
    seen_text = f"{_number(peak)} at the peak, {_number(found.steady)} steady"
    if peak == wanted:
        after = f", after {found.up:.1f} s" if found.up is not None else ""
        yield Finding("ok", f"{said}, {seen_text}{after} {why}")
    elif peak > wanted:
        yield Finding("warn", f"{said}, {seen_text}: more than expected {why}")
    else:
        yield Finding(
            "warn", f"{said}, {seen_text}: fewer than expected {why}{_why_fewer(found, seen)}"
        )


def _why_fewer(found: Verdict, seen: Observed) -> str:
    """What kept pods from becoming ready, by the last state under load."""
    expected = found.expected.pods if found.expected else None
    if expected is None or not seen.states:
        return ""
    most: State = max(seen.states, key=lambda state: state.wanted or 0)
    if (most.wanted or 0) < expected:
        return (
            "; the autoscaler never wanted so many: the load may have been too short for its "
            "window, or requests too quick to be at a pod at the same time"
        )
    if (found.peak_ready or 0) < (most.scheduled or 0):
        return "; pods were scheduled and not ready in time"
    return "; pods were wanted and found no node"


def _down(found: Verdict, seen: Observed) -> Iterator[Finding]:
    if not seen.down_wanted or seen.minimum is None:
        return
    if found.down is not None:
        yield Finding("ok", f"back at {pods(seen.minimum)} {found.down:.1f} s after the load's end")
    elif seen.states:
        last = seen.states[-1]
        now = last.made if last.made is not None else last.wanted
        said = f"not back at {pods(seen.minimum)} when the wait was over: {_number(now)} left"
        yield Finding("warn", said)


def _cold(found: Verdict) -> Iterator[Finding]:
    cold = found.cold
    if cold is None:
        return
    steps = {
        "wanted": cold.wanted,
        "scheduled": cold.scheduled,
        "ready": cold.ready,
    }
    parts = [f"{name} after {at:.1f} s" for name, at in steps.items() if at is not None]
    if cold.answered is None:
        yield Finding("failed", f"cold start without an answer ({', '.join(parts) or 'no pod'})")
    else:
        said = f"cold start: the first answer took {cold.answered:.1f} s"
        yield Finding("idle", f"{said} (a pod {', '.join(parts)})" if parts else said)


def _paths(found: Verdict) -> Iterator[Finding]:
    if found.panic:
        spans = _spans(found.panic)
        said = "told by Knative's rule from the load sent; no object says it"
        yield Finding("idle", f"in panic from {spans} ({said})")
    if found.activator:
        yield Finding("idle", f"activator in the path from {_spans(found.activator)}")


def _requests(seen: Observed) -> Iterator[Finding]:
    totals = seen.result.totals
    if not totals.done:
        yield Finding("failed", "no request came to an end")
    elif totals.wrong == totals.done:
        yield Finding("failed", "no request got a good answer")
    if totals.late.average > LATE:
        yield Finding(
            "warn",
            f"requests were sent {totals.late.average * 1000:.0f} ms late on average: this machine "
            "is the limit, and latencies have that in them",
        )
    if totals.unsent:
        said = f"{totals.unsent} requests were due and could not be sent within the time-out"
        yield Finding("warn", f"{said}: all {seen.load.most} connections were taken")
    if not seen.load.open:
        yield Finding(
            "idle",
            "closed loop: while the service stalls nothing is sent, so percentiles say little of a "
            "stall; --rate sends on schedule and counts from then",
        )


def _spans(periods: Sequence[Period]) -> str:
    return ", ".join(f"{max(p.begin, 0.0):.0f} to {p.end:.0f} s" for p in periods)


def pods(count: int) -> str:
    """`1 pod`, `4 pods`."""
    return f"{count} pod" if count == 1 else f"{count} pods"


def _number(value: int | None) -> str:
    return "not seen" if value is None else str(value)

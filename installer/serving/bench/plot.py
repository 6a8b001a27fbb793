"""A small plot of a load test for a terminal: one line for each measure, time from left. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from installer.load.recorder import Row
from installer.serving.bench.pods import State
from installer.serving.bench.report import Report

_BLOCKS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:-=+*#@"
WIDTH = 60
_LEAD = 14
_SHORTEST = 0.5
"""Seconds: in less, a few answers would look like a high rate."""


def plot(report: Report, *, unicode: bool = True, width: int = WIDTH) -> Iterator[str]:
    """The lines."""
    seen = report.observed
    rows, states = seen.result.rows, seen.states
    if not rows:
        return
    begin, end = rows[0].at, max(seen.until, rows[-1].at + rows[-1].seconds)
    step = (end - begin) / width
    cells = [(begin + step * n, begin + step * (n + 1)) for n in range(width)]
    signs = _BLOCKS if unicode else _PLAIN
    measures: list[tuple[str, list[float | None], str]] = [
        ("requests/s", [_rate(rows, a, b) for a, b in cells], "{:.0f}"),
        ("p99", [_most(rows, a, b, lambda row: row.p99) for a, b in cells], "{:.3g} s"),
        ("errors/s", [_errors(rows, a, b) for a, b in cells], "{:.0f}"),
        (
            "pods wanted",
            [_level(states, b, lambda state: state.wanted) for _, b in cells],
            "{:.0f}",
        ),
        ("pods ready", [_level(states, b, lambda state: state.ready) for _, b in cells], "{:.0f}"),
    ]
    for name, values, form in measures:
        known = [value for value in values if value is not None]
        most = max(known, default=0.0)
        if not known or (name == "errors/s" and not most):
            continue
        line = "".join(_cell(value, most, signs) for value in values)
        yield f"{name:>{_LEAD}} {line} {form.format(most)}"
    axis = f"{begin:.0f} s"
    tail = f"{end:.0f} s"
    yield " " * (_LEAD + 1) + axis + tail.rjust(width - len(axis))


def whole(rows: Sequence[Row]) -> Sequence[Row]:
    """Rows that last long enough for a rate; all of them where none does."""
    return [row for row in rows if row.seconds >= _SHORTEST] or rows


def _cell(value: float | None, most: float, signs: str) -> str:
    if not value or not most:
        return signs[0]
    return signs[max(1, round(value / most * (len(signs) - 1)))]


def _overlapping(rows: Sequence[Row], begin: float, end: float) -> list[Row]:
    return [row for row in rows if row.at < end and row.at + row.seconds > begin]


def _rate(rows: Sequence[Row], begin: float, end: float) -> float | None:
    found = _overlapping(whole(rows), begin, end)
    span = sum(row.seconds for row in found)
    return sum(row.answered for row in found) / span if span else None


def _errors(rows: Sequence[Row], begin: float, end: float) -> float | None:
    found = _overlapping(whole(rows), begin, end)
    span = sum(row.seconds for row in found)
    return sum(sum(row.errors.values()) for row in found) / span if span else None


def _most(
    rows: Sequence[Row], begin: float, end: float, of: Callable[[Row], float]
) -> float | None:
    return max((of(row) for row in _overlapping(rows, begin, end)), default=None)


def _level(states: Sequence[State], at: float, of: Callable[[State], int | None]) -> float | None:
    found: float | None = None
    for state in states:
        if state.at > at:
            break
        found = of(state)
    return found

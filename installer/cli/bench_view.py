"""A load test as text: hey's report, a small plot, then the verdict."""

from __future__ import annotations

from collections.abc import Iterator

from installer.cli.terminal import Terminal
from installer.load.recorder import Row
from installer.serving.bench.hey import summary
from installer.serving.bench.plot import plot
from installer.serving.bench.pods import State
from installer.serving.bench.report import Report

_COLOURS = {"ok": "green", "warn": "yellow", "failed": "red", "idle": "dim"}


def lines(report: Report, terminal: Terminal) -> Iterator[str]:
    """The whole report."""
    revision = f", revision {report.revision}" if report.revision else ""
    yield f"{report.name}{revision}"
    yield f"{report.request}"
    yield f"to {report.address}"
    yield ""
    totals = report.observed.result.totals
    yield from summary(totals, unicode=terminal.unicode)
    if report.observed.load.open:
        yield ""
        yield "Latencies count from the intended send time; from the sending itself:"
        shares = totals.service.percentiles((50.0, 95.0, 99.0))
        yield "  " + ", ".join(f"{p:g}% in {seconds:.4f} secs" for p, seconds in shares.items())
    yield ""
    yield from plot(report, unicode=terminal.unicode)
    yield ""
    yield from verdict_lines(report, terminal)


def verdict_lines(report: Report, terminal: Terminal) -> Iterator[str]:
    """What is to be thought of it."""
    for finding in report.findings:
        sign = terminal.paint(terminal.icon(finding.sign), _COLOURS[finding.sign])
        yield f"{sign} {finding.says}"
    for text in report.unseen:
        yield f"{terminal.paint(terminal.icon('warn'), 'yellow')} {text}"


def second(row: Row, state: State) -> str:
    """A line of progress."""
    errors = sum(row.errors.values())
    said = (
        f"{row.at + row.seconds:4.0f} s  {row.answered / row.seconds:6.0f}/s  p99 {row.p99:.3f} s"
    )
    if errors:
        said += f"  {errors} errors"
    if state.ready is not None:
        wanted = "" if state.wanted is None else f" of {state.wanted} wanted"
        said += f"  {state.ready} pods ready{wanted}"
    return said

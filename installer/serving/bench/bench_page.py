"""A load test as one self-contained HTML document: verdict, plots on one time axis, numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from installer.load.recorder import Row
from installer.serving.bench.charts import STYLE, Axis, Line, Point, chart, strips
from installer.serving.bench.hey import summary
from installer.serving.bench.panic import Period
from installer.serving.bench.plot import whole
from installer.serving.bench.pods import State
from installer.serving.bench.report import Report
from installer.serving.bench.verdict import load_end
from installer.serving.page import element, page, text

_SIGNS = {"ok": ("good", "✔"), "warn": ("warn", "‼"), "failed": ("bad", "✘"), "idle": ("idle", "·")}
_ERRORS = ("d", "d dashed", "d dotted")
"""How the most frequent kinds of error look; others are one line together."""
_STYLE = """
ul.findings { list-style: none; margin: 0; padding: 0; } ul.findings li { padding: .15rem 0;
  display: flex; gap: .6rem; }
"""


def bench_page(report: Report) -> str:
    """The document."""
    seen, found = report.observed, report.verdict
    rows, states = seen.result.rows, seen.states
    begin = rows[0].at if rows else 0.0
    axis = Axis(begin, max(seen.until, load_end(rows), begin + 1))
    warm = [Period(begin, 0.0)] if begin < 0 else []
    body = [
        element("h1", text(f"Load test of {report.name}")),
        element("div", _facts(report), css="card"),
        element("h2", "Verdict"),
        element("div", element("ul", "".join(_findings(report)), css="findings"), css="card"),
        element("h2", "Requests a second"),
        chart("requests a second", _requests(rows), axis, shades=warm),
        element("h2", "Latency of what was answered in each second"),
        chart("latency", _latencies(rows), axis, unit=" ms", log=True, shades=warm),
        element("h2", "Pods"),
        chart("pods", _pods(report, axis), axis, shades=warm),
        strips(_strips(report, begin, load_end(rows)), axis),
        element("p", text(_note(report)), css="quiet"),
        element("h2", "Numbers"),
        element("pre", text("\n".join(summary(seen.result.totals)))),
    ]
    if not any(state.made is not None for state in states) and found.peak_wanted is None:
        body.insert(4, element("p", text("Pods could not be seen."), css="warn"))
    return page(f"Load test of {report.name}", "\n".join(body), style=STYLE + _STYLE)


def _facts(report: Report) -> str:
    seen = report.observed
    loop = (
        "open loop: sent on schedule"
        if seen.load.open
        else "closed loop: each waits for its answer"
    )
    facts = [
        ("cluster", report.context),
        ("revision", report.revision or "not known"),
        ("request", report.request),
        ("sent to", report.address),
        ("load", f"{', then '.join(name for _, name in seen.result.stages)} ({loop})"),
    ]
    rows = (element("tr", element("th", text(a)) + element("td", text(b))) for a, b in facts)
    return element("table", "".join(rows))


def _findings(report: Report) -> Iterable[str]:
    for finding in report.findings:
        css, sign = _SIGNS[finding.sign]
        yield element("li", element("span", sign, css=css) + element("span", text(finding.says)))
    for said in report.unseen:
        yield element("li", element("span", "‼", css="warn") + element("span", text(said)))


def _requests(rows: Sequence[Row]) -> list[Line]:
    lines = [Line("answered", _of(rows, lambda row: row.answered / row.seconds), "a")]
    kinds = [
        kind for kind, _ in sum((Counter(row.errors) for row in rows), Counter()).most_common()
    ]
    for kind, css in zip(kinds, _ERRORS, strict=False):
        lines.append(Line(kind, _errors(rows, [kind]), css))
    if rest := kinds[len(_ERRORS) :]:
        lines.append(Line("other errors", _errors(rows, rest), "e dashed"))
    return lines


def _errors(rows: Sequence[Row], kinds: Sequence[str]) -> list[Point]:
    return _of(rows, lambda row: sum(row.errors.get(kind, 0) for kind in kinds) / row.seconds)


def _latencies(rows: Sequence[Row]) -> list[Line]:
    return [
        Line("p50", _of(rows, lambda row: row.p50 * 1000), "b"),
        Line("p95", _of(rows, lambda row: row.p95 * 1000), "a"),
        Line("p99", _of(rows, lambda row: row.p99 * 1000), "c"),
    ]


def _pods(report: Report, axis: Axis) -> list[Line]:
    states = report.observed.states
    lines = [
        Line("wanted", _held(states, lambda state: state.wanted), "a dashed", steps=True),
        Line("scheduled", _held(states, lambda state: state.scheduled), "e", steps=True),
        Line("ready", _held(states, lambda state: state.ready), "b", steps=True),
    ]
    expected = report.verdict.expected
    if expected is not None and expected.pods is not None:
        pods = float(expected.pods)
        line = [(axis.begin, pods), (axis.end, pods)]
        lines.append(Line(f"expected under load: {expected.pods}", line, "c dotted"))
    return [line for line in lines if line.points]


def _strips(report: Report, begin: float, end: float) -> list[tuple[str, str, Sequence[Period]]]:
    found = report.verdict
    cold: list[Period] = []
    if found.cold is not None:
        until = found.cold.answered if found.cold.answered is not None else end - begin
        cold.append(Period(begin, begin + until))
    return [
        ("load", "e", [Period(0.0, end)] if end > 0 else []),
        ("cold", "d", cold),
        ("panic", "c", found.panic),
        ("activator", "a", found.activator),
    ]


def _note(report: Report) -> str:
    said = "All times are seconds since the load began, on the clock of the machine that sent it."
    if report.observed.load.warm_up:
        said += " What is shaded is the warm-up, which counts for nothing else."
    if report.verdict.panic:
        said += " Panic is told by Knative's rule from the load that was sent; no object says it."
    if report.observed.load.open:
        said += " Latencies count from the intended send time."
    return said


def _of(rows: Sequence[Row], value: Callable[[Row], float]) -> list[Point]:
    return [(row.at + row.seconds / 2, value(row)) for row in whole(rows)]


def _held(states: Sequence[State], value: Callable[[State], int | None]) -> list[Point]:
    points: list[Point] = [(state.at, value(state)) for state in states]
    return points if any(known is not None for _, known in points) else []

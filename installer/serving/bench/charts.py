"""Plots over a shared time axis as SVG that takes its colours from the page. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from installer.serving.bench.panic import Period
from installer.serving.page import element, text

WIDTH, HEIGHT = 960, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 8, 22
_STRIP = 18
Point = tuple[float, float | None]
"""(seconds, value); None breaks the line."""

STYLE = """
.chart { margin: 0 0 1.2rem; } .chart svg { display: block; width: 100%; }
.chart text { fill: var(--quiet); font-size: 11px; font-family: inherit; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.chart .shade { fill: var(--line); opacity: .45; stroke: none; }
.chart .a { stroke: var(--accent); } .chart .b { stroke: var(--good); }
.chart .c { stroke: var(--warn); } .chart .d { stroke: var(--bad); }
.chart .e { stroke: var(--idle); }
.chart .dashed { stroke-dasharray: 5 4; } .chart .dotted { stroke-dasharray: 1.5 4; }
.chart rect.a { fill: var(--accent); stroke: none; } .chart rect.c { fill: var(--warn);
  stroke: none; } .chart rect.e { fill: var(--idle); stroke: none; }
.chart rect.d { fill: var(--bad); stroke: none; }
.chart .legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem;
  font-size: .88em; margin: 0 0 .2rem; }
.chart .legend svg { display: inline-block; width: 26px; height: 8px;
  vertical-align: middle; margin-right: .35rem; }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. css: its colour (`a` to `e`), and `dashed` or `dotted`. steps: holds its value
    until the next point."""

    name: str
    points: Sequence[Point]
    css: str
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that all plots share, in seconds."""

    begin: float
    end: float

    def x(self, at: float) -> float:
        """Where a time is."""
        span = max(self.end - self.begin, 1e-9)
        clipped = min(max(at, self.begin), self.end)
        return _LEFT + (clipped - self.begin) / span * (WIDTH - _LEFT - _RIGHT)

    @property
    def ticks(self) -> list[float]:
        """Round times."""
        return _ticks(self.begin, self.end, 8)


def chart(
    name: str,
    lines: Sequence[Line],
    axis: Axis,
    *,
    unit: str = "",
    log: bool = False,
    shades: Sequence[Period] = (),
) -> str:
    """A plot with its legend. log: the values on a logarithmic scale. shades: times to mark."""
    values = [v for line in lines for _, v in line.points if v is not None and (v > 0 or not log)]
    if not values:
        return ""
    scale = _Log(min(values), max(values)) if log else _Linear(max(values))
    body = [_shade(axis, period) for period in shades]
    for value in scale.ticks:
        y = _y(scale.part(value))
        body.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        body.append(_label(_LEFT - 6, float(y) + 4, f"{value:g}{unit}", "end"))
    body += _times(axis, HEIGHT - 6)
    for line in lines:
        body.append(f'<path class="{line.css}" d="{_path(line, axis, scale)}"/>')
    keys = "".join(_key(line) for line in lines if line.points)
    picture = _svg(name, HEIGHT, body)
    return element("div", element("div", keys, css="legend") + picture, css="chart")


def strips(rows: Sequence[tuple[str, str, Sequence[Period]]], axis: Axis) -> str:
    """Bars for when something was so: (name, css, periods) a row each, where there are any."""
    shown = [row for row in rows if row[2]]
    if not shown:
        return ""
    height = len(shown) * _STRIP + _BOTTOM
    body: list[str] = []
    for number, (name, css, found) in enumerate(shown):
        y = number * _STRIP
        body.append(_label(_LEFT - 6, y + 13, name, "end"))
        for period in found:
            x, width = axis.x(period.begin), axis.x(period.end) - axis.x(period.begin)
            body.append(
                f'<rect class="{css}" x="{x:.1f}" y="{y + 4}" width="{max(width, 1.5):.1f}" '
                f'height="{_STRIP - 8}" rx="2"><title>{text(name)}: {period.begin:.1f} to '
                f"{period.end:.1f} s</title></rect>"
            )
    body += _times(axis, height - 6)
    return element("div", _svg("periods", height, body), css="chart")


@dataclass(frozen=True, slots=True)
class _Linear:
    most: float

    @property
    def ticks(self) -> list[float]:
        return _ticks(0.0, self.most, 4)

    def part(self, value: float) -> float:
        return value / self.most if self.most else 0.0


@dataclass(frozen=True, slots=True)
class _Log:
    least: float
    most: float

    @property
    def ticks(self) -> list[float]:
        exponents = range(
            math.floor(math.log10(self.least)) - 1, math.ceil(math.log10(self.most)) + 1
        )
        found = [m * 10.0**e for e in exponents for m in (1, 2, 5)]
        first = max(n for n, value in enumerate(found) if value <= self.least * 1.001)
        last = min(n for n, value in enumerate(found) if value >= self.most * 0.999 and n > first)
        inside = found[first : last + 1]
        return inside if len(inside) < 8 else inside[:: math.ceil(len(inside) / 7)]

    @property
    def _bounds(self) -> tuple[float, float]:
        ticks = self.ticks
        return math.log10(min(ticks[0], self.least)), math.log10(max(ticks[-1], self.most))

    def part(self, value: float) -> float:
        low, high = self._bounds
        return (math.log10(max(value, 10**low)) - low) / (high - low)


def _ticks(begin: float, end: float, count: int) -> list[float]:
    span = end - begin
    if span <= 0:
        return [begin]
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first = math.ceil(begin / step)
    return [round(n * step, 10) for n in range(first, math.floor(end / step + 1e-9) + 1)]


def _y(part: float) -> str:
    return f"{_TOP + (1 - part) * (HEIGHT - _TOP - _BOTTOM):.1f}"


def _path(line: Line, axis: Axis, scale: _Linear | _Log) -> str:
    words: list[str] = []
    pen = False
    for at, value in line.points:
        if value is None or (isinstance(scale, _Log) and value <= 0):
            pen = False
            continue
        x, y = f"{axis.x(at):.1f}", _y(scale.part(value))
        if not pen:
            words.append(f"M{x} {y}")
        else:
            words.append(f"H{x}V{y}" if line.steps else f"L{x} {y}")
        pen = True
    if line.steps and pen:
        words.append(f"H{axis.x(axis.end):.1f}")
    return "".join(words)


def _times(axis: Axis, y: float) -> Iterable[str]:
    for at in axis.ticks:
        yield _label(axis.x(at), y, f"{at:g} s", "middle")


def _label(x: float, y: object, said: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text(said)}</text>'


def _shade(axis: Axis, period: Period) -> str:
    x, width = axis.x(period.begin), axis.x(period.end) - axis.x(period.begin)
    height = HEIGHT - _TOP - _BOTTOM
    return f'<rect class="shade" x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="{height}"/>'


def _key(line: Line) -> str:
    stroke = f'<svg viewBox="0 0 26 8"><path class="{line.css}" d="M0 4H26"/></svg>'
    return element("span", stroke + text(line.name))


def _svg(name: str, height: int, body: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(name)}">'
        f"{''.join(body)}</svg>"
    )

"""What was measured, against its targets, as Markdown."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import median

_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"


@dataclass(frozen=True, slots=True)
class Target:
    """A value that must not pass a limit. at_least: the limit is the least, not the most."""

    what: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the value keeps the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def row(self) -> str:
        """A row of the table of targets."""
        sign = "≥" if self.at_least else "≤"
        verdict = "yes" if self.met else "**no**"
        return (
            f"| {self.what} | {_number(self.value, self.unit)} "
            f"| {sign} {_number(self.limit, self.unit)} | {verdict} |"
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured series."""

    what: str
    values: Sequence[float]
    unit: str

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    def row(self) -> str:
        """A row of the table of figures: median, least, most, count."""
        ordered = sorted(self.values)
        shown = [_number(v, self.unit) for v in (self.median, ordered[0], ordered[-1])]
        return f"| {self.what} | {' | '.join(shown)} | {len(ordered)} |"


def machine(kubernetes: str, kubectl: str, objects: int) -> str:
    """Where it was measured, in general words."""
    return (
        f"{cpu_count()} cores ({platform.machine()}, {platform.system()}), "
        f"Python {platform.python_version()}, Kubernetes {kubernetes}, kubectl {kubectl}, "
        f"{objects} objects.\n"
    )


def load() -> str:
    """How busy the machine is, as `uptime` says it."""
    return "load average " + " ".join(f"{value:.2f}" for value in getloadavg())


def tables(targets: Sequence[Target], figures: Sequence[Figure]) -> str:
    """Both tables."""
    lines = ["| target | measured | limit | met |", "|---|---:|---:|---|"]
    lines += [target.row() for target in targets]
    lines += ["", "| figure | median | least | most | times |", "|---|---:|---:|---:|---:|"]
    lines += [figure.row() for figure in figures]
    return "\n".join(lines) + "\n"


def keep(text: str) -> None:
    """Put the text into README.md, in place of the figures there."""
    before, _, rest = _README.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _README.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")


def _number(value: float, unit: str) -> str:
    if unit == "ms":
        return f"{value * 1000:.0f} ms"
    if unit == "MB":
        return f"{value / 1e6:.0f} MB"
    if unit == "×":
        return f"{value:.2f}×" if value < 10 else f"{value:.1f}×"
    return f"{value:.2f} {unit}" if unit else f"{value:.0f}"

"""Limits that a load test must keep: parsed from `p99=300ms,errors=0.1%`, and judged. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
TIMES = ("average", "slowest", "scale-up", "scale-down", "cold-start")
"""Names whose limit is a duration, besides pNN."""


@dataclass(frozen=True, slots=True)
class Limit:
    """name: `p99`, `errors`, `rate`, … most: seconds, a part of 1, or requests a second; the
    value must not be above, for `rate` not below. text: as written."""

    name: str
    most: float
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A limit and what was measured. value: None where it could not be. held: None likewise."""

    limit: Limit
    value: float | None

    @property
    def held(self) -> bool:
        """What could not be measured is not held."""
        if self.value is None:
            return False
        if self.limit.name == "rate":
            return self.value >= self.limit.most
        return self.value <= self.limit.most

    @property
    def shown(self) -> str:
        """The value in the limit's unit."""
        if self.value is None:
            return "not measured"
        if self.limit.name == "errors":
            return f"{self.value * 100:.3g}%"
        if self.limit.name == "rate":
            return f"{self.value:.1f}/s"
        return f"{self.value * 1000:.0f}ms" if self.value < 10 else f"{self.value:.1f}s"


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Limits of `p99=300ms,errors=0.1%,rate=50,scale-up=20s`. Raises ValueError with every part
    that is none."""
    found, wrong = [], []
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        most = _limit(name, value) if equals else None
        if most is None:
            wrong.append(repr(part.strip()))
        else:
            found.append(Limit(name, most, value))
    if wrong:
        raise ValueError(
            f"{', '.join(wrong)}: expected pNN, {', '.join(TIMES)} with a duration (p99=300ms), "
            "errors with a percentage (errors=0.1%), or rate with requests a second (rate=50)"
        )
    return tuple(found)


def _limit(name: str, value: str) -> float | None:
    if _PERCENTILE.fullmatch(name) or name in TIMES:
        match = _TIME.fullmatch(value)
        return float(match[1]) * _UNITS[match[2]] if match else None
    if name == "errors" and value.endswith("%"):
        part = _number(value[:-1])
        return None if part is None else part / 100
    if name == "rate":
        return _number(value.removesuffix("/s"))
    return None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+(?:\.\d+)?", text) else None


def percentile_of(name: str) -> float | None:
    """99.0 of `p99`, None of other names."""
    match = _PERCENTILE.fullmatch(name)
    return float(match[1]) if match else None


def judge(limits: tuple[Limit, ...], values: Mapping[str, float | None]) -> tuple[Judged, ...]:
    """Each limit with the value of its name."""
    return tuple(Judged(limit, values.get(limit.name)) for limit in limits)

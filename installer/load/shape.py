"""What load is asked for: its stages, and how many requests at a time or a second. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_STAGE = re.compile(r"(?P<load>\d+(?:\.\d+)?)(?P<open>/s)?x(?P<span>.+)")
_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
MOST_OPEN = 512
"""Connections at the same time in an open loop unless told: below the usual limit of 1024 files."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the load.

    seconds: how long it lasts. workers: requests at a time, each sent when the one before has been
    answered. rate: requests a second whatever is answered; then `workers` is not used.
    """

    seconds: float
    workers: int = 0
    rate: float = 0.0

    def __str__(self) -> str:
        load = f"{self.rate:g}/s" if self.rate else str(self.workers)
        return load if math.isinf(self.seconds) else f"{load}x{self.seconds:g}s"


@dataclass(frozen=True, slots=True)
class Load:
    """The whole load.

    warm_up: seconds of the first stage's load before it, shown and not counted. requests: end
    after so many (0: the stages' time counts). per_worker: requests a second of one worker, 0 for
    no limit. timeout: seconds for one request. most: connections at the same time in an open loop.
    """

    stages: tuple[Stage, ...]
    warm_up: float = 0.0
    requests: int = 0
    per_worker: float = 0.0
    timeout: float = 20.0
    keep_alive: bool = True
    most: int = MOST_OPEN

    @property
    def open(self) -> bool:
        """Whether requests are sent on schedule, whatever is answered."""
        return any(stage.rate for stage in self.stages)

    @property
    def seconds(self) -> float:
        """The stages' time without the warm-up; infinite where a number of requests ends it."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def plan(self) -> tuple[Stage, ...]:
        """The stages with the warm-up in front."""
        if not self.warm_up:
            return self.stages
        first = self.stages[0]
        return (Stage(self.warm_up, first.workers, first.rate), *self.stages)

    @property
    def peak(self) -> Stage:
        """The stage with the most load."""
        return max(self.stages, key=lambda stage: (stage.rate, stage.workers))


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Stages of `5x30s,25x30s` (requests at a time) or `50/sx30s,200/sx1m` (requests a second).

    Raises ValueError with every part that is neither.
    """
    found, wrong = [], []
    for part in text.split(","):
        match = _STAGE.fullmatch(part.strip())
        seconds = _seconds(match["span"]) if match else 0.0
        load = float(match["load"]) if match else 0.0
        if match is None or not seconds or not load:
            wrong.append(part.strip())
        elif match["open"]:
            found.append(Stage(seconds, rate=load))
        elif load.is_integer():
            found.append(Stage(seconds, int(load)))
        else:
            wrong.append(part.strip())
    if wrong:
        raise ValueError(
            f"{', '.join(map(repr, wrong))}: expected REQUESTSxDURATION such as 5x30s, or "
            "RATE/sxDURATION such as 50/sx30s"
        )
    if len({bool(stage.rate) for stage in found}) > 1:
        raise ValueError(f"{text!r} mixes requests at a time with requests a second: use one form")
    return tuple(found)


def _seconds(text: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None:
        return 0.0
    return sum(
        float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)
    )

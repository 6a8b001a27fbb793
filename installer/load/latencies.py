"""Latencies of any number of requests in constant memory: an HDR histogram of microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hdrh.histogram import HdrHistogram

LONGEST = 3600.0
"""Seconds that are told apart; what is longer counts as that long."""
_DIGITS = 3
_MICRO = 1_000_000
_WIDTH = 1 + 10**-_DIGITS
"""A value counts as what its cell of the histogram ends with: at most so many times itself."""


class Latencies:
    """A histogram of seconds, to three significant digits."""

    def __init__(self) -> None:
        self.total = 0.0
        self.fastest = 0.0
        self.slowest = 0.0
        self._counts = HdrHistogram(1, int(LONGEST * _MICRO), _DIGITS)
        self._record = self._counts.record_value

    def __len__(self) -> int:
        return int(self._counts.total_count)

    def record(self, seconds: float) -> None:
        """Take one value."""
        if seconds > self.slowest:
            self.slowest = seconds
        if seconds < self.fastest or not self._counts.total_count:
            self.fastest = seconds
        self.total += seconds
        self._record(int(min(seconds, LONGEST - 1) * _MICRO))

    def add(self, other: Latencies) -> None:
        """Take every value of another."""
        if not len(other):
            return
        self.fastest = min(self.fastest, other.fastest) if len(self) else other.fastest
        self.slowest = max(self.slowest, other.slowest)
        self.total += other.total
        self._counts.add(other._counts)

    def clear(self) -> None:
        """Forget every value. A histogram is used again, since one holds itself in a circle."""
        self.total = self.fastest = self.slowest = 0.0
        self._counts.reset()

    @property
    def average(self) -> float:
        """Seconds; 0 without values."""
        return self.total / len(self) if len(self) else 0.0

    def percentiles(self, wanted: Iterable[float]) -> dict[float, float]:
        """Seconds that so many percent of the values do not exceed; 0 without values."""
        asked = list(wanted)
        if not len(self):
            return dict.fromkeys(asked, 0.0)
        found = self._counts.get_percentile_to_value_dict(asked)
        return {p: min(found.get(p, 0) / _MICRO, self.slowest) for p in asked}

    def counted(self, bounds: Sequence[float]) -> list[int]:
        """How many values lie at or below each bound and above the one before it; bounds rise."""
        found = [0] * len(bounds)
        at = 0
        for item in self._counts.get_recorded_iterator():
            value = item.value_iterated_to / _MICRO
            while at < len(bounds) - 1 and value > bounds[at] * _WIDTH:
                at += 1
            found[at] += int(item.count_at_value_iterated_to)
        return found

"""What came of the requests: totals, and one row for each second. Constant memory.

A second's row counts the requests that were answered in it; its percentiles are theirs. Rows of
hours are merged in pairs, so that there are never more than `MOST_ROWS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from installer.load.latencies import Latencies

MOST_ROWS = 4096
_SECOND = (50.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class Row:
    """What happened in the `seconds` after `at` (seconds since the load began, warm-up before 0).

    p50 … slowest: seconds, of what was answered; merged rows have the worst of theirs. errors: by
    kind. in_flight: requests on their way, averaged over the time. late: seconds, the most that
    the generator itself was behind its schedule.
    """

    at: float
    seconds: float
    sent: int = 0
    answered: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    slowest: float = 0.0
    in_flight: float = 0.0
    late: float = 0.0


@dataclass(slots=True)
class Stat:
    """Average and extremes of something, in seconds."""

    total: float = 0.0
    least: float = 0.0
    most: float = 0.0
    count: int = 0

    def take(self, value: float) -> None:
        """One more value."""
        if value > self.most:
            self.most = value
        if value < self.least or not self.count:
            self.least = value
        self.total += value
        self.count += 1

    @property
    def average(self) -> float:
        """0 without values."""
        return self.total / self.count if self.count else 0.0


@dataclass(slots=True)
class Totals:
    """Everything that was counted, warm-up not included.

    latencies: from the intended send time in an open loop, else from the sending. service: from
    the sending, in an open loop only. errors: by kind: of the connection, or `HTTP 503`. bytes: of
    bodies. unsent: what was due and could not be sent within the time-out. late: how far sending
    was behind schedule although there was a connection for it.
    """

    seconds: float = 0.0
    sent: int = 0
    answered: int = 0
    unsent: int = 0
    bytes: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    service: Latencies = field(default_factory=Latencies)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    dialled: Stat = field(default_factory=Stat)
    named: Stat = field(default_factory=Stat)
    written: Stat = field(default_factory=Stat)
    waited: Stat = field(default_factory=Stat)
    read: Stat = field(default_factory=Stat)
    late: Stat = field(default_factory=Stat)

    @property
    def done(self) -> int:
        """Requests that were answered or have failed."""
        return self.answered + self.failed

    @property
    def failed(self) -> int:
        """Requests that no status came back for."""
        return sum(n for kind, n in self.errors.items() if not kind.startswith("HTTP "))

    @property
    def wrong(self) -> int:
        """Requests without a good answer: failed, or a status of 300 and above."""
        return sum(self.errors.values())

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0


class Sample(NamedTuple):
    """One request, for who wants each; seconds. offset: of its (intended) start."""

    seconds: float
    dialled: float
    named: float
    written: float
    waited: float
    read: float
    status: int
    offset: float


class Recorder:
    """Counts. Times are seconds of one clock that does not go back."""

    def __init__(
        self,
        began: float,
        counts_from: float,
        *,
        open_loop: bool = False,
        on_row: Callable[[Row], None] = lambda _: None,
        on_sample: Callable[[Sample], None] | None = None,
        most_rows: int = MOST_ROWS,
    ) -> None:
        """began: when the first row starts. counts_from: when the warm-up is over."""
        self.totals = Totals()
        self.rows: list[Row] = []
        self._open = open_loop
        self._zero = counts_from
        self._on_row = on_row
        self._on_sample = on_sample
        self._most_rows = most_rows
        self._second = Latencies()
        self._late = 0.0
        self._sent = self._answered = 0
        self._errors: Counter[str] = Counter()
        self._flying = 0
        self._area = 0.0
        self._since = began
        self._row_began = began
        self._warm = began < counts_from

    def sending(self, now: float) -> None:
        """A request goes on its way."""
        self._area += (now - self._since) * self._flying
        self._since = now
        self._flying += 1
        self._sent += 1
        if now >= self._zero:
            self.totals.sent += 1

    def landed(self, now: float) -> None:
        """A request has come to an end."""
        self._area += (now - self._since) * self._flying
        self._since = now
        self._flying -= 1

    def behind(self, now: float, seconds: float) -> None:
        """The generator is behind its schedule by so much."""
        if seconds > self._late:
            self._late = seconds
        if now >= self._zero:
            self.totals.late.take(seconds)

    def answered(self, sample: Sample, size: int, end: float, service: float) -> None:
        """A request was answered. end: when. service: seconds since it was really sent."""
        counts = sample.offset >= 0
        if counts and self._warm:
            self.row(end)
        self._answered += 1
        if counts or self._warm:
            self._second.record(sample.seconds)
        kind = f"HTTP {sample.status}" if sample.status >= 300 else ""
        if kind:
            self._errors[kind] += 1
        if not counts:
            return
        totals = self.totals
        totals.answered += 1
        totals.bytes += size
        totals.statuses[sample.status] += 1
        totals.dialled.take(sample.dialled)
        totals.named.take(sample.named)
        totals.written.take(sample.written)
        totals.waited.take(sample.waited)
        totals.read.take(sample.read)
        if kind:
            totals.errors[kind] += 1
        if self._open:
            totals.service.record(service)
        if self._on_sample is not None:
            self._on_sample(sample)

    def failed(
        self, kind: str, offset: float, seconds: float, end: float, *, sent: bool = True
    ) -> None:
        """A request got no answer. offset: of its start. A time-out counts as a latency too."""
        if offset >= 0 and self._warm:
            self.row(end)
        self._errors[kind] += 1
        if kind == "timeout" and (offset >= 0 or self._warm):
            self._second.record(seconds)
        if offset >= 0:
            self.totals.errors[kind] += 1
            if not sent:
                self.totals.unsent += 1

    def row(self, now: float) -> None:
        """End the current row."""
        self._area += (now - self._since) * self._flying
        self._since = now
        span = now - self._row_began
        if span <= 0:
            return
        found = self._second.percentiles(_SECOND)
        row = Row(
            round(self._row_began - self._zero, 6),
            span,
            self._sent,
            self._answered,
            dict(self._errors),
            found[50.0],
            found[95.0],
            found[99.0],
            self._second.slowest,
            self._area / span,
            self._late,
        )
        if not self._warm:
            self.totals.latencies.add(self._second)
        self._second.clear()
        self._row_began, self._area, self._late = now, 0.0, 0.0
        self._warm = now < self._zero
        self._sent = self._answered = 0
        self._errors = Counter()
        self.rows.append(row)
        if len(self.rows) > self._most_rows:
            self.rows = merged(self.rows)
        self._on_row(row)


def merged(rows: list[Row]) -> list[Row]:
    """Rows with each pair made one; warm-up and load are kept apart by the pair's beginning."""
    found = [_pair(a, b) for a, b in zip(rows[::2], rows[1::2], strict=False)]
    return found + rows[len(found) * 2 :]


def _pair(first: Row, second: Row) -> Row:
    seconds = first.seconds + second.seconds
    flying = first.in_flight * first.seconds + second.in_flight * second.seconds
    return replace(
        first,
        seconds=seconds,
        sent=first.sent + second.sent,
        answered=first.answered + second.answered,
        errors=dict(Counter(first.errors) + Counter(second.errors)),
        p50=max(first.p50, second.p50),
        p95=max(first.p95, second.p95),
        p99=max(first.p99, second.p99),
        slowest=max(first.slowest, second.slowest),
        in_flight=flying / seconds,
        late=max(first.late, second.late),
    )

"""The numbers of a load test laid out as hey lays them out, so that what reads hey reads this.

rakyll/hey: requester/print.go. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from installer.load.recorder import Sample, Totals
from installer.serving.bench.report import parts

_STEPS = 10
_BAR = 40
_SHARES = (10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0)
CSV_HEAD = (
    "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset"
)


def summary(totals: Totals, *, unicode: bool = True) -> Iterator[str]:
    """The lines of the report."""
    known = totals.latencies
    yield "Summary:"
    yield f"  Total:\t{totals.seconds:.4f} secs"
    yield f"  Slowest:\t{known.slowest:.4f} secs"
    yield f"  Fastest:\t{known.fastest:.4f} secs"
    yield f"  Average:\t{known.average:.4f} secs"
    yield f"  Requests/sec:\t{totals.done / totals.seconds if totals.seconds else 0.0:.4f}"
    if totals.bytes:
        yield ""
        yield f"  Total data:\t{totals.bytes} bytes"
        yield f"  Size/request:\t{totals.bytes // max(1, totals.answered)} bytes"
    if len(known):
        yield ""
        yield "Response time histogram:"
        yield from _histogram(totals, "■" if unicode else "#")
        yield ""
        yield "Latency distribution:"
        for share, seconds in known.percentiles(_SHARES).items():
            yield f"  {share:g}% in {seconds:.4f} secs"
        yield ""
        yield "Details (average, fastest, slowest):"
        for name, stat in parts(totals).items():
            numbers = ", ".join(f"{v:.4f} secs" for v in (stat.average, stat.least, stat.most))
            yield f"  {name}:\t{numbers}"
    if totals.statuses:
        yield ""
        yield "Status code distribution:"
        for code, count in sorted(totals.statuses.items()):
            yield f"  [{code}]\t{count} responses"
    failed = {k: n for k, n in totals.errors.items() if not k.startswith("HTTP ")}
    if failed:
        yield ""
        yield "Error distribution:"
        for kind, count in sorted(failed.items()):
            yield f"  [{count}]\t{kind}"


def _histogram(totals: Totals, sign: str) -> Iterator[str]:
    known = totals.latencies
    step = (known.slowest - known.fastest) / _STEPS
    bounds = [known.fastest + step * number for number in range(_STEPS)] + [known.slowest]
    counts = known.counted(bounds)
    most = max(counts) or 1
    for bound, count in zip(bounds, counts, strict=True):
        yield f"  {bound:.3f} [{count}]\t|{sign * round(count * _BAR / most)}"


def csv_line(sample: Sample) -> str:
    """One request, without a line end."""
    times = (
        sample.seconds,
        sample.dialled,
        sample.named,
        sample.written,
        sample.waited,
        sample.read,
    )
    numbers = ",".join(f"{value:.4f}" for value in times)
    return f"{numbers},{sample.status},{sample.offset:.4f}"

"""Everything a load test has to report, and its `-o json` form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from installer.load.recorder import Row, Stat, Totals
from installer.serving.bench.findings import Finding
from installer.serving.bench.panic import Period
from installer.serving.bench.pods import State
from installer.serving.bench.verdict import Observed, Verdict

PERCENTILES = (10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Report:
    """name: of the InferenceService. address: that requests were sent to, and how it was found.

    request: a line such as `POST /v1/models/flowers:predict, Host: …`. unseen: what could not be
    looked at, a sentence each. interrupted: by the user.
    """

    context: str
    name: str
    revision: str
    address: str
    request: str
    observed: Observed
    verdict: Verdict
    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]
    interrupted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The `-o json` form; times in seconds, `at` since the load began."""
        seen, found = self.observed, self.verdict
        expected = found.expected
        return {
            "context": self.context,
            "inference_service": self.name,
            "revision": self.revision,
            "address": self.address,
            "request": self.request,
            "loop": "open" if seen.load.open else "closed",
            "stages": [{"at": at, "load": name} for at, name in seen.result.stages],
            "interrupted": self.interrupted,
            "requests": requests(seen.result.totals, open_loop=seen.load.open),
            "pods": {
                "concurrency": found.concurrency,
                "expected": expected.pods if expected else None,
                "why": expected.why if expected else "",
                "peak_wanted": found.peak_wanted,
                "peak_ready": found.peak_ready,
                "steady": found.steady,
                "minimum": seen.minimum,
                "up_seconds": found.up,
                "down_seconds": found.down,
            },
            "panic": [_period(p) for p in found.panic],
            "activator": [_period(p) for p in found.activator],
            "cold_start": found.cold.to_dict() if found.cold else None,
            "slo": [
                {
                    "name": judged.limit.name,
                    "limit": judged.limit.most,
                    "value": judged.value,
                    "held": judged.held,
                }
                for judged in found.judged
            ],
            "findings": [{"sign": f.sign, "says": f.says} for f in self.findings],
            "unseen": list(self.unseen),
            "seconds": [_row(row) for row in seen.result.rows],
            "states": [_state(state) for state in seen.states],
        }


def requests(totals: Totals, *, open_loop: bool) -> dict[str, Any]:
    """The numbers of the requests."""
    known = totals.latencies
    found: dict[str, Any] = {
        "seconds": totals.seconds,
        "sent": totals.sent,
        "answered": totals.answered,
        "failed": totals.failed,
        "unsent": totals.unsent,
        "rate": totals.rate,
        "bytes": totals.bytes,
        "latency": _latency(known),
        "statuses": {str(code): n for code, n in sorted(totals.statuses.items())},
        "errors": dict(sorted(totals.errors.items())),
        "parts": {name: _stat(stat) for name, stat in parts(totals).items()},
    }
    if open_loop:
        found["latency_from"] = "the intended send time"
        found["service_time"] = _latency(totals.service)
        found["late"] = _stat(totals.late)
    return found


def parts(totals: Totals) -> Mapping[str, Stat]:
    """What a request's time went into, by hey's names."""
    return {
        "DNS+dialup": totals.dialled,
        "DNS-lookup": totals.named,
        "req write": totals.written,
        "resp wait": totals.waited,
        "resp read": totals.read,
    }


def _latency(known: Any) -> dict[str, Any]:
    shares = known.percentiles(PERCENTILES)
    return {
        "fastest": known.fastest,
        "average": known.average,
        "slowest": known.slowest,
        "percentiles": {f"{p:g}": seconds for p, seconds in shares.items()},
    }


def _stat(stat: Stat) -> dict[str, float]:
    return {"average": stat.average, "fastest": stat.least, "slowest": stat.most}


def _period(period: Period) -> dict[str, float]:
    return {"begin": period.begin, "end": period.end}


def _row(row: Row) -> dict[str, Any]:
    return {
        "at": row.at,
        "seconds": row.seconds,
        "sent": row.sent,
        "answered": row.answered,
        "errors": dict(row.errors),
        "p50": row.p50,
        "p95": row.p95,
        "p99": row.p99,
        "slowest": row.slowest,
        "in_flight": row.in_flight,
        "late": row.late,
    }


def _state(state: State) -> dict[str, Any]:
    return {
        "at": state.at,
        "wanted": state.wanted,
        "made": state.made,
        "scheduled": state.scheduled,
        "ready": state.ready,
        "ending": state.ending,
        "proxied": state.proxied,
    }

"""Load tests made up of values, for what judges and shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from installer.load.generator import Result
from installer.load.recorder import Row, Totals
from installer.load.shape import Load, Stage
from installer.serving.autoscaling import KPA, Setting
from installer.serving.bench.findings import findings
from installer.serving.bench.pods import State
from installer.serving.bench.report import Report
from installer.serving.bench.slo import parse_limits
from installer.serving.bench.verdict import Observed, verdict


def settings(target: float = 10, **more: str) -> dict[str, Setting]:
    """Settings in effect; more: by name, with `_` for a blank."""
    values = {
        "class": KPA,
        "metric": "concurrency",
        "target": f"{target:g}",
        "utilization": "70",
        "min scale": "1",
        "max scale": "0",
        "window": "60s",
        "panic window": "10.0",
        "panic threshold": "200.0",
        "scale to zero": "true",
    }
    values |= {name.replace("_", " "): value for name, value in more.items()}
    return {name: Setting(name, value, "", "test") for name, value in values.items()}


def rows(seconds: int, in_flight: float = 25, begin: int = 0, took: float = 0.1) -> list[Row]:
    """So many seconds of one load."""
    count = int(in_flight / took)
    return [
        Row(float(at), 1.0, count, count, {}, took, took, took, took, in_flight)
        for at in range(begin, begin + seconds)
    ]


def pods(at: float, ready: int | None, wanted: int | None = None, **more: object) -> State:
    """A state; as many pods there as are ready unless told."""
    state = State(
        at,
        wanted=ready if wanted is None else wanted,
        made=ready,
        scheduled=ready,
        ready=ready,
        ending=None if ready is None else 0,
    )
    return replace(state, **more)  # type: ignore[arg-type]


def observed(
    states: Sequence[State],
    *,
    load: Load | None = None,
    found: Sequence[Row] | None = None,
    totals: Totals | None = None,
    slo: str = "",
    until: float = 100.0,
    stopped: bool = False,
    **more: object,
) -> Observed:
    """30 s of 25 requests at a time unless told."""
    load = load or Load((Stage(30, 25),))
    found = rows(30) if found is None else found
    if totals is None:
        totals = Totals(seconds=30, sent=100, answered=100, bytes=200)
        totals.statuses[200] = 100
        for number in range(100):
            totals.latencies.record(0.1 + number / 1000)
    stages = tuple((0.0, str(stage)) for stage in load.stages)
    result = Result(totals, tuple(found), stages, stopped, 0.0)
    limits = parse_limits(slo) if slo else ()
    seen = Observed(load, result, tuple(states), settings(), 1, until, True, limits)
    return replace(seen, **more)  # type: ignore[arg-type]


def report(seen: Observed, **more: object) -> Report:
    """The report of it."""
    found = verdict(seen)
    made = Report(
        "test",
        "models/flowers",
        "flowers-00001",
        "192.0.2.1:80, the load balancer of istio-ingressgateway",
        "GET /v1/models/flowers, Host: flowers.example.com",
        seen,
        found,
        tuple(findings(found, seen)),
        (),
    )
    return replace(made, **more)  # type: ignore[arg-type]


GOOD = (pods(-1, 1), pods(4, 1, 4), pods(9, 4), pods(75, 2), pods(77, 1))
"""From one pod to four and back."""

"""The pod autoscaler's model against what the real one was recorded to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from installer.sandbox.simulators.serving.kpa import TICK, Kpa, Spec, spec_of

LAG = 1.0
"""Seconds from a request to the autoscaler's knowing of it: it scrapes once a second."""
LOAD = 31.0
"""The recorded load ran so many seconds, the last answers included."""


@dataclass(frozen=True)
class Row:
    """One second of a recording: what was wanted, and how many pods took requests."""

    at: float
    wanted: int
    ready: int


def recorded(shared: Path, name: str) -> list[Row]:
    """A recorded run; t is in seconds from the begin of the load."""
    folder = shared / "facts/recordings/kfserving-0.5.1/autoscale" / name
    rows = []
    for line in (folder / "samples.txt").read_text().splitlines():
        words = line.split()
        if words and words[0].replace(".", "").lstrip("-").isdigit():
            # pods that are told to end are out of the endpoints at once
            ready = min(int(words[4]), int(words[5]))
            rows.append(Row(float(words[0]), int(words[2]), ready))
    return rows


def replayed(rows: list[Row], spec: Spec, concurrency: float) -> dict[float, int]:
    """Pods wanted by the model at each second, given the load and the pods that were ready."""
    model, wanted, decided = Kpa(spec), {}, 0.2 - 8
    pods = 1
    for second in range(-8, int(rows[-1].at) + 1):
        model.record(second, concurrency if LAG <= second <= LOAD + LAG else 0.0)
        if second >= decided:
            ready = next((r.ready for r in reversed(rows) if r.at <= second), 1)
            pods = model.decide(second, ready).pods
            decided += TICK
        wanted[float(second)] = pods
    return wanted


@pytest.mark.parametrize(
    ("name", "target", "concurrency", "peak"),
    [
        ("target10_c25", 10, 25, 4),
        ("target10_c5", 10, 5, 1),
        ("target1_c5", 1, 5, 8),
        ("target1_c25", 1, 25, 36),
    ],
)
def test_wanted_pods_follow_the_recording_within_one_pod_and_three_seconds(
    shared: Path, name: str, target: float, concurrency: float, peak: int
) -> None:
    rows = recorded(shared, name)
    wanted = replayed(rows, Spec(target=target, least=1), concurrency)
    assert max(wanted.values()) == peak
    for row in rows[4:]:
        # what is wanted at a second holds until the next
        near = [pods for at, pods in wanted.items() if -4 < at - row.at <= 3]
        assert min(abs(pods - row.wanted) for pods in near) <= 1, row


def test_nothing_is_taken_away_for_a_stable_window_after_the_last_excess() -> None:
    model = Kpa(Spec(target=10, least=1))
    for second in range(10):
        model.record(second, 25.0)
    assert model.decide(9, 1).pods == 4
    for second in range(10, 69):
        model.record(second, 0.0)
        assert model.decide(second, 4).pods == 4, second
    model.record(75, 0.0)
    assert [model.decide(75, ready).pods for ready in (4, 2)] == [2, 1]


def test_without_requests_none_is_wanted_unless_a_minimum_says_so() -> None:
    idle = Kpa(Spec())
    idle.record(0, 0.0)
    assert idle.decide(0, 1).pods == 0
    kept = Kpa(Spec(least=1))
    assert kept.decide(0, 1).pods == 1
    forbidden = Kpa(Spec(to_zero=False))
    assert forbidden.decide(0, 1).pods == 1


@pytest.mark.parametrize(
    ("burst", "ready", "concurrency", "proxied"),
    [(200, 36, 25, True), (0, 1, 25, False), (-1, 36, 0, True), (20, 8, 5, False)],
)
def test_the_activator_is_in_the_path_until_there_is_room_for_a_burst(
    burst: float, ready: int, concurrency: float, proxied: bool
) -> None:
    target = 1 if burst == 200 else 10
    model = Kpa(Spec(target=target, burst=burst, least=1))
    for second in range(6):
        model.record(second, concurrency)
    assert model.decide(5, ready).proxied is proxied


def test_a_recorded_revision_is_spread_over_three_activators() -> None:
    decision = Kpa(Spec(target=10, least=1)).decide(0, 1)
    assert (decision.activators, decision.excess) == (3, -190)


@pytest.mark.parametrize(
    ("config", "annotations", "hard", "expected"),
    [
        ({}, {}, 0, Spec()),
        ({}, {"target": "10", "minScale": "1"}, 0, Spec(target=10, least=1)),
        ({}, {"min-scale": "2", "max-scale": "5"}, 0, Spec(least=2, most=5)),
        ({"container-concurrency-target-default": "50"}, {}, 0, Spec(target=50)),
        ({}, {}, 4, Spec(target=4)),
        ({}, {"target": "9"}, 4, Spec(target=4)),
        ({"stable-window": "30s"}, {}, 0, Spec(stable_window=30, panic_window=3)),
        ({"stable-window": "30s"}, {"window": "90s"}, 0, Spec(stable_window=90, panic_window=9)),
        ({"container-concurrency-target-percentage": "50"}, {}, 0, Spec(utilization=0.5)),
        ({"enable-scale-to-zero": "false"}, {}, 0, Spec(to_zero=False)),
        ({}, {"targetBurstCapacity": "-1"}, 0, Spec(burst=-1)),
        ({"target-burst-capacity": "nonsense"}, {}, 0, Spec()),
    ],
)
def test_settings_come_from_annotations_then_the_config_map_then_defaults(
    config: dict[str, str], annotations: dict[str, str], hard: int, expected: Spec
) -> None:
    prefixed = {f"autoscaling.knative.dev/{k}": v for k, v in annotations.items()}
    assert spec_of(config, prefixed, hard) == replace(expected)

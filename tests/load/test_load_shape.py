"""Stages are read as they are written, and every wrong part is named."""

from __future__ import annotations

import pytest

from installer.load.latencies import Latencies
from installer.load.recorder import Row, merged
from installer.load.shape import Load, Stage, parse_stages


def test_stages_are_requests_at_a_time_or_a_second() -> None:
    assert parse_stages("5x30s, 25x1m30s") == (Stage(30, 5), Stage(90, 25))
    assert parse_stages("0.5/sx30s,200/sx1h") == (Stage(30, rate=0.5), Stage(3600, rate=200))


@pytest.mark.parametrize(
    "text", ["5", "5x", "x30s", "0x30s", "5x30", "1.5x30s", "-5x30s", "5x0s", ""]
)
def test_what_is_no_stage_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="expected REQUESTSxDURATION") as caught:
        parse_stages(f"5x1s,{text},bad")
    assert repr(text) in str(caught.value)
    assert "'bad'" in str(caught.value)


def test_the_two_forms_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="mixes"):
        parse_stages("5x1s,5/sx1s")


def test_the_peak_is_the_stage_with_the_most_load() -> None:
    load = Load((Stage(30, 5), Stage(30, 25), Stage(30, 10)), warm_up=5)
    assert load.peak == Stage(30, 25)
    assert load.plan[0] == Stage(5, 5)
    assert load.seconds == 90


def test_percentiles_are_within_a_thousandth_whatever_was_added() -> None:
    one, two = Latencies(), Latencies()
    for number in range(1, 1001):
        (one if number % 2 else two).record(number / 1000)
    one.add(two)
    assert len(one) == 1000
    shares = one.percentiles((50.0, 99.0, 100.0))
    assert shares[50.0] == pytest.approx(0.5, rel=0.002)
    assert shares[99.0] == pytest.approx(0.99, rel=0.002)
    assert shares[100.0] == one.slowest == 1.0
    assert one.fastest == 0.001
    assert one.counted([0.001, 0.5, 1.0]) == [1, 499, 500]


def test_without_values_every_number_is_zero() -> None:
    assert Latencies().percentiles((50.0,)) == {50.0: 0.0}
    assert Latencies().average == 0


def test_merged_rows_keep_counts_and_the_worse_percentile() -> None:
    rows = [Row(float(n), 1.0, 10, 9, {"reset": 1}, 0.1, 0.2, 0.3 + n, 0.4, 2.0) for n in range(3)]
    first, rest = merged(rows)
    assert (first.at, first.seconds, first.sent, first.answered) == (0.0, 2.0, 20, 18)
    assert first.errors == {"reset": 2}
    assert first.p99 == pytest.approx(1.3)
    assert first.in_flight == pytest.approx(2.0)
    assert rest == rows[2]

"""What a load test has shown, from values: pods, times, panic, limits, cold starts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from bench_runs import GOOD, observed, pods, report, rows, settings
from recorded import RECORDINGS

from installer.load.recorder import Row, Totals
from installer.load.shape import Load, Stage
from installer.serving.bench.findings import findings
from installer.serving.bench.panic import panics, rule_of
from installer.serving.bench.pods import State, belongs, pod_fact
from installer.serving.bench.slo import parse_limits
from installer.serving.bench.verdict import Observed, at_time, verdict


def _says(seen: Observed) -> list[tuple[str, str]]:
    return [(f.sign, f.says) for f in findings(verdict(seen), seen)]


def test_pods_come_as_expected_and_go() -> None:
    found = verdict(observed(GOOD))
    assert found.expected is not None
    assert (found.expected.pods, found.peak_wanted, found.peak_ready, found.steady) == (4, 4, 4, 4)
    assert found.up == 9
    assert found.down == 47
    assert _says(observed(GOOD))[0][0] == "ok"


def test_the_heaviest_stage_is_what_is_judged() -> None:
    load = Load((Stage(30, 5), Stage(30, 25)))
    states = [pods(-1, 1), pods(40, 4), pods(100, 1)]
    found = verdict(observed(states, load=load, found=rows(30, 5) + rows(30, 25, 30)))
    assert found.concurrency == 25
    assert found.up == 10
    assert found.steady == 4


def test_in_an_open_loop_the_measured_concurrency_counts() -> None:
    load = Load((Stage(30, rate=100),))
    found = verdict(observed(GOOD, load=load, found=rows(30, 12.5)))
    assert found.concurrency == pytest.approx(12.5)
    assert found.expected is not None
    assert found.expected.pods == 2
    signs = dict(reversed(_says(observed(GOOD, load=load, found=rows(30, 12.5)))[:1]))
    assert "more than expected" in signs["warn"]


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([pods(-1, 1), pods(5, 2)], "never wanted so many"),
        ([pods(-1, 1), pods(5, 1, 4, made=4, scheduled=4)], "not ready in time"),
        ([pods(-1, 1), pods(5, 1, 4, made=4, scheduled=1)], "found no node"),
    ],
)
def test_where_pods_are_missing_it_says_at_what_step(states: list[State], reason: str) -> None:
    sign, says = _says(observed(states))[0]
    assert sign == "warn"
    assert "fewer than expected" in says
    assert reason in says


def test_a_minimum_that_is_left_again_is_not_back() -> None:
    states = [pods(-1, 1), pods(9, 4), pods(60, 1), pods(70, 2)]
    seen = observed(states)
    assert verdict(seen).down is None
    assert any("not back at 1 pod" in says and "2 left" in says for _, says in _says(seen))


def test_nobody_who_does_not_wait_is_told_that_pods_stayed() -> None:
    seen = observed(GOOD[:3], down_wanted=False)
    assert not any("back at" in says for _, says in _says(seen))


def test_without_sight_of_pods_requests_are_judged_all_the_same() -> None:
    seen = observed((), slo="p99=1s", minimum=1)
    found = verdict(seen)
    assert (found.peak_ready, found.steady, found.up, found.down, found.panic) == (
        None,
        None,
        None,
        None,
        (),
    )
    assert found.judged[0].held
    assert any("could not be seen" in says for _, says in _says(seen))


def test_a_cold_start_has_its_steps() -> None:
    states = [
        pods(-1, 0),
        pods(0.5, 0, 1),
        pods(1.0, 0, 1, made=1, scheduled=1),
        pods(4.0, 1, 1),
    ]
    first = Row(4.0, 1.0, 5, 5, {}, 4.2, 4.2, 4.2, 4.4, 5)
    idle = [Row(float(at), 1.0) for at in range(4)]
    found = verdict(observed(states, found=[*idle, first, *rows(5, 5, 5)]))
    assert found.cold is not None
    assert found.cold.to_dict() == {"wanted": 0.5, "scheduled": 1.0, "ready": 4.0, "answered": 4.4}


def test_no_answer_is_told_of_a_cold_start_that_never_ends() -> None:
    failing = [Row(float(at), 1.0, 5, 0, {"timeout": 5}) for at in range(3)]
    seen = observed([pods(-1, 0), pods(1, 0, 1)], found=failing)
    assert ("failed", "cold start without an answer (wanted after 1.0 s)") in _says(seen)


def test_limits_are_held_broken_or_not_measured() -> None:
    slo = "p99=250ms,p50=1ms,errors=0.1%,rate=2,scale-up=10s,scale-down=10s,cold-start=1s"
    judged = {j.limit.name: (j.held, j.shown) for j in verdict(observed(GOOD, slo=slo)).judged}
    assert judged["p99"] == (True, "198ms")
    assert judged["p50"][0] is False
    assert judged["errors"] == (True, "0%")
    assert judged["rate"] == (True, "3.3/s")
    assert judged["scale-up"] == (True, "9000ms")
    assert judged["scale-down"] == (False, "47.0s")
    assert judged["cold-start"] == (False, "not measured")


def test_wrong_statuses_and_failures_are_errors_together() -> None:
    totals = Totals(seconds=10, sent=10, answered=8)
    totals.errors.update({"HTTP 503": 2, "timeout": 2})
    (judged,) = verdict(observed(GOOD, totals=totals, slo="errors=40%")).judged
    assert judged.value == pytest.approx(0.4)
    assert judged.held


@pytest.mark.parametrize("text", ["p99", "p99=3", "p100=1s", "errors=3", "x=1s", "rate=fast", ""])
def test_what_is_no_limit_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="expected pNN") as caught:
        parse_limits(f"p50=1s,{text},bad=1")
    assert repr(text) in str(caught.value)
    assert "bad=1" in str(caught.value)


def test_a_generator_that_is_late_says_that_it_is_the_limit() -> None:
    totals = Totals(seconds=30, sent=10, answered=10)
    totals.late.take(0.2)
    assert any(
        "this machine is the limit" in says for _, says in _says(observed(GOOD, totals=totals))
    )


def test_a_closed_loop_says_what_it_does_not_show() -> None:
    assert any(says.startswith("closed loop") for _, says in _says(observed(GOOD)))
    opened = observed(GOOD, load=Load((Stage(30, rate=10),)))
    assert not any(says.startswith("closed loop") for _, says in _says(opened))


@pytest.mark.parametrize(
    ("name", "target", "load"),
    [
        ("target10_c25", 10, 25),
        ("target10_c5", 10, 5),
        ("target1_c5", 1, 5),
        ("target1_c25", 1, 25),
    ],
)
def test_panic_lasts_as_long_as_the_real_autoscalers(
    shared: Path, name: str, target: float, load: float
) -> None:
    folder = shared / RECORDINGS / "autoscale" / name
    states = []
    for line in (folder / "samples.txt").read_text().splitlines():
        words = line.split()
        if words and words[0].replace(".", "").lstrip("-").isdigit():
            states.append(State(float(words[0]), ready=min(int(words[4]), int(words[5]))))
    told = [
        datetime.strptime(line.split()[0], "%H:%M:%S.%f")
        for line in (folder / "autoscaler-log.txt").read_text().splitlines()
        if line.split()[1:2] in (["PANICKING."], ["Un-panicking."])
    ]
    rule = rule_of(settings(target))
    assert rule is not None
    idle = rows(100, 0, 31)
    found = panics(rows(31, load) + idle, lambda at: at_time(states, at).ready, rule, 131)
    assert len(found) == len(told) // 2
    for period, (begin, end) in zip(found, [told] if told else [], strict=True):
        assert period.end - period.begin == pytest.approx((end - begin).seconds, abs=4)


def test_panic_is_not_told_of_other_metrics() -> None:
    assert rule_of(settings(metric="rps")) is None
    assert rule_of(settings(**{"class": "hpa.autoscaling.knative.dev"})) is None


def test_only_living_pods_of_the_predictor_count() -> None:
    labels = {"serving.kserve.io/inferenceservice": "a", "component": "predictor"}
    assert belongs({"metadata": {"labels": labels}}, "a")
    assert not belongs({"metadata": {"labels": labels}}, "b")
    assert not belongs({"metadata": {"labels": labels | {"component": "explainer"}}}, "a")
    assert pod_fact({"metadata": {"deletionTimestamp": "x"}}).ended
    assert pod_fact({"metadata": {}, "status": {"phase": "Failed"}}).ended
    ready = [{"type": t, "status": "True"} for t in ("PodScheduled", "Ready")]
    fact = pod_fact({"metadata": {}, "status": {"phase": "Running", "conditions": ready}})
    assert (fact.scheduled, fact.ready, fact.ended) == (True, True, False)


def test_the_report_as_json_has_everything_on_one_axis() -> None:
    told = report(observed(GOOD, slo="p99=1ms")).to_dict()
    assert told["pods"]["peak_ready"] == 4
    assert told["slo"][0]["held"] is False
    assert [state["at"] for state in told["states"]] == [-1, 4, 9, 75, 77]
    assert told["seconds"][0]["in_flight"] == 25
    assert told["requests"]["latency"]["percentiles"]["50"] == pytest.approx(0.15, rel=0.02)

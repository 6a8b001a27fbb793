"""The load generator against real sockets: what is sent, when, and what is counted."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from loopback import OK, after, serving, stalling
from self_signed import serving_tls

from installer.load.generator import Result, Watchers, run
from installer.load.recorder import Recorder, Sample
from installer.load.request import Target
from installer.load.shape import Load, Stage


def _load(*stages: Stage, **more: object) -> Load:
    return Load(stages, **more)  # type: ignore[arg-type]


def _requests(count: int, workers: int = 4, **more: object) -> Load:
    return _load(Stage(float("inf"), workers), requests=count, **more)


def test_exactly_the_wanted_number_of_requests_is_sent_over_kept_connections() -> None:
    with serving() as server:
        result = run(server.target(), _requests(50))
    assert len(server.requests) == result.totals.answered == 50
    assert server.connections <= 4
    assert dict(result.totals.statuses) == {200: 50}
    assert result.totals.bytes == 100
    assert len(result.totals.latencies) == 50
    assert not result.stopped


def test_a_number_that_the_workers_do_not_divide_is_sent_whole() -> None:
    with serving() as server:
        run(server.target(), _requests(10, workers=7))
    assert len(server.requests) == 10


def test_without_keep_alive_each_request_has_its_own_connection() -> None:
    with serving() as server:
        result = run(server.target(), _requests(9, keep_alive=False))
    assert server.connections == 9
    assert b"Connection: close" in server.requests[0]
    assert result.totals.dialled.least > 0


def test_the_request_is_sent_as_it_was_asked_for() -> None:
    asked = {"method": "POST", "path": "/v1/models/m:predict", "body": b'{"a": 1}'}
    with serving() as server:
        run(server.target(**asked, headers={"Content-Type": "text/x"}), _requests(1))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /v1/models/m:predict HTTP/1.1"
    assert {b"Host: model.example.com", b"Content-Type: text/x", b"Content-Length: 8"} <= set(
        head.splitlines()
    )
    assert body == b'{"a": 1}'


@pytest.mark.parametrize(
    "wrong", [{"path": "/a b"}, {"headers": {"X": "a\r\nY: b"}}, {"method": "GET /\r\n"}]
)
def test_a_request_that_would_break_out_of_its_line_is_refused(wrong: dict[str, object]) -> None:
    with serving() as server, pytest.raises(ValueError, match="request"):
        run(server.target(**wrong), _requests(1))
    assert server.requests == []


def test_answers_in_chunks_and_in_pieces_are_whole_answers() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with serving(lambda _: chunked) as server:
        result = run(server.target(), _requests(5))
    assert result.totals.bytes == 15


def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    with serving(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n") as server:
        result = run(server.target(method="HEAD"), _requests(5, timeout=2.0))
    assert dict(result.totals.statuses) == {200: 5}


def test_a_status_of_300_and_above_is_an_error_and_still_has_a_latency() -> None:
    with serving(lambda _: b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as server:
        result = run(server.target(), _requests(6))
    assert dict(result.totals.errors) == {"HTTP 503": 6}
    assert result.totals.wrong == result.totals.answered == len(result.totals.latencies) == 6
    assert result.totals.failed == 0


def test_each_kind_of_failure_has_a_word_of_its_own() -> None:
    def kinds(result: Result) -> set[str]:
        return set(result.totals.errors)

    with serving(lambda _: b"") as server:
        assert kinds(run(server.target(), _requests(2, workers=1))) == {"reset"}
    with serving(lambda _: b"SSH-2.0-x\r\n\r\n") as server:
        assert kinds(run(server.target(), _requests(2, workers=1))) == {"protocol"}
    with serving(after(5)) as server:
        assert kinds(run(server.target(), _requests(1, timeout=0.2))) == {"timeout"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert kinds(run(Target("127.0.0.1", port, "x"), _requests(2))) == {"refused"}


def test_a_timeout_counts_with_its_full_time_among_the_latencies() -> None:
    with serving(after(5)) as server:
        totals = run(server.target(), _requests(1, timeout=0.3)).totals
    assert len(totals.latencies) == 1
    assert 0.3 <= totals.latencies.slowest < 2


def test_a_connection_that_was_closed_while_idle_is_made_anew_without_an_error() -> None:
    answers = iter(range(10_000))

    def closing(_: bytes) -> bytes:
        return OK if next(answers) % 2 == 0 else b""

    with serving(closing) as server:
        totals = run(server.target(), _requests(6, workers=1)).totals
    assert totals.answered == 6
    assert not totals.errors


def test_stages_follow_one_another_with_their_workers() -> None:
    with serving(after(0.05)) as server:
        result = run(server.target(), _load(Stage(1, 2), Stage(1, 8)))
    assert [name for _, name in result.stages] == ["2x1s", "8x1s"]
    first, second = result.rows[0], result.rows[1]
    assert first.in_flight == pytest.approx(2, abs=0.3)
    assert second.in_flight == pytest.approx(8, abs=1)


def test_the_warm_up_has_rows_and_counts_for_nothing() -> None:
    with serving(after(0.01)) as server:
        result = run(server.target(), _load(Stage(1, 1), warm_up=1))
    assert result.rows[0].at == pytest.approx(-1)
    assert result.rows[0].answered > 0
    assert result.totals.answered == len(result.totals.latencies)
    assert result.totals.answered < len(server.requests)


def test_workers_may_be_held_to_a_rate() -> None:
    with serving() as server:
        run(server.target(), _load(Stage(1, 2), per_worker=10))
    assert 16 <= len(server.requests) <= 22


def test_an_open_loop_sends_on_schedule_while_nothing_is_answered() -> None:
    with serving(after(0.8)) as server:
        result = run(server.target(), _load(Stage(1, rate=50)))
    assert result.totals.sent == result.totals.answered == 50
    assert max(row.in_flight for row in result.rows) > 15
    assert result.totals.latencies.slowest == pytest.approx(0.8, abs=0.3)


def test_what_is_due_and_has_no_connection_waits_and_its_wait_is_counted() -> None:
    with serving(after(0.1)) as server:
        totals = run(server.target(), _load(Stage(1, rate=50), most=1)).totals
    assert totals.answered == 50
    assert server.connections == 1
    assert totals.latencies.slowest > 3.5
    assert totals.service.slowest < 1


def test_what_has_waited_for_longer_than_the_timeout_is_counted_as_not_sent() -> None:
    with serving(after(0.2)) as server:
        totals = run(server.target(), _load(Stage(1, rate=50), most=1, timeout=0.5)).totals
    assert totals.unsent > 20
    assert totals.done == 50


def test_a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one() -> None:
    """1 s of stall in 4: a quarter of what is due waits, up to 1 s, evenly spread. A busy machine
    only adds to that; how exact it is on a quiet one is measured by benchmarks/load.py."""
    load = _load(Stage(8, rate=100))
    with serving(stalling(4, 1)) as server:
        opened = run(server.target(), load).totals.latencies.percentiles((80.0, 90.0, 95.0))
    with serving(stalling(4, 1)) as server:
        closed = run(server.target(), _load(Stage(8, 4))).totals.latencies.percentiles((95.0,))
    for percent, seconds in opened.items():
        assert seconds > 1 - (100 - percent) / 25 - 0.06
    assert closed[95.0] < opened[95.0] / 2


def test_a_stop_ends_the_run_at_once_with_what_there_is() -> None:
    stop: list[bool] = []
    with serving(after(0.02)) as server:
        watchers = Watchers(stop=lambda: bool(stop), row=lambda _: stop.append(True))
        result = run(server.target(), _load(Stage(60, 2)), watchers)
    assert result.stopped
    assert result.totals.seconds < 5
    assert result.totals.answered > 10


def test_each_sample_is_told_and_a_reader_that_fails_ends_the_run() -> None:
    seen: list[Sample] = []
    with serving() as server:
        run(server.target(), _requests(7), Watchers(sample=seen.append))
    assert len(seen) == 7
    assert all(0 < sample.waited <= sample.seconds for sample in seen)

    def gone(_: Sample) -> None:
        raise BrokenPipeError

    with serving() as server, pytest.raises(BrokenPipeError):
        run(server.target(), _load(Stage(60, 2)), Watchers(sample=gone))


def test_tls_is_spoken_for_the_name_of_the_host_and_an_unknown_signer_is_told(
    tmp_path: Path,
) -> None:
    with serving(tls=serving_tls(tmp_path, "model.example.com")[1]) as server:
        trusting = run(server.target(scheme="https", verify=False), _requests(3, workers=1))
        strict = run(server.target(scheme="https"), _requests(1))
    assert dict(trusting.totals.statuses) == {200: 3}
    assert dict(strict.totals.errors) == {"certificate": 1}
    assert server.names == {"model.example.com"}


def test_rows_of_many_hours_stay_within_their_number_and_keep_every_request() -> None:
    recorder = Recorder(0.0, 0.0, most_rows=16)
    for second in range(100):
        now = second + 0.5
        recorder.sending(now)
        recorder.landed(now)
        recorder.answered(Sample(0.01, 0, 0, 0, 0.01, 0, 200, now), 1, now, 0.01)
        recorder.row(float(second + 1))
    assert len(recorder.rows) <= 16
    assert sum(row.answered for row in recorder.rows) == 100
    assert sum(row.seconds for row in recorder.rows) == pytest.approx(100)
    assert len(recorder.totals.latencies) == 100

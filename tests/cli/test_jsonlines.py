"""JSON lines: what is printed is what docs/events.md promises."""

from __future__ import annotations

import io
import json
import threading

import pytest

from installer.cli.jsonlines import JsonLines
from installer.cli.schema import problems_of
from installer.core.events import SCHEMA, Event


def printed(events: list[Event]) -> list[dict[str, object]]:
    stream = io.StringIO()
    renderer = JsonLines(stream)
    for event in events:
        renderer.emit(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_of_a_run_is_as_the_schema_says(
    run_done: list[Event], run_failed: list[Event]
) -> None:
    lines = printed([*run_done, *run_failed])

    assert [problem for line in lines for problem in problems_of(line)] == []


def test_times_are_utc_with_milliseconds(run_done: list[Event]) -> None:
    assert printed(run_done[:2])[1]["time"] == "2020-09-13T12:26:40.100Z"


def test_lines_of_many_threads_do_not_mix() -> None:
    stream = io.StringIO()
    renderer = JsonLines(stream)

    def emit() -> None:
        for number in range(200):
            renderer.emit(Event("component_started", {"component": "x" * number, "version": "1"}))

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([json.loads(line) for line in stream.getvalue().splitlines()]) == 800


def test_when_the_reader_leaves_the_work_goes_on() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    JsonLines(Gone()).emit(Event("warning", {}))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"event": "nonsense"}, "there is no event 'nonsense'"),
        ({"event": "component_started", "component": 1, "version": "2"}, "1 is not a string"),
        ({"event": "component_started", "component": "a"}, "version is missing"),
        ({"event": "stage_started", "component": "a", "stage": "b", "objects": True}, "a number"),
        ({"event": "resuming", "run": "r", "done": [1], "left": []}, "1 is not a string"),
        ({"event": "warning", "message": "", "object": "", "remedy": "", "x": 1}, "unknown x"),
        (
            {
                "event": "planned",
                "components": [{"name": "a"}],
                "objects": 1,
                "create": 0,
                "change": 0,
                "unchanged": 1,
            },
            "version is missing",
        ),
    ],
)
def test_the_check_finds_what_is_wrong(line: dict[str, object], problem: str) -> None:
    found = problems_of({"time": "2020-09-13T12:26:40.100Z", **line})

    assert any(problem in item for item in found), found


def test_a_time_in_another_form_is_found() -> None:
    fields = {"component": "a", "version": "1"}

    assert problems_of({"event": "component_started", "time": "yesterday", **fields})


def test_every_event_of_the_schema_has_a_meaning_and_words_for_its_fields() -> None:
    for meaning, wanted in SCHEMA.values():
        assert meaning
        assert all(wanted.values())

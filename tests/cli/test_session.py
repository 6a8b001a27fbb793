"""How a run ends for whoever reads its events, whatever its threads still do."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from installer.cli.commands import parse
from installer.cli.session import Session
from installer.core.errors import ChecksFailed
from installer.core.events import Event

FOUND = Event("source", {"component": "a", "url": "u", "origin": "cache", "bytes": 1, "seconds": 0})


class Slow:
    """A renderer that takes its time for all but the last event."""

    def __init__(self) -> None:
        self.lost: OSError | None = None
        self.shown: list[str] = []
        self.busy = threading.Event()
        self.go_on = threading.Event()

    def emit(self, event: Event) -> None:
        if event.name != "finished":
            self.busy.set()
            assert self.go_on.wait(10)
        self.shown.append(event.name)

    def pause(self) -> None:
        """Nothing to leave."""

    def close(self) -> None:
        """Nothing to leave."""


def test_what_threads_tell_after_the_end_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The first failure ends a run; what else was under way then goes on for a moment."""
    over = threading.Event()
    session = Session(parse(["install", "r", "-o", "json"]), "install")

    def goes_on() -> None:
        over.wait(10)
        session.emit(FOUND)

    left_behind = threading.Thread(target=goes_on)

    def work(_: Session) -> Mapping[str, Any]:
        left_behind.start()
        raise ChecksFailed("no", kind="source-tampered")

    assert session.run(work) == 3
    over.set()
    left_behind.join()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["finished"]


def test_an_event_that_is_being_shown_comes_before_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Slow()
    monkeypatch.setattr("installer.cli.session.renderer", lambda _: shown)
    session = Session(parse(["install", "r", "-o", "json"]), "install")
    under_way = threading.Thread(target=lambda: session.emit(FOUND))

    def work(_: Session) -> Mapping[str, Any]:
        under_way.start()
        assert shown.busy.wait(10)
        threading.Timer(0.2, shown.go_on.set).start()
        raise ChecksFailed("no", kind="source-tampered")

    assert session.run(work) == 3
    under_way.join()
    assert shown.shown == ["source", "finished"]

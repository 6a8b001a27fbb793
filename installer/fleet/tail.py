"""Follows the logs of clusters at work: new lines of the command's JSON as events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from installer.core.events import Event


class Tail:
    """One log; `events` gives what was added since it was asked last, whole lines only."""

    def __init__(self, path: Path):
        self._path = path
        self._offset = 0

    def events(self) -> Iterator[Event]:
        """New events. A log that is not there yet, or is on another machine, has none."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                added = stream.read()
        except OSError:
            return
        whole, newline, _ = added.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            try:
                event = _event(json.loads(line))
            except (ValueError, TypeError, KeyError):
                continue  # a document of a command that prints no events
            yield event


def _event(data: dict[str, Any]) -> Event:
    fields = {name: value for name, value in data.items() if name not in ("event", "time")}
    return Event(str(data["event"]), fields, datetime.fromisoformat(data["time"]).timestamp())

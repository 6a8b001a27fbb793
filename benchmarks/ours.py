"""`kserve-installer` as a process, and what its events say about time."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import processes
from places import Place
from stack import RELEASE

PROGRAM = str(Path(sys.executable).parent / "kserve-installer")
_AGENT = "kserve-installer/"
_READS = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Install:
    """A measured install.

    seconds: the whole process, with every wait for readiness. span: from the first stage's begin
    to the last object written, with the waits between. applying: the part of `span` in which some
    stage was writing objects.
    """

    seconds: float
    span: float
    applying: float
    peak_bytes: int
    created: int


class Installer:
    """The command with where it takes manifests from; None: its cache, then upstream."""

    def __init__(self, mirror: Path | str | None) -> None:
        self._mirror = ["--mirror", str(mirror)] if mirror else []

    def run(self, place: Place, *words: str) -> processes.Run:
        """`install` of the stack."""
        flags = ["--yes", "-o", "json", "--kubeconfig", place.kubeconfig, *self._mirror]
        return processes.run([PROGRAM, "install", RELEASE, *flags, *words])

    def first(self, place: Place) -> Install:
        """Install into an empty cluster."""
        done = self.run(place)
        events = [json.loads(line) for line in done.out.splitlines()]
        begun = min(_at(event) for event in events if event["event"] == "stage_started")
        last = max(_at(event) for event in events if event["event"] == "object")
        return Install(
            done.seconds, last - begun, _applying(events), done.peak_bytes, events[-1]["created"]
        )

    def again(self, place: Place) -> tuple[processes.Run, int]:
        """Install what is there already: the process, and its write requests in the audit log."""
        before = place.audit_log.stat().st_size
        done = self.run(place)
        with place.audit_log.open("rb") as log:
            log.seek(before)
            entries = [json.loads(line) for line in log]
        ours = [entry for entry in entries if str(entry.get("userAgent", "")).startswith(_AGENT)]
        if not ours:
            raise SystemExit("the audit log holds nothing of the measured install")
        return done, sum(1 for entry in ours if entry["verb"] not in _READS)


def _at(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def _applying(events: list[dict[str, Any]]) -> float:
    """Seconds in which at least one stage was being applied."""
    begun: dict[tuple[str, str], float] = {}
    spans = []
    for event in events:
        if event["event"] == "stage_started":
            begun[event["component"], event["stage"]] = _at(event)
        elif event["event"] == "stage_finished":
            start = begun[event["component"], event["stage"]]
            spans.append((start, start + event["apply_seconds"]))
    total, reached = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total

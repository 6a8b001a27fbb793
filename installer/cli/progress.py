"""Where a run stands, kept from its events alone. Every renderer and the final summary read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from installer.core.events import Event

WAITS, WORKS, DONE, FAILED = "waits", "works", "done", "failed"

_COUNTED = ("created", "changed", "unchanged", "deleted")


@dataclass(slots=True)
class Stage:
    """One stage of one component; seconds are zero until it finished."""

    component: str
    name: str
    objects: int = 0
    done: int = 0
    written: int = 0
    deleted: bool = False
    finished: bool = False
    apply_seconds: float = 0.0
    wait_seconds: float = 0.0


@dataclass(slots=True)
class ComponentProgress:
    """One component: state is waits, works, done or failed; times are seconds since the epoch."""

    name: str
    version: str = ""
    state: str = WAITS
    stage: Stage | None = None
    started: float = 0.0
    seconds: float = 0.0
    waiting: list[Mapping[str, str]] = field(default_factory=list)
    pending: int = 0

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".rstrip()


class Progress:
    """Feed it events in order; not safe for threads, the renderer holds the lock."""

    def __init__(self) -> None:
        self.command = ""
        self.release = ""
        self.started: float | None = None
        self.now = 0.0
        self.components: dict[str, ComponentProgress] = {}
        self.stages: dict[tuple[str, str], Stage] = {}
        self.counts = dict.fromkeys(_COUNTED, 0)
        self.planned: Mapping[str, Any] = {}

    def on(self, event: Event) -> None:
        """Take one event in; unknown names are ignored."""
        if self.started is None:
            self.started = event.time
        self.now = max(self.now, event.time)
        handler = getattr(self, f"_on_{event.name}", None)
        if handler is not None:
            handler(event.fields)

    @property
    def elapsed(self) -> float:
        """Seconds from the first to the newest event."""
        return self.now - self.started if self.started is not None else 0.0

    def component(self, name: str) -> ComponentProgress:
        """The entry of a component, made when it is met first."""
        return self.components.setdefault(name, ComponentProgress(name))

    def in_state(self, state: str) -> Iterator[ComponentProgress]:
        """Components in this state, in the order they were met."""
        return (entry for entry in self.components.values() if entry.state == state)

    def done_objects(self) -> int:
        """Objects decided on or written so far."""
        return sum(self.counts.values())

    def _on_started(self, fields: Mapping[str, Any]) -> None:
        self.command = str(fields.get("command", ""))
        self.release = str(fields.get("release", ""))

    def _on_planned(self, fields: Mapping[str, Any]) -> None:
        self.planned = fields
        if self.command == "uninstall":
            return  # works by groups of objects, not by component
        for entry in fields.get("components", ()):
            self.component(entry["name"]).version = entry.get("version", "")

    def _on_component_started(self, fields: Mapping[str, Any]) -> None:
        entry = self.component(fields["component"])
        entry.version = fields.get("version", "") or entry.version
        entry.state, entry.started = WORKS, self.now

    def _on_stage_started(self, fields: Mapping[str, Any]) -> None:
        entry = self.component(fields["component"])
        stage = Stage(entry.name, fields["stage"], int(fields.get("objects", 0)))
        self.stages[(entry.name, stage.name)] = stage
        entry.stage, entry.waiting, entry.pending = stage, [], 0
        if entry.state == WAITS:
            entry.state, entry.started = WORKS, self.now

    def _on_object(self, fields: Mapping[str, Any]) -> None:
        action = fields.get("action")
        if action not in _COUNTED:
            return
        self.counts[action] += 1
        stage = self.stages.get((fields.get("component", ""), fields.get("stage", "")))
        if stage is not None:
            stage.done += 1
            stage.written += action != "unchanged"
            stage.deleted |= action == "deleted"

    def _on_waiting(self, fields: Mapping[str, Any]) -> None:
        entry = self.components.get(fields["component"])
        if entry is None:
            return  # for the server or the lock, before any component
        entry.waiting = list(fields.get("for", ()))
        entry.pending = int(fields.get("pending", 0))

    def _on_stage_finished(self, fields: Mapping[str, Any]) -> None:
        key = (fields["component"], fields["stage"])
        stage = self.stages.setdefault(key, Stage(*key))
        stage.finished = True
        stage.apply_seconds = float(fields.get("apply_seconds", 0.0))
        stage.wait_seconds = float(fields.get("wait_seconds", 0.0))
        entry = self.component(fields["component"])
        entry.waiting, entry.pending = [], 0

    def _on_component_finished(self, fields: Mapping[str, Any]) -> None:
        entry = self.component(fields["component"])
        entry.state, entry.seconds = DONE, float(fields.get("seconds", 0.0))
        entry.waiting, entry.pending = [], 0

    def _on_finished(self, fields: Mapping[str, Any]) -> None:
        if fields.get("outcome") in ("failed", "interrupted"):
            for entry in self.in_state(WORKS):
                entry.state = FAILED

"""One live region on a terminal: a row per component at work; finished lines scroll above it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.live import Live as Region
from rich.text import Text as Styled

from installer.cli import wording
from installer.cli.progress import WAITS, WORKS, ComponentProgress
from installer.cli.terminal import Terminal, duration, table
from installer.cli.text import Text
from installer.cli.wording import Hints
from installer.core.events import Event

_FRAMES_PER_SECOND = 8


class Live(Text):
    """The same words as `Text`; what changes all the time is drawn in place instead.

    The lock guards the model only and is never held while the region draws: rich takes its own
    lock first when it refreshes, so holding ours around a print would let the two deadlock.
    """

    def __init__(
        self,
        stream: TextIO,
        terminal: Terminal,
        hints: Hints,
        *,
        verbose: bool = False,
        clock: Callable[[], float] = time.time,
    ):
        super().__init__(stream, terminal, hints, verbose=verbose)
        self._clock = clock
        self._console = Console(
            file=stream,
            force_terminal=True,
            no_color=not terminal.colour,
            color_system="standard" if terminal.colour else None,
            highlight=False,
            emoji=False,
            width=None if stream.isatty() else terminal.width,
        )
        self._region: Region | None = None
        self._switching = threading.Lock()

    def emit(self, event: Event) -> None:
        """Show one event; the region lives from the first component until the end."""
        if event.name == "finished":
            self.close()
        super().emit(event)
        if event.name in ("component_started", "stage_started"):
            self._open()

    def write(self, lines: list[str]) -> None:
        """Print above the region."""
        region = self._region
        if not lines or region is None:
            super().write(lines)
        else:
            region.console.print(Styled.from_ansi("\n".join(lines)))

    def pause(self) -> None:
        """Take the region away before a prompt; the next event brings it back."""
        self.close()

    def close(self) -> None:
        """Take the region away and show the cursor again."""
        with self._switching:
            region, self._region = self._region, None
            if region is not None:
                region.stop()

    def _open(self) -> None:
        with self._switching:  # components begin in several threads; one region is for all
            if self._region is not None:
                return
            region = Region(
                console=self._console,
                get_renderable=self._draw,
                refresh_per_second=_FRAMES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            region.start()
            self._region = region

    def _say_waiting(self, fields: Mapping[str, Any]) -> list[str]:
        drawn = self._region is not None and not self.verbose
        return [] if drawn else super()._say_waiting(fields)

    def _say_stage_finished(self, fields: Mapping[str, Any]) -> list[str]:
        return super()._say_stage_finished(fields) if self.verbose else []

    def _draw(self) -> RenderableType:
        now = self._clock()
        with self._lock:
            lines = [*self._rows(now), self._foot(now)]
        text = Styled.from_ansi("\n".join(lines))
        text.no_wrap, text.overflow = True, "crop"
        return text

    def _rows(self, now: float) -> list[str]:
        """A line per component at work, then one per component that waits for another."""
        working = list(self.progress.in_state(WORKS))
        cells = [self._cells(entry, now) for entry in working]
        if not any(cell[0] for cell in cells):  # an uninstall works on all components at once
            cells = [cell[1:] for cell in cells]
        icon = self.terminal.paint(self.terminal.spinner(int(now * _FRAMES_PER_SECOND)), "cyan")
        rows = [f"{icon} {self._cut(line)}" for line in table(cells, indent=0)]
        idle = self.terminal.icon("idle")
        for entry in self.progress.in_state(WAITS):
            rows.append(self.terminal.paint(f"{idle} {self._cut(entry.title)}", "dim"))
        return rows

    def _cells(self, entry: ComponentProgress, now: float) -> list[str]:
        stage = entry.stage
        where = f"{stage.name} {stage.done}/{stage.objects}" if stage else ""
        reason = wording.waiting_line(entry.waiting, entry.pending)
        return [entry.title, where, duration(max(now - entry.started, 0.0)), reason]

    def _cut(self, line: str) -> str:
        """What fits beside the icon; painting comes later, so that no code is cut in two."""
        return replace(self.terminal, width=self._console.width - 2).fit(line)

    def _foot(self, now: float) -> str:
        # An uninstall also deletes what controllers made, which no plan counts.
        removing = self.progress.command == "uninstall"
        total = 0 if removing else self.progress.planned.get("objects", 0)
        took = duration(max(now - (self.progress.started or now), 0.0))
        of_all = f" of {total}" if total else ""
        line = f"{self.progress.done_objects()}{of_all} objects, {took}"
        return self.terminal.paint(line, "dim")

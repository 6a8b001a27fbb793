"""What is waited for and not there yet, and how that is told while it lasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from installer.cluster.verdicts import Readiness
from installer.core.objects import Ref

PROGRESS_EVERY = 0.2
"""Seconds at least between two calls of `progress`, the first and the last aside."""
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Pending:
    """An object that is not ready yet, and why."""

    ref: Ref
    readiness: Readiness


Progress = Callable[[list[Pending], int], None]
"""Called with what is not ready, most telling first, and the number of all objects waited for."""


def ignore(pending: list[Pending], total: int) -> None:
    """A `Progress` that shows nothing."""


def named(pending: Sequence[Pending]) -> str:
    """The first of what is pending with its reasons, and how many more there are."""
    told = [f"{p.ref} ({p.readiness.message or p.readiness.reason})" for p in pending[:_NAMED]]
    more = f" and {len(pending) - _NAMED} more" if len(pending) > _NAMED else ""
    return "; ".join(told) + more


class Report:
    """Calls `progress` when what is pending changed, not too often."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self.total = total
        self._shown: list[Pending] | None = None
        self._at = 0.0

    def show(self, pending: list[Pending]) -> None:
        now = time.monotonic()
        early = self._shown is not None and now - self._at < PROGRESS_EVERY
        if pending == self._shown or (early and pending):
            return
        self._shown, self._at = pending, now
        self._progress(pending, self.total)

    def finish(self) -> None:
        if self._shown:
            self._shown = []
            self._progress([], self.total)

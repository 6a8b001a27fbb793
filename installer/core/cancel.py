"""The end of every wait and request: one token, with the run's time limit, set by a signal too."""

from __future__ import annotations

import math
import threading
import time

from installer.core.errors import InstallerError, Interrupted, NotReady

_GRACE = 1.0
"""Seconds that a wait has beyond the limit to say what it waited for."""


class Cancel:
    """Tells every thread of a run to stop: when asked to, or when the run's time is up.

    `stop` may carry the error that caused it (the first failing component stops the others);
    without one, waiting threads raise `Interrupted`. limit: seconds from now for everything.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self._event = threading.Event()
        self._reason: InstallerError | None = None
        self.limit = limit
        self._end = time.monotonic() + limit

    def left(self) -> float:
        """Seconds until the limit, 0 when it has passed; what a wait may take."""
        return max(0.0, self._end - time.monotonic())

    def prolong(self, seconds: float) -> None:
        """Move the limit: while a person was being asked, the clock stood still."""
        self._end += seconds

    def stop(self, reason: InstallerError | None = None) -> None:
        """Ask everything to end; the first reason given stays."""
        if not self._event.is_set():
            self._reason = reason
        self._event.set()

    @property
    def stopped(self) -> bool:
        """True once `stop` was called, or the limit has passed and waits have had their say."""
        return self._event.is_set() or self._late()

    @property
    def asked(self) -> bool:
        """True once `stop` was called: by a signal or a failure, not by the clock."""
        return self._event.is_set()

    def check(self, doing: str) -> None:
        """Raise the reason, `Interrupted` or NotReady once stopped; doing: see `too_late`."""
        if self._event.is_set():
            raise self._reason or Interrupted()
        if self._late():
            raise self.too_late(doing)

    def sleep(self, seconds: float, doing: str) -> None:
        """Sleep, but raise at once when stopped; doing: as `check` says it."""
        self._event.wait(min(seconds, self.left() + _GRACE))
        self.check(doing)

    def too_late(self, doing: str) -> NotReady:
        """The error of a run whose time is up. doing: what it was busy with, a clause."""
        return NotReady(
            f"the limit of {self.limit:.0f} s for the whole run has passed: {doing}",
            kind="deadline",
            remedy="run the same command again to continue, with a longer --timeout",
        )

    def _late(self) -> bool:
        return time.monotonic() >= self._end + _GRACE

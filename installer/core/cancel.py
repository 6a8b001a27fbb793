"""The cancel path of every wait and request: one token, set by a signal handler."""

from __future__ import annotations

import threading

from installer.core.errors import InstallerError, Interrupted


class Cancel:
    """Tells every thread of a run to stop.

    `stop` may carry the error that caused it (the first failing component stops the others);
    without one, waiting threads raise `Interrupted`.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason: InstallerError | None = None

    def stop(self, reason: InstallerError | None = None) -> None:
        """Ask everything to end; the first reason given stays."""
        if not self._event.is_set():
            self._reason = reason
        self._event.set()

    @property
    def stopped(self) -> bool:
        """True once `stop` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise the reason (or `Interrupted`) once stopped."""
        if self._event.is_set():
            raise self._reason or Interrupted()

    def sleep(self, seconds: float) -> None:
        """Sleep, but raise at once when stopped."""
        self._event.wait(seconds)
        self.check()

"""A limit on how many things are begun per second, for all threads of a run together."""

from __future__ import annotations

import threading
import time

from installer.core.cancel import Cancel


class Throttle:
    """Lets `rate` callers per second pass, evenly. Thread-safe."""

    def __init__(self, rate: float) -> None:
        self._gap = 1.0 / rate
        self._next = time.monotonic()
        self._guard = threading.Lock()

    def wait(self, cancel: Cancel, doing: str = "") -> None:
        """Return when it is the caller's turn. Raises what `cancel` was stopped with."""
        with self._guard:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            cancel.sleep(turn - now, doing)
        else:
            cancel.check(doing)

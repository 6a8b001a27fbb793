"""A small work queue: delayed jobs by key, never two of one key at once, retried when refused."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Hashable

from installer.sandbox.simulators.api import Refused, Unreachable

log = logging.getLogger(__name__)

Job = Callable[[], "float | None"]
"""Does one step. Returns the seconds after which to run again, or None when done for now."""


class Work:
    """Runs jobs on a few threads.

    A job that is added while it runs is run once more afterwards, so that no change is missed.
    A refusal of the API server is retried: a conflict at once, others after a pause.
    """

    def __init__(self, threads: int):
        self._lock = threading.Condition()
        self._due: dict[Hashable, tuple[float, int, Job]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._running: set[Hashable] = set()
        self._count = 0
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._run, name=f"work {i}", daemon=True)
            for i in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Drop what is due and end the threads."""
        with self._lock:
            self._stopped = True
            self._lock.notify_all()

    def add(self, key: Hashable, job: Job, delay: float = 0.0) -> None:
        """Run `job` after `delay` seconds, or earlier when the same key is already due earlier."""
        when = time.monotonic() + delay
        with self._lock:
            known = self._due.get(key)
            if known and known[0] <= when:
                self._due[key] = (known[0], known[1], job)
                return
            self._count += 1
            self._due[key] = (when, self._count, job)
            heapq.heappush(self._heap, (when, self._count, key))
            self._lock.notify()

    def _take(self) -> tuple[Hashable, Job] | None:
        with self._lock:
            while not self._stopped:
                now = time.monotonic()
                wait: float | None = None
                skipped: list[tuple[float, int, Hashable]] = []
                found: tuple[Hashable, Job] | None = None
                while self._heap:
                    when, number, key = self._heap[0]
                    entry = self._due.get(key)
                    if entry is None or entry[1] != number:
                        heapq.heappop(self._heap)
                    elif when > now:
                        wait = when - now
                        break
                    elif key in self._running:
                        skipped.append(heapq.heappop(self._heap))
                    else:
                        heapq.heappop(self._heap)
                        del self._due[key]
                        self._running.add(key)
                        found = (key, entry[2])
                        break
                for item in skipped:
                    heapq.heappush(self._heap, item)
                if found:
                    return found
                self._lock.wait(wait)
        return None

    def _run(self) -> None:
        while taken := self._take():
            key, job = taken
            again: float | None = None
            try:
                again = job()
            except Refused as error:
                again = 0.02 if error.code == 409 else 0.3
                if error.code not in (404, 409):
                    log.warning("%s: %s", key, error)
            except Unreachable as error:
                again = 0.3
                log.info("%s: %s", key, error)
            except Exception:
                again = 1.0
                log.exception("%s", key)
            with self._lock:
                self._running.discard(key)
                self._lock.notify()
            if again is not None:
                self.add(key, job, again)

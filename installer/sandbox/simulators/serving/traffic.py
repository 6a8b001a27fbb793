"""How many requests each Revision and each pod has in flight: counted by the gateway, read by the
autoscaler's model and by whoever chooses a pod."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

Key = tuple[str, str]
"""(namespace, name) of a Revision or a pod."""


class Traffic:
    """Requests in flight by Revision, as an average over time, and by pod. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Condition()
        self._now: Counter[Key] = Counter()
        self._area: dict[Key, float] = {}
        self._since: dict[Key, float] = {}
        self._asked: dict[Key, float] = {}
        self._pods: Counter[Key] = Counter()
        self.on_first: Callable[[Key], None] = lambda _: None
        """Called when a Revision without requests gets one."""

    def begin(self, revision: Key) -> None:
        """A request for a Revision has come in."""
        with self._lock:
            self._advance(revision)
            self._now[revision] += 1
            first = self._now[revision] == 1
        if first:
            self.on_first(revision)

    def end(self, revision: Key) -> None:
        """It has been answered."""
        with self._lock:
            self._advance(revision)
            self._now[revision] -= 1

    def in_flight(self, revision: Key) -> int:
        """Requests of a Revision right now."""
        return self._now[revision]

    def average(self, revision: Key) -> float:
        """Average number in flight since the last call."""
        with self._lock:
            self._advance(revision)
            now = self._clock()
            spent = now - self._asked.get(revision, now)
            self._asked[revision] = now
            area = self._area.pop(revision, 0.0)
            return area / spent if spent > 0 else float(self._now[revision])

    def _advance(self, revision: Key) -> None:
        now = self._clock()
        passed = now - self._since.get(revision, now)
        self._since[revision] = now
        self._area[revision] = self._area.get(revision, 0.0) + passed * self._now[revision]

    def take(self, pods: list[Key], limit: int, timeout: float) -> Key | None:
        """A pod with the fewest requests, once one has less than `limit` (0: no limit).

        None when that takes longer than `timeout` seconds, or there is no pod.
        """
        end = time.monotonic() + timeout
        with self._lock:
            while pods:
                chosen = min(pods, key=lambda pod: self._pods[pod])
                if not limit or self._pods[chosen] < limit:
                    self._pods[chosen] += 1
                    return chosen
                left = end - time.monotonic()
                if left <= 0 or not self._lock.wait(left):
                    return None
        return None

    def give_back(self, pod: Key) -> None:
        """A pod has answered a request that it took."""
        with self._lock:
            self._pods[pod] -= 1
            self._lock.notify_all()

"""When each request is sent: by workers that wait for answers, or on a schedule that does not."""

from __future__ import annotations

import math
from time import perf_counter

from installer.load.shape import Load, Stage
from installer.load.slot import Shared, Slot

_TICK = 0.001
"""Seconds between two looks at the schedule: epoll tells no finer times apart."""
_PAUSE = 0.1
"""Seconds that a worker waits after a failure, so that a refused connection is no busy loop."""


class Closed:
    """Workers: each sends its next request when the one before has come to an end."""

    def __init__(self, shared: Shared, load: Load) -> None:
        self.slots: list[Slot] = []
        self.over = False
        self._shared = shared
        self._load = load
        self._workers = 0
        self._left = load.requests or math.inf
        self._gap = 1 / load.per_worker if load.per_worker else 0.0

    def stage(self, stage: Stage, began: float) -> None:
        """From now on as many workers as this stage has. began: when it should have."""
        del began
        self._workers = stage.workers
        while len(self.slots) < stage.workers:
            slot = Slot(self._shared, self._freed)
            slot.number = len(self.slots)
            self.slots.append(slot)
        for slot in self.slots[: stage.workers]:
            if not slot.busy:
                self._next(slot)

    def finish(self) -> None:
        """Send nothing new."""
        self.over = True

    @property
    def drained(self) -> bool:
        """Whether no request is on its way and none will be."""
        done = self.over or self._left <= 0
        return done and not any(slot.busy for slot in self.slots)

    @property
    def spent(self) -> bool:
        """Whether the wanted number of requests has been sent."""
        return self._left <= 0

    def _next(self, slot: Slot) -> None:
        if self.over or slot.busy or slot.number >= self._workers or self._left <= 0:
            return
        self._left -= 1
        now = perf_counter()
        slot.start(now, now)

    def _freed(self, slot: Slot, *, good: bool) -> None:
        pause = self._gap
        if pause:
            pause = max(0.0, slot.intended + pause - perf_counter())
        if not good:
            pause = max(pause, _PAUSE)
        if pause:
            self._shared.loop.call_later(pause, self._next, slot)
        else:
            self._next(slot)


class Open:
    """A schedule: request number n of a stage is due n / rate after its beginning.

    What is due is sent over any free connection, else over a new one; when there are as many as
    may be it waits, and the wait is part of its latency. Nothing that was due is left out: what
    has waited for longer than the time-out counts as a failure.
    """

    def __init__(self, shared: Shared, load: Load) -> None:
        self.slots: list[Slot] = []
        self.over = False
        self._shared = shared
        self._load = load
        self._free: list[Slot] = []
        self._rate = 0.0
        self._began = self._end = 0.0
        self._index = 0
        self._queue: list[tuple[float, float, int, int]] = []
        self._left = load.requests or math.inf

    def stage(self, stage: Stage, began: float) -> None:
        """Go on with another rate; what is due from before keeps its time."""
        self._settle(began)
        self._rate, self._began, self._end = stage.rate, began, began + stage.seconds
        self._index = 0
        self.tick()

    def finish(self) -> None:
        """Nothing becomes due any more; what was due is still sent."""
        self._settle(self._end)
        self.over = True
        self._rate = 0.0

    @property
    def drained(self) -> bool:
        """Whether nothing is due and nothing on its way."""
        done = self.over or self._left <= 0
        return done and not self._queue and not any(slot.busy for slot in self.slots)

    @property
    def spent(self) -> bool:
        """Whether the wanted number of requests has been sent."""
        return self._left <= 0

    def tick(self) -> None:
        """Send what is due; comes again by itself."""
        now = perf_counter()
        while (due := self._due(now)) is not None:
            if now - due > self._load.timeout:
                self._take()
                recorder = self._shared.recorder
                recorder.failed("timeout", due - self._shared.zero, now - due, now, sent=False)
                continue
            slot = self._slot()
            if slot is None:
                break
            self._take()
            self._shared.recorder.behind(now, now - due)
            slot.start(now, due)
            now = perf_counter()
        if not self.drained:
            self._shared.loop.call_later(_TICK, self.tick)

    def _due(self, now: float) -> float | None:
        """When the request that is next should be sent, None while there is none."""
        if self._left <= 0:
            return None
        if self._queue:
            began, rate, index, _ = self._queue[0]
            return began + index / rate
        if not self._rate:
            return None
        at = self._began + self._index / self._rate
        return at if at <= now and at < self._end else None

    def _take(self) -> None:
        self._left -= 1
        if not self._queue:
            self._index += 1
            return
        began, rate, index, last = self._queue[0]
        if index + 1 >= last:
            self._queue.pop(0)
        else:
            self._queue[0] = began, rate, index + 1, last

    def _settle(self, until: float) -> None:
        """Keep what the stage so far has due."""
        if not self._rate:
            return
        last = math.ceil((min(until, self._end) - self._began) * self._rate - 1e-9)
        if last > self._index:
            self._queue.append((self._began, self._rate, self._index, last))

    def _slot(self) -> Slot | None:
        if self._free:
            return self._free.pop()
        if len(self.slots) >= self._load.most:
            return None
        slot = Slot(self._shared, self._freed)
        self.slots.append(slot)
        return slot

    def _freed(self, slot: Slot, *, good: bool) -> None:
        now = perf_counter()
        due = self._due(now) if good else None
        if due is not None and now - due <= self._load.timeout:
            self._take()
            slot.start(now, due)
        else:
            self._free.append(slot)

"""Runs a load to its end, or until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import uvloop

from installer.load.drivers import Closed, Open
from installer.load.recorder import Recorder, Row, Sample, Totals
from installer.load.request import Target
from installer.load.shape import Load
from installer.load.slot import Shared

_LOOK = 0.02
"""Seconds between two looks at the stop and at requests that take too long."""
_FILES = 64
"""Open files that are not connections."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a load.

    stages: (seconds since the load began, what) of each. stopped: before its end. zero: of
    `time.perf_counter`, when the load began, behind its warm-up.
    """

    totals: Totals
    rows: tuple[Row, ...]
    stages: tuple[tuple[float, str], ...]
    stopped: bool
    zero: float


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who wants to know what while it runs. stop: asked often; True ends the run.

    began: gets `zero` of the result before the first request.
    """

    stop: Callable[[], bool] = lambda: False
    row: Callable[[Row], None] = lambda _: None
    sample: Callable[[Sample], None] | None = None
    began: Callable[[float], None] = lambda _: None


def run(target: Target, load: Load, watchers: Watchers | None = None) -> Result:
    """Send the load. Never raises for what the other side does.

    Raises what a watcher raises, ValueError for a request that cannot be written down, and
    socket.gaierror where the address has a name that does not resolve.
    """
    data = target.encoded(keep_alive=load.keep_alive)
    _allow_files(load)
    with _no_pauses(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Run(target, load, watchers or Watchers(), data).run())


class _Run:
    def __init__(self, target: Target, load: Load, watchers: Watchers, data: bytes) -> None:
        self._target = target
        self._load = load
        self._watchers = watchers
        self._data = data
        self._problem: BaseException | None = None

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._failed)
        place, named = await self._resolved(loop)
        began = perf_counter()
        zero = began + self._load.warm_up
        self._watchers.began(zero)
        recorder = Recorder(
            began,
            zero,
            open_loop=self._load.open,
            on_row=self._watchers.row,
            on_sample=self._watchers.sample,
        )
        keep = self._load.keep_alive
        shared = Shared(
            loop,
            recorder,
            self._target,
            zero,
            self._data,
            place,
            self._tls(),
            keep,
            self._ours,
            named,
        )
        driver = Open(shared, self._load) if self._load.open else Closed(shared, self._load)
        rows = loop.create_task(self._seconds(recorder, began))
        rows.add_done_callback(self._rows_ended)
        stages: list[tuple[float, str]] = []
        stopped = await self._stages(driver, began, zero, stages)
        if not stopped:
            driver.finish()
            stopped = await self._until(driver, perf_counter() + self._load.timeout * 2 + 1)
        driver.over = True
        end = perf_counter()
        rows.cancel()
        recorder.row(end)
        for slot in driver.slots:
            slot.close()
        if self._problem is not None:
            raise self._problem
        recorder.totals.seconds = max(0.0, end - zero)
        return Result(recorder.totals, tuple(recorder.rows), tuple(stages), stopped, zero)

    def _ours(self, problem: BaseException) -> None:
        """What a callback raised, a reader of samples that is gone, say, ends the run."""
        self._problem = self._problem or problem

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = context.get("exception")
        if isinstance(problem, BaseException):
            self._ours(problem)

    def _rows_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._ours(problem)

    async def _resolved(self, loop: asyncio.AbstractEventLoop) -> tuple[tuple[str, int], float]:
        """The numeric address, once for the whole run, and how long that took."""
        began = perf_counter()
        target = self._target
        found = await loop.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM)
        return (str(found[0][4][0]), target.port), perf_counter() - began

    async def _stages(
        self, driver: Closed | Open, began: float, zero: float, told: list[tuple[float, str]]
    ) -> bool:
        """True when it was told to stop."""
        at = began
        for stage in self._load.plan:
            name = str(stage) if at >= zero else f"warm-up {stage}"
            told.append((at - zero, name))
            driver.stage(stage, at)
            at += stage.seconds
            if await self._until(driver, at):
                return True
        return False

    async def _until(self, driver: Closed | Open, end: float) -> bool:
        """Wait for a time, or until nothing is left to do. True when told to stop."""
        while True:
            now = perf_counter()
            for slot in driver.slots:
                slot.expire(now, self._load.timeout)
            if self._problem is not None or self._watchers.stop():
                return True
            if driver.drained or now >= end:
                return False
            await asyncio.sleep(min(_LOOK, max(0.0, end - now)))

    async def _seconds(self, recorder: Recorder, began: float) -> None:
        """A row each second, on the second."""
        number = 1
        while True:
            await asyncio.sleep(max(0.0, began + number - perf_counter()))
            recorder.row(perf_counter())
            gc.collect()  # of what was made since the run began only: see _no_pauses
            number = int(perf_counter() - began) + 1

    def _tls(self) -> ssl.SSLContext | None:
        if self._target.scheme != "https":
            return None
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        if not self._target.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _allow_files(load: Load) -> None:
    """Raise the limit of open files as far as we may, where the load needs it."""
    needed = max(load.most if load.open else 0, *(s.workers for s in load.stages)) + _FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


@contextlib.contextmanager
def _no_pauses() -> Iterator[None]:
    """Without the cyclic garbage collector, whose pauses would be in the latencies. What was there
    before is frozen, so that a collection each second looks at little and keeps memory constant."""
    was = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was:
            gc.enable()

"""A few jobs at a time in threads that never keep a stopped program alive."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError

T = TypeVar("T")
_LOOK = 0.1


def together(jobs: Sequence[Callable[[Cancel], T]], cancel: Cancel, workers: int = 4) -> list[T]:
    """The results of the jobs, in order; the first failure stops the others and is raised.

    Each job gets a Cancel that ends with this call or with `cancel`. When `cancel` is stopped the
    call raises at once, even while a job hangs in the network: the threads are daemons, and what
    they had received so far stays in the cache.
    """
    stop = Cancel()
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, T | None, BaseException | None]] = queue.SimpleQueue()
    for index in range(len(jobs)):
        waiting.put(index)

    def work() -> None:
        while not stop.stopped:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((index, jobs[index](stop), None))
            except BaseException as error:
                done.put((index, None, error))

    for number in range(min(workers, len(jobs))):
        threading.Thread(target=work, name=f"download-{number}", daemon=True).start()
    try:
        return _collected(len(jobs), done, cancel)
    finally:
        stop.stop(InstallerError("another download failed"))


def _collected(
    count: int,
    done: queue.SimpleQueue[tuple[int, T | None, BaseException | None]],
    cancel: Cancel,
) -> list[T]:
    results: dict[int, T] = {}
    while len(results) < count:
        cancel.check(f"waiting for {count - len(results)} of {count} downloads")
        try:
            index, result, error = done.get(timeout=_LOOK)
        except queue.Empty:
            continue
        if error is not None:
            raise error
        results[index] = result  # type: ignore[assignment]
    return [results[index] for index in range(count)]

"""Running a wait in a thread, and following what it shows, without sleeping."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType

from installer.cluster.pending import Pending
from installer.core.cancel import Cancel

PATIENCE = 120.0
"""Seconds after which a test gives up; nothing depends on how much of it is used."""


class Following:
    """A `progress` that remembers everything shown; `until` blocks until something was."""

    def __init__(self) -> None:
        self.shown: list[list[Pending]] = []
        self._changed = threading.Condition()

    def __call__(self, pending: Sequence[Pending], total: int) -> None:
        assert len(pending) <= total
        with self._changed:
            self.shown.append(list(pending))
            self._changed.notify_all()

    @property
    def texts(self) -> list[str]:
        """What was said about each pending object, in order."""
        return [
            f"{item.ref}: {item.readiness.message or item.readiness.reason}"
            for pending in self.shown
            for item in pending
        ]

    def until(self, text: str) -> None:
        """Block until a pending object was shown with this text."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: any(text in line for line in self.texts), timeout=PATIENCE
            )
        assert found, f"{text!r} was never shown, but: {self.texts[-3:]}"


class Running:
    """`with Running(lambda progress, cancel: wait_…) as run`: the wait runs meanwhile.

    Leaving the block joins it and raises what it raised.
    """

    def __init__(self, wait: Callable[[Following, Cancel], None]) -> None:
        self.progress = Following()
        self.cancel = Cancel()
        self.error: BaseException | None = None
        self._wait = wait
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._wait(self.progress, self.cancel)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.cancel.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the wait did not end"
        if kind is None and self.error is not None:
            raise self.error

"""SIGINT and SIGTERM: the first asks the run to stop, the second ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from installer.core.cancel import Cancel
from installer.core.errors import ExitCode, Interrupted

_SHOW_CURSOR = "\x1b[?25h"


class Interrupts:
    """Connects the process's signals with a `Cancel` while it is entered."""

    def __init__(self, cancel: Cancel):
        self._cancel = cancel
        self._at_prompt = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def prompting(self) -> Iterator[None]:
        """While a person is asked, a signal raises `Interrupted` out of the read."""
        self._at_prompt = True
        try:
            self._cancel.check("about to ask")  # for a signal that came before the line above
            yield
        finally:
            self._at_prompt = False

    def _handle(self, *_: object) -> None:
        if self._cancel.stopped:
            _leave()
        self._cancel.stop()
        if self._at_prompt:
            raise Interrupted
        # Not through print: the signal may have come in the middle of one.
        _tell("stopping after what is in flight; once more to stop at once\n")


def _leave() -> None:
    # Other threads may sit in a request; only _exit does not wait for them.
    if sys.stderr.isatty():
        _tell(_SHOW_CURSOR)
    _tell("stopped at once; run the same command again to continue\n")
    os._exit(ExitCode.INTERRUPTED)


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), text.encode())

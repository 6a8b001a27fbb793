"""JSON lines: every event as one object on one line, as docs/events.md describes."""

from __future__ import annotations

import json
import threading
from typing import TextIO

from installer.core.events import Event


class JsonLines:
    """Writes events to a stream; when nobody reads it any more, the work continues unseen.

    lost: why the stream took no more, unless its reader left on purpose.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._lock = threading.Lock()
        self._open = True
        self.lost: OSError | None = None

    def emit(self, event: Event) -> None:
        """Write one line. Safe to call from any thread."""
        line = json.dumps(event.to_dict(), ensure_ascii=True, default=str)
        with self._lock:
            if not self._open:
                return
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except BrokenPipeError:
                self._open = False
            except OSError as problem:
                self._open, self.lost = False, problem

    def pause(self) -> None:
        """Nothing to take away before a prompt."""

    def close(self) -> None:
        """Nothing to give back."""

"""The daemon's control channel: a Unix socket, one JSON object per line each way.

A request is {"do": WORD, …}, the answer {"ok": …} or {"error": {kind, message, object, remedy}}.
Requests are answered one after the other by the daemon's main thread, which alone starts
processes; connections are read in threads.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer.core.errors import InstallerError

SOCKET = "control.sock"

_LOG = logging.getLogger("control")


@dataclass(slots=True)
class Request:
    """One request, to be answered exactly once."""

    body: Mapping[str, Any]
    answers: queue.Queue[dict[str, Any]] = field(default_factory=lambda: queue.Queue(1))

    def answer(self, work: Callable[[Mapping[str, Any]], Any]) -> None:
        """Do the work and send what it returns, or its error."""
        try:
            self.answers.put({"ok": work(self.body)})
        except InstallerError as error:
            self.answers.put({"error": error.to_dict()})
        except Exception as error:
            _LOG.exception("a request failed")
            told = InstallerError(f"{type(error).__name__}: {error}", kind="bug")
            self.answers.put({"error": told.to_dict()})


class ControlServer:
    """Listens and queues requests."""

    def __init__(self, directory: Path) -> None:
        self.requests: queue.Queue[Request] = queue.Queue()
        path = directory / SOCKET
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Others may see into the directory; the mode keeps them out from the first moment.
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(mask)
        self._socket.listen(16)
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream, contextlib.suppress(OSError):
            for line in stream:
                try:
                    request = Request(json.loads(line))
                except ValueError:
                    return
                self.requests.put(request)
                stream.write(json.dumps(request.answers.get()).encode() + b"\n")
                stream.flush()


def ask(directory: Path, request: Mapping[str, Any], timeout: float) -> Any:
    """Send one request to the daemon whose sockets are in `directory` and return its answer.

    Raises the daemon's own InstallerError, or one of kind `no-daemon` when nobody answers.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(directory / SOCKET))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        answer = json.loads(line)
    except (OSError, ValueError) as error:
        raise InstallerError(
            f"the sandbox's daemon does not answer: {error}",
            kind="no-daemon",
            remedy="`kserve-installer sandbox down` clears away what is left of it",
        ) from error
    if "error" in answer:
        raise InstallerError(**answer["error"])
    return answer["ok"]

"""A small HTTP server on 127.0.0.1, in a thread, that answers as it is told to."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from installer.load.request import Target

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answer = Callable[[bytes], bytes]
"""Bytes to send for the bytes of a request; empty closes the connection."""


class Server:
    """requests: what has come in. connections: how many were made. names: asked for by TLS."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.names: set[str | None] = set()
        self._answer = answer
        self._tls = tls
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.names.add(name)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def target(self, **more: object) -> Target:
        """A request to it."""
        return Target("127.0.0.1", self.port, "model.example.com", **more)  # type: ignore[arg-type]

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                while data := connection.recv(65536):
                    self.requests.append(data)
                    answer = self._answer(data)
                    if not answer:
                        return
                    connection.sendall(answer)
            except OSError:
                return


@contextmanager
def serving(answer: Answer = lambda _: OK, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server while entered."""
    server = Server(answer, tls)
    try:
        yield server
    finally:
        server.close()


def after(seconds: float, answer: bytes = OK) -> Answer:
    """Answers when so many seconds have passed."""

    def wait(_: bytes) -> bytes:
        time.sleep(seconds)
        return answer

    return wait


def stalling(period: float, stall: float) -> Answer:
    """Answers at once, but for the first `stall` seconds of each `period`: then when these end."""
    began = time.monotonic()

    def wait(_: bytes) -> bytes:
        within = (time.monotonic() - began) % period
        if within < stall:
            time.sleep(stall - within)
        return OK

    return wait

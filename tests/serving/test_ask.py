"""One request, answered, refused, cut or stopped."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from self_signed import serving_tls

from installer.core.cancel import Cancel
from installer.core.errors import Interrupted
from installer.serving.ask import Request, ask

_HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-From: here\r\n\r\nhi"


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose first connection is handed to `serve`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            connection, _ = server.accept()
            with connection:
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]


def _to(port: int, **more: Any) -> Request:
    return Request("127.0.0.1", port, "iris.models.example.com", "/v1/models/iris", **more)


def test_an_answer_comes_back_as_a_value() -> None:
    asked = []

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(4096).decode())
        connection.sendall(_HELLO)

    with listening(serve) as port:
        reply = ask(_to(port), timeout=20, cancel=Cancel())
    assert (reply.status, reply.text, reply.headers["x-from"]) == (200, "hi", "here")
    assert asked[0].startswith("GET /v1/models/iris HTTP/1.1\r\n")
    assert "\r\nHost: iris.models.example.com\r\n" in asked[0]


@pytest.mark.parametrize(
    ("said", "trouble"), [(b"", "reset"), (b"\x00\x00\x12\x04SETTINGS\r\n\r\n", "protocol")]
)
def test_what_is_no_answer_has_a_name(said: bytes, trouble: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(said)

    with listening(serve) as port:
        reply = ask(_to(port), timeout=20, cancel=Cancel())
    assert (reply.status, reply.trouble) == (0, trouble)
    assert f"127.0.0.1:{port}" in reply.message


def test_a_port_where_nothing_listens_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    reply = ask(_to(port), timeout=20, cancel=Cancel())
    assert reply.trouble == "refused"


def test_plain_http_where_tls_is_expected_is_told() -> None:
    with listening(lambda c: c.sendall(_HELLO)) as port:
        reply = ask(_to(port, scheme="https"), timeout=20, cancel=Cancel())
    assert reply.trouble == "tls"


@pytest.mark.parametrize(
    ("verify", "status", "trouble"), [(True, 0, "certificate"), (False, 200, "")]
)
def test_a_certificate_that_nobody_signed_is_accepted_only_when_told_so(
    tmp_path: Path, verify: bool, status: int, trouble: str
) -> None:
    _, context = serving_tls(tmp_path, "iris.models.example.com")
    names: list[str] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(_HELLO)

    with listening(serve) as port:
        reply = ask(_to(port, scheme="https", verify=verify), timeout=20, cancel=Cancel())
    assert (reply.status, reply.trouble) == (status, trouble)
    assert names == ["iris.models.example.com"]


def test_silence_ends_with_the_timeout() -> None:
    held = threading.Event()

    def serve(_connection: socket.socket) -> None:
        held.wait()

    with listening(serve) as port:
        reply = ask(_to(port), timeout=0.2, cancel=Cancel())
        held.set()
    assert reply.trouble == "timeout"


def test_a_stopped_run_does_not_wait_for_the_answer() -> None:
    held, cancel = threading.Event(), Cancel()

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        cancel.stop()
        held.wait()

    with listening(serve) as port, pytest.raises(Interrupted):
        ask(_to(port), timeout=600, cancel=cancel)
    held.set()

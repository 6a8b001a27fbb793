"""The first request: while nothing comes back, what is waited for is told."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from installer.cluster.access import Access
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.events import Event


@contextmanager
def server(answer: Callable[[], object]) -> Iterator[str]:
    """The address of a server that calls `answer` before each answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer()
            version = {"gitVersion": "v1.20.2"}
            body = json.dumps(version if self.path == "/version" else {"items": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


def test_a_server_that_is_slow_to_answer_is_told_while_it_is_waited_for() -> None:
    told = threading.Event()
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        told.set()

    with server(lambda: told.wait(9)) as address:
        Cluster(Access("slow", address), emit=emit).identity()

    (event,) = events
    assert event.name == "waiting"
    assert event.fields["for"][0]["object"] == address
    assert "version" in event.fields["for"][0]["reason"]


def test_a_server_that_never_answers_is_named_with_how_long_it_was_waited_for() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ApiError) as failed:
            Cluster(Access("dead", address), request_timeout=1.0).identity()

    assert f"no answer from the API server {address} (tried for 1 s)" in failed.value.message

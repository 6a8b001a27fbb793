"""A real HTTP(S) server on 127.0.0.1 that answers as a script says, and a real HTTP proxy."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class FaultyServer:
    """answers: per path what to do, one per request; the last one stays."""

    url: str
    port: int
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def serve(self, path: str, *answers: Answer) -> str:
        """Script a path; returns its URL."""
        self.answers[path] = list(answers)
        return self.url + path

    def seen(self, header: str) -> list[str]:
        """The values of a request header, request by request; empty where it was absent."""
        return [headers.get(header.lower(), "") for _, headers in self.requests]


@contextlib.contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[FaultyServer]:
    """A server until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            server.requests.append((self.path, headers))
            answers = server.answers.get(self.path, [status(404)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            with contextlib.suppress(ConnectionError):
                answer(self)

        def log_message(self, *_: Any) -> None:
            return

    with serving(Handler, tls) as port:
        scheme = "https" if tls else "http"
        name = "localhost" if tls else "127.0.0.1"
        server = FaultyServer(f"{scheme}://{name}:{port}", port)
        yield server


@contextlib.contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A forwarding HTTP proxy: (its URL, the URLs asked of it). Host `upstream.invalid` is
    forwarded to 127.0.0.1, so that only a client that uses the proxy can reach it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            place, _, path = self.path.removeprefix("http://").partition("/")
            port = int(place.rpartition(":")[2])
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", f"/{path}")
            answer = connection.getresponse()
            body = answer.read()
            send(self, answer.status, body)
            connection.close()

        def log_message(self, *_: Any) -> None:
            return

    with serving(Handler, None) as port:
        yield f"http://127.0.0.1:{port}", asked


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None) -> Iterator[int]:
    """Run a handler on a free port."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    # Handlers that hang on purpose must not hold up the end of the test.
    httpd.block_on_close = False
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls:
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield httpd.server_address[1]
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def send(
    handler: BaseHTTPRequestHandler, code: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    """One complete answer."""
    handler.send_response(code)
    for key, value in (headers or {}).items():
        handler.send_header(key, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def status(code: int, **headers: str) -> Answer:
    """An answer without the file."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler: send(handler, code, b"no\n", named)


def whole(body: bytes, **headers: str) -> Answer:
    """All bytes, whatever range is asked for."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler: send(handler, 200, body, named)


def ranged(body: bytes, etag: str = '"one"') -> Answer:
    """All bytes or the range asked for, as RFC 9110 says, If-Range included."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range", "")
        condition = handler.headers.get("If-Range", etag)
        if not wanted or condition != etag:
            send(handler, 200, body, {"ETag": etag})
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            send(handler, 416, b"", {"Content-Range": f"bytes */{len(body)}"})
            return
        place = f"bytes {start}-{len(body) - 1}/{len(body)}"
        send(handler, 206, body[start:], {"ETag": etag, "Content-Range": place})

    return answer


def cut(body: bytes, after: int, etag: str = '"one"', announced: bool = True) -> Answer:
    """Some bytes, then the connection is closed; without a length it looks like the end."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("ETag", etag)
        if announced:
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body[:after])
        handler.wfile.flush()
        handler.close_connection = True

    return answer


def stall(body: bytes, after: int, reached: threading.Event) -> Answer:
    """Some bytes, then nothing for as long as the client stays."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:after])
        handler.wfile.flush()
        reached.set()
        handler.rfile.read(1)
        handler.close_connection = True

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Bytes without announced length and without end."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    while True:
        handler.wfile.write(b"a" * 65536)


def compressed(body: bytes) -> Answer:
    """gzip although the client did not ask for it."""
    return lambda handler: send(handler, 200, gzip.compress(body), {"Content-Encoding": "gzip"})


def redirect(to: str) -> Answer:
    """302."""
    return lambda handler: send(handler, 302, b"", {"Location": to})

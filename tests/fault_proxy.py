"""A reverse proxy before a real API server that breaks requests as told.

    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        proxy.on("PATCH", r"/configmaps/", times=2, status=503, headers={"Retry-After": "1"})
        cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig))

It speaks plain HTTP on 127.0.0.1 and asks the API server with the client certificate of the
kubeconfig it was given. Rules are tried in the order in which they were added.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from installer.cluster.connect import find_access

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Rule:
    """What to do with requests whose method and path (with query) match; `hits` counts them.

    times: how many requests it meets, None for all. every: of the requests that match and that no
    earlier rule met it meets each so-manieth, the first being number `every`. status, headers,
    body: answered instead of the API server. close: the connection is closed without an answer.
    hang: nothing is answered until `release`. delay: released by itself after so many seconds,
    then forwarded. lose: the API server does what is asked, but its answer is lost. cut: an answer
    ends after so many bytes. lines: it ends, as if it were complete, after so many lines and what
    `ending` says. after: only once that rule has met a request.
    """

    method: str
    path: re.Pattern[str]
    times: int | None = 1
    every: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    close: bool = False
    hang: bool = False
    delay: float = 0.0
    lose: bool = False
    cut: int | None = None
    lines: int | None = None
    ending: bytes = b""
    after: Rule | None = None
    matched: int = 0
    hits: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    met: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let hanging requests go on to the API server, and later ones through."""
        self.times = self.hits
        self.released.set()

    def meets(self, method: str, path: str) -> bool:
        """True when this request is to be broken; counts it."""
        over = self.times is not None and self.hits >= self.times
        early = self.after is not None and not self.after.hits
        if over or early or self.method not in ("*", method) or not self.path.search(path):
            return False
        self.matched += 1
        if self.matched % self.every:
            return False
        self.hits += 1
        self.met.set()
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # With the five that socketserver lets wait, a burst of connections is a fault of its own.
    request_queue_size = 128


class FaultProxy:
    """The proxy; see the module. seen: (method, path with query) of every request, in order."""

    def __init__(self, kubeconfig: Path | str, directory: Path) -> None:
        access = find_access(str(kubeconfig))
        parts = urlsplit(access.server)
        self.upstream = (parts.hostname, parts.port)
        self.tls = ssl.create_default_context(cadata=access.ca.decode())
        pem = directory / "fault-proxy-client.pem"
        pem.write_bytes(access.certificate + b"\n" + access.key)
        self.tls.load_cert_chain(pem)
        self.seen: list[tuple[str, str]] = []
        self._rules: list[Rule] = []
        self._guard = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.kubeconfig = directory / "fault-proxy-kubeconfig"
        self.kubeconfig.write_text(json.dumps(_kubeconfig(self.url)))

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def on(self, method: str = "*", path: str = "", **action: Any) -> Rule:
        """Add a rule; path is a regular expression that is searched for."""
        rule = Rule(method, re.compile(path), **action)
        with self._guard:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Drop all rules and let go what hangs."""
        with self._guard:
            rules, self._rules = self._rules, []
        for rule in rules:
            rule.released.set()

    def count(self, method: str = "*", path: str = "") -> int:
        """How many requests came that match."""
        return sum(
            method in ("*", seen[0]) and re.search(path, seen[1]) is not None for seen in self.seen
        )

    def meet(self, method: str, path: str) -> Rule | None:
        """Note a request and find the rule for it."""
        with self._guard:
            self.seen.append((method, path))
            for rule in self._rules:
                if rule.meets(method, path):
                    return rule
        return None


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fault-proxy",
        "clusters": [{"name": "proxied", "cluster": {"server": url}}],
        "contexts": [{"name": "fault-proxy", "context": {"cluster": "proxied"}}],
        "users": [],
    }


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        rule = self.proxy.meet(self.command, self.path)
        if rule is not None and (rule.hang or rule.delay):
            rule.released.wait(rule.delay or None)
        if rule is not None and rule.close:
            self._drop()
        elif rule is not None and rule.status is not None:
            self._answer(rule)
        else:
            self._forward(body, rule)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client may have gone first
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, rule: Rule) -> None:
        content = rule.body if isinstance(rule.body, bytes) else json.dumps(rule.body).encode()
        self.send_response(rule.status or 200)
        for name, value in rule.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _forward(self, body: bytes | None, rule: Rule | None) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in (*_HOP, "host")}
        upstream = http.client.HTTPSConnection(*self.proxy.upstream, context=self.proxy.tls)
        try:
            upstream.request(self.command, self.path, body=body, headers=headers)
            response = upstream.getresponse()
            if rule is not None and rule.lose:
                response.read()
                return self._drop()
            self._pass_on(response, rule)
        except (OSError, http.client.HTTPException):
            self._drop()
        finally:
            upstream.close()

    def _pass_on(self, response: http.client.HTTPResponse, rule: Rule | None) -> None:
        """Chunk by chunk as it arrives, so that watches work."""
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = rule.cut if rule is not None else None
        lines = rule.lines if rule is not None else None
        while lines != 0 and (data := response.read1(65536)):
            if left is not None:
                data, left = data[:left], left - len(data)
            if lines is not None:
                whole = data.splitlines(keepends=True)[:lines]
                data, lines = b"".join(whole), max(0, lines - data.count(b"\n"))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            if left is not None and left <= 0:
                return self._drop()
        if rule is not None and rule.ending:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(rule.ending), rule.ending))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Tests need no access log."""

"""One request through the gateway, as a client would send it, and what came back as a value."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from installer import __version__
from installer.core.cancel import Cancel

Trouble = Literal[
    "", "name", "refused", "unreachable", "timeout", "reset", "certificate", "tls", "protocol"
]
"""Why there was no answer: `name` its name does not resolve; `unreachable` no route; `reset` the
connection ended early; `certificate` nobody we trust has signed; `protocol` not HTTP/1.1."""

EXCERPT = 64 * 1024
"""Bytes of a body that are kept."""
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and where.

    address, port: what is connected to. host: the Host header and, with TLS, the server name.
    verify: with TLS, whether the certificate must be signed by someone this machine trusts.
    """

    address: str
    port: int
    host: str
    path: str = "/"
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "http"
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. status: 0 without an answer, and then `trouble` and `message` say why.

    headers: names in lower case. body: its first `EXCERPT` bytes. seconds: until the body ended.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    trouble: Trouble = ""
    message: str = ""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """True for an answer with a status below 300."""
        return 0 < self.status < 300


def ask(request: Request, *, timeout: float, cancel: Cancel) -> Reply:
    """Send a request; never raises for what the other side does. timeout: seconds for all of it.

    Raises the reason of `cancel` as soon as the run is stopped.
    """
    exchange = _Exchange(request, timeout)
    began = time.monotonic()
    worker = threading.Thread(target=exchange.run, name="ask", daemon=True)
    worker.start()
    while not exchange.done.wait(_POLL):
        spent = time.monotonic() - began
        if cancel.stopped or spent > timeout:
            exchange.abandon()
            cancel.check(f"no answer yet from {request.host}")
            where = f"{request.address}:{request.port}"
            said = f"{where} gave no answer within {timeout:.0f} s"
            return Reply(0, seconds=spent, trouble="timeout", message=said)
    return exchange.reply


class _Exchange:
    """One request on a connection of its own, in a thread that can be abandoned."""

    def __init__(self, request: Request, timeout: float) -> None:
        self.done = threading.Event()
        self.reply = Reply(0)
        self._request = request
        self._connection = _connection(request, timeout)

    def run(self) -> None:
        began = time.monotonic()
        try:
            self.reply = self._exchanged(began)
        except Exception as error:  # sockets, ssl and http.client raise many kinds; all are judged
            trouble, message = _judged(error, self._request)
            spent = time.monotonic() - began
            self.reply = Reply(0, seconds=spent, trouble=trouble, message=message)
        finally:
            self._connection.close()
            self.done.set()

    def abandon(self) -> None:
        """End a read that blocks; the thread then ends by itself."""
        sock = self._connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _exchanged(self, began: float) -> Reply:
        request = self._request
        headers = {
            "Host": request.host,
            "User-Agent": f"kserve-installer/{__version__}",
            "Accept": "*/*",
            "Connection": "close",
            **request.headers,
        }
        self._connection.request(request.method, request.path, request.body, headers)
        response = self._connection.getresponse()
        body = response.read(EXCERPT)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, body, time.monotonic() - began)


def _connection(request: Request, timeout: float) -> http.client.HTTPConnection:
    if request.scheme != "https":
        return http.client.HTTPConnection(request.address, request.port, timeout=timeout)
    return _NamedTls(request, timeout)


class _NamedTls(http.client.HTTPSConnection):
    """TLS to an address, for the server name that the Host header says."""

    def __init__(self, request: Request, timeout: float) -> None:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        if not request.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        super().__init__(request.address, request.port, timeout=timeout, context=context)
        self._tls = context
        self._name = request.host.partition(":")[0]

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def _judged(error: Exception, request: Request) -> tuple[Trouble, str]:
    where = f"{request.address}:{request.port}"
    if isinstance(error, socket.gaierror):
        return "name", f"{request.address} does not resolve: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate", f"the certificate of {where} is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "tls", f"{where} does not speak TLS as expected: {error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return "refused", f"nothing listens on {where}: connection refused"
    if isinstance(error, TimeoutError):
        return "timeout", f"{where} gave no answer in time"
    if isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
        return "reset", f"{where} closed the connection without an answer"
    if isinstance(error, http.client.HTTPException):
        return "protocol", f"{where} answers with something that is not HTTP/1.1: {error!r}"
    if isinstance(error, OSError):
        return "unreachable", f"{where} cannot be reached: {error.strerror or error}"
    return "protocol", f"{where}: {error}"

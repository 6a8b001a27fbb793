"""Connections to one API server: a keep-alive pool in which no wait outlives its time or the run.

A thread blocked in `recv` cannot be woken by a flag, so a watchman shuts down every socket once
the run is cancelled. A connection is opened in a thread of its own that is left behind when the
run is cancelled meanwhile: neither name resolution nor `connect` can be interrupted.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import tempfile
import threading
import time
import urllib.request
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from installer import __version__
from installer.cluster.access import Access
from installer.core.cancel import Cancel
from installer.core.errors import UsageError

MAX_CONNECTIONS = 32
"""Connections kept alive; more may be open for a moment."""
CONNECT_TIMEOUT = 10.0
"""Seconds for name resolution, TCP, proxy and TLS handshake together."""
_POLL = 0.1
_MEMORY_FILES = hasattr(os, "memfd_create") and Path("/proc/self/fd").exists()
_KEEP_ALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class Transport:
    """A pool of connections to `access.server`; thread-safe. Raises urllib3's exceptions."""

    NOT_SENT = (urllib3.exceptions.ConnectTimeoutError,)
    """Raised when there is no connection: the server knows nothing of the request."""

    def __init__(self, access: Access, cancel: Cancel) -> None:
        parts = urlsplit(access.server)
        self._prefix = parts.path.rstrip("/")  # Rancher serves clusters below a path
        self._sockets = _Sockets(cancel)
        self._manager = _manager(access)
        self._pool = self._manager.connection_from_host(parts.hostname, parts.port, parts.scheme)
        if self._pool.proxy is not None and parts.scheme == "http":
            self._prefix = access.server  # without a tunnel a proxy needs the whole address
        kind = _SecureConnection if parts.scheme == "https" else _PlainConnection
        self._pool.ConnectionCls = type("Connection", (kind,), {"sockets": self._sockets})
        self._headers = urllib3.HTTPHeaderDict(
            {"User-Agent": f"kserve-installer/{__version__}", "Accept": "application/json"}
        )
        if not _is_loopback(parts.hostname or ""):
            self._headers["Accept-Encoding"] = "gzip"
        if access.authorization:
            self._headers["Authorization"] = access.authorization
        for name, value in access.headers:
            self._headers.add(name, value)

    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], wait: float
    ) -> urllib3.BaseHTTPResponse:
        """Send one request; the response's body is not read yet and must be read or closed.

        wait: seconds without a single byte after which the request fails.
        """
        sent = self._headers.copy()
        for name, value in headers.items():
            sent[name] = value
        return self._pool.urlopen(
            method,
            self._prefix + path,
            body=body,
            headers=sent,
            retries=False,
            redirect=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, wait), read=wait),
        )

    def close(self) -> None:
        """Close idle connections and end the watchman."""
        self._sockets.close()
        self._manager.clear()


class _Sockets:
    """The open sockets of a pool, shut down when the run is cancelled."""

    def __init__(self, cancel: Cancel) -> None:
        self.cancel = cancel
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._watchman: threading.Thread | None = None

    def add(self, sock: socket.socket) -> None:
        with self._guard:
            self._open.add(sock)
            if self._watchman is None:
                self._watchman = threading.Thread(target=self._watch, name="watchman", daemon=True)
                self._watchman.start()

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(_POLL):
            if self.cancel.stopped:
                with self._guard:
                    for sock in self._open:
                        _shut(sock)


def _shut(sock: socket.socket) -> None:
    """End both directions of a socket that another thread may be reading.

    The plain socket's method: SSLSocket's own would first take the TLS state from the reader.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _PlainConnection(HTTPConnection):
    sockets: _Sockets

    def connect(self) -> None:
        _connect(self, super().connect)


class _SecureConnection(HTTPSConnection):
    sockets: _Sockets

    def connect(self) -> None:
        _connect(self, super().connect)


def _connect(connection: _PlainConnection | _SecureConnection, open_it: Any) -> None:
    """Open a connection in a thread of its own; give up when cancelled or too late."""
    done, abandoned = threading.Event(), threading.Event()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            open_it()
        except BaseException as error:
            failure.append(error)
        done.set()
        if abandoned.is_set():
            connection.close()

    threading.Thread(target=work, name="connect", daemon=True).start()
    until = time.monotonic() + CONNECT_TIMEOUT
    while not done.wait(_POLL):
        if connection.sockets.cancel.stopped or time.monotonic() > until:
            abandoned.set()
            raise urllib3.exceptions.ConnectTimeoutError(
                connection, f"no connection to {connection.host} within {CONNECT_TIMEOUT:.0f} s"
            )
    if failure:
        raise failure[0]
    if connection.sock is not None:
        connection.sockets.add(connection.sock)


def _manager(access: Access) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "maxsize": MAX_CONNECTIONS,
        "block": False,
        "socket_options": [*HTTPConnection.default_socket_options, _KEEP_ALIVE],
    }
    if access.server.startswith("https"):
        options["ssl_context"] = tls_context(access)
        if not access.verify:
            options["cert_reqs"] = "CERT_NONE"
            options["assert_hostname"] = False
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if access.server_name:
            options["server_hostname"] = access.server_name
    proxy = access.proxy or proxy_of_environment(access.server)
    if not proxy:
        return urllib3.PoolManager(**options)
    if not proxy.startswith(("http://", "https://")):
        raise UsageError(
            f"the proxy for {access.server} is neither http:// nor https://",
            kind="kubeconfig",
            object=urlsplit(proxy).hostname or "proxy",
            remedy="use an HTTP proxy for this cluster",
        )
    credentials = urlsplit(proxy)
    headers = {}
    if credentials.username:
        basic = f"{credentials.username}:{credentials.password or ''}"
        headers = dict(urllib3.make_headers(proxy_basic_auth=basic))
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def tls_context(access: Access) -> ssl.SSLContext:
    """What the server is verified by, and we by it. Raises UsageError, kind `credentials`."""
    try:
        context = ssl.create_default_context(cadata=access.ca.decode("ascii") or None)
        # Python 3.13 began to refuse CA certificates without a key identifier; clusters have them
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not access.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access.certificate:
            _load_certificate(context, access)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"the certificates for context {access.context} cannot be used: "
            f"{getattr(error, 'reason', None) or 'not PEM'}",
            kind="credentials",
            object=access.server,
            remedy="get a new kubeconfig for this cluster",
        ) from error
    return context


def _load_certificate(context: ssl.SSLContext, access: Access) -> None:
    """OpenSSL reads a client certificate from files only: one in memory where there can be, which
    neither leaves the key on a disk nor needs one that can be written; else a private one, gone at
    once."""
    if _MEMORY_FILES:
        handle, name = os.memfd_create("client-certificate"), ""
    else:
        handle, name = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(access.certificate + b"\n" + access.key)
            file.flush()
            context.load_cert_chain(name or f"/proc/self/fd/{handle}")
    finally:
        if name:
            Path(name).unlink()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy_of_environment(server: str) -> str:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, as kubectl reads them.

    That is: never for loopback addresses, and NO_PROXY may hold address ranges.
    """
    parts = urlsplit(server)
    host = parts.hostname or ""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or ""
    if not proxy or _is_loopback(host) or urllib.request.proxy_bypass(host):
        return ""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        for entry in proxies.get("no", "").split(","):
            with contextlib.suppress(ValueError):
                if address in ipaddress.ip_network(entry.strip(), strict=False):
                    return ""
    return proxy if "://" in proxy else f"http://{proxy}"

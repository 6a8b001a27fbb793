"""The part of a kubelet's server that a port-forward needs: TLS, WebSockets, bytes both ways.

API servers hand a client's request on as it is (kubernetes/kubernetes@v1.20.2:
pkg/kubelet/cri/streaming/portforward/websocket.go): subprotocol `v4.channel.k8s.io`, two channels
a port, the first message of each the port's number as two bytes, little-endian.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
)

from installer.sandbox.simulators.certificates import Pair, new_ecdsa, self_signed

log = logging.getLogger(__name__)

KUBELET_PORT = 10250
_SUBPROTOCOL = "v4.channel.k8s.io"
_CHUNK = 1 << 16
_SILENCE = 300.0
"""Seconds after which a connection without a byte ends."""

Dial = Callable[[str, str, int], "socket.socket | None"]
"""(namespace, pod, port) → a connection to what listens there, None when nothing does."""


class PortForwards:
    """Serves what the API server sends to a node's kubelet."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._context: ssl.SSLContext | None = None
        self._guard = threading.Lock()

    def serve(self, connection: socket.socket) -> None:
        """Answer one connection until it ends."""
        connection.settimeout(_SILENCE)
        with self._tls().wrap_socket(connection, server_side=True) as tls:
            _Session(tls, self._dial).run()

    def _tls(self) -> ssl.SSLContext:
        """API servers take any certificate of a kubelet unless they are given a CA for them."""
        with self._guard:
            if self._context is None:
                self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                _load(self._context, self_signed(new_ecdsa(), "kubelet", ["kubelet"]))
            return self._context


def _load(context: ssl.SSLContext, pair: Pair) -> None:
    with tempfile.NamedTemporaryFile(suffix=".pem") as bundle:
        bundle.write(pair.certificate + b"\n" + pair.key)
        bundle.flush()
        context.load_cert_chain(bundle.name)


class _Session:
    """One WebSocket connection, which forwards the ports that its address names.

    One thread does all of it: a TLS connection must not be read and written at the same time.
    """

    def __init__(self, tls: ssl.SSLSocket, dial: Dial) -> None:
        self._tls = tls
        self._dial = dial
        self._web = WSConnection(ConnectionType.SERVER)
        self._targets: dict[int, socket.socket] = {}

    def run(self) -> None:
        try:
            while self._step():
                pass
        except OSError as error:
            log.debug("port-forward: %s", error)
        finally:
            for target in self._targets.values():
                target.close()

    def _step(self) -> bool:
        """Wait for bytes of either side and pass them on; False when the connection ends."""
        channels = {target: channel for channel, target in self._targets.items()}
        ready: list[socket.socket] = [self._tls]
        if not self._tls.pending():
            ready, _, _ = select.select([self._tls, *channels], [], [], _SILENCE)
            if not ready:
                return False
        for one in ready:
            if one is self._tls:
                if not self._from_client():
                    return False
            elif not self._from_pod(one, channels[one]):
                return False
        return True

    def _from_client(self) -> bool:
        data = self._tls.recv(_CHUNK)
        if not data:
            return False
        self._web.receive_data(data)
        return all(self._handle(event) for event in self._web.events())

    def _from_pod(self, target: socket.socket, channel: int) -> bool:
        data = target.recv(_CHUNK)
        if not data:
            self._send(CloseConnection(code=1000))
            return False
        self._message(channel, data)
        return True

    def _handle(self, event: Event) -> bool:
        if isinstance(event, Request):
            return self._open(event)
        if isinstance(event, BytesMessage):
            channel, data = event.data[0], bytes(event.data[1:])
            target = self._targets.get(channel)
            if target is not None and data:
                target.sendall(data)
        elif isinstance(event, Ping):
            self._send(event.response())
        elif isinstance(event, CloseConnection):
            self._send(event.response())
            return False
        return True

    def _open(self, request: Request) -> bool:
        address = urlsplit(request.target)
        parts = address.path.strip("/").split("/")
        asked = parse_qs(address.query)
        ports = [int(port) for port in asked.get("port", []) + asked.get("ports", [])]
        if len(parts) < 3 or parts[0] != "portForward" or _SUBPROTOCOL not in request.subprotocols:
            self._send(RejectConnection(status_code=404))
            return False
        self._send(AcceptConnection(subprotocol=_SUBPROTOCOL))
        for index, port in enumerate(ports):
            number = struct.pack("<H", port)
            for channel in (2 * index, 2 * index + 1):
                self._message(channel, number)
            self._forward(parts[1], parts[2], port, 2 * index)
        return True

    def _forward(self, namespace: str, pod: str, port: int, channel: int) -> None:
        target = self._dial(namespace, pod, port)
        if target is None:
            text = f"error forwarding port {port} to pod {pod}: connect: connection refused"
            self._message(channel + 1, text.encode())
            return
        self._targets[channel] = target

    def _message(self, channel: int, data: bytes) -> None:
        self._send(BytesMessage(bytes([channel]) + data))

    def _send(self, event: Event) -> None:
        self._tls.sendall(self._web.send(event))

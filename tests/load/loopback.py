"""A small HTTP server on 127.0.0.1, in a thread, that answers as it is told to."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """TLS with a certificate that nobody but itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context

"""What is in a sandbox's etcd, byte by byte: the API server converts whatever it is asked for."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from installer.sandbox.lifecycle import SandboxInfo

_PAGE = 500


def versions_in_etcd(sandbox: SandboxInfo) -> dict[tuple[str, str], set[str]]:
    """The versions that objects are stored at, by (group, kind).

    Of custom resources above all, which are stored as JSON; what Kubernetes itself brings is in
    another form, but for CRDs and API services, which are left out.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for value in _values(sandbox):
        if value.startswith(b"{"):
            obj = json.loads(value)
            group, _, version = str(obj["apiVersion"]).rpartition("/")
            if not group.endswith("k8s.io"):
                found.setdefault((group, str(obj["kind"])), set()).add(version)
    return found


def _values(sandbox: SandboxInfo) -> Iterator[bytes]:
    """Every value below `/registry/`, by etcd's own gateway for JSON."""
    connection = _Socket(sandbox.state_dir, "etcd:0")
    start, end = b"/registry/", b"/registry0"
    while True:
        asked = {"key": _text(start), "range_end": _text(end), "limit": _PAGE}
        connection.request("POST", "/v3/kv/range", json.dumps(asked))
        answer = json.load(connection.getresponse())
        pairs = answer.get("kvs", [])
        yield from (base64.b64decode(pair.get("value", "")) for pair in pairs)
        if not answer.get("more"):
            connection.close()
            return
        start = base64.b64decode(pairs[-1]["key"]) + b"\0"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class _Socket(http.client.HTTPConnection):
    """HTTP over a socket file; `folder` may be longer than a socket's address may be."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__("localhost", timeout=30)
        self._folder, self._name = folder, name

    def connect(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            self.sock: Any = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{handle}/{self._name}")
        finally:
            os.close(handle)

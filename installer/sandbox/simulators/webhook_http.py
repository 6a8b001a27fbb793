"""HTTP as a webhook's pod speaks it, and the faults of a request. Knows nothing of the cluster."""

from __future__ import annotations

import json
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any

from installer.sandbox.script import WebhookRule


def misbehave(tls: ssl.SSLSocket, rule: WebhookRule, review: dict[str, Any]) -> bool:
    """Play a request-level fault; True when a proper answer follows."""
    if rule.fault == "timeout":
        until_closed(tls)
    elif rule.fault == "slow":
        # Ends early when the API server gives up, so that no thread outlives its use.
        ready, _, _ = select.select([tls], [], [], rule.seconds or 1.0)
        return not ready
    elif rule.fault == "http":
        send(tls, rule.code, "text/plain", rule.body.encode())
    elif rule.fault == "not-json":
        send(tls, 200, "text/html", (rule.body or '"<html>hello</html>"').encode())
    elif rule.fault == "empty":
        body = {"apiVersion": review["apiVersion"], "kind": review["kind"]}
        send(tls, 200, "application/json", json.dumps(body).encode())
    return rule.fault == "deny"


def discover(tls: ssl.SSLSocket, path: str) -> None:
    """What an aggregated API (Knative's custom metrics) tells about itself: it has no resources."""
    parts = path.strip("/").split("/")
    if len(parts) == 3 and parts[0] == "apis":
        version = f"{parts[1]}/{parts[2]}"
        body = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version}
        send(tls, 200, "application/json", json.dumps(body | {"resources": []}).encode())
    else:
        send(tls, 404, "text/plain", b"404 page not found")


def denied(review: dict[str, Any], message: str) -> dict[str, Any]:
    """The answer of a webhook that denies."""
    response: dict[str, Any] = {"uid": review["request"]["uid"], "allowed": False}
    if message:
        response["status"] = {
            "status": "Failure",
            "reason": "Forbidden",
            "message": message,
            "code": 403,
        }
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


def read_head(receive: Callable[[int], bytes]) -> bytes:
    """Bytes of a request until its headers are complete. Raises ValueError where they never are."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = receive(1 << 16)
        if not chunk or len(data) > 1 << 24:
            raise ValueError("connection closed before a request")
        data += chunk
    return data


def read_body(tls: ssl.SSLSocket, head: bytes) -> bytes:
    """The body of a request; head: what `read_head` gave, which may hold the beginning of it."""
    headers, _, body = head.partition(b"\r\n\r\n")
    length = 0
    for line in headers.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    parts, size = [body], len(body)
    while size < length:
        chunk = tls.recv(1 << 16)
        if not chunk:
            raise ValueError("connection closed inside a request")
        parts.append(chunk)
        size += len(chunk)
    return b"".join(parts)


def send(tls: ssl.SSLSocket, code: int, content_type: str, body: bytes) -> None:
    """An answer, after which the connection is closed."""
    head = (
        f"HTTP/1.1 {code} {code}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    tls.sendall(head.encode() + body)


def until_closed(connection: socket.socket) -> None:
    """Read and say nothing until the other side gives up."""
    while connection.recv(1 << 16):
        continue

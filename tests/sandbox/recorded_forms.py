"""Live objects and messages in the notation of the recordings, to compare the two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from installer.core.objects import Object
from installer.sandbox.script import WebhookRule

FAULTS = {
    "Service targetPort points to a plain-HTTP port of the same pod": WebhookRule("plain-http"),
    "server accepts and closes at once": WebhookRule("reset"),
    "server closes after the request": WebhookRule("eof"),
    "certificate for another name": WebhookRule("x509-name"),
    "certificate of another CA": WebhookRule("x509"),
    "certificate without SAN": WebhookRule("x509-common-name"),
    "certificate expired": WebhookRule("x509-expired"),
    "HTTP 500 from the webhook": WebhookRule("http", code=500, body="panic"),
    "HTTP 404 from the webhook": WebhookRule("http", code=404, body="404 page not found"),
    "HTTP 503 from the webhook": WebhookRule("http", code=503, body="no"),
    "HTTP 502 from the webhook": WebhookRule("http", code=502, body="<html>bad gateway</html>"),
    "HTTP 403 from the webhook": WebhookRule("http", code=403, body="RBAC: access denied"),
    "not JSON": WebhookRule("not-json"),
    "empty AdmissionReview": WebhookRule("empty", on="admission"),
    "denied with message": WebhookRule("deny", message="no, because", on="admission"),
    "denied without message": WebhookRule("deny", on="admission"),
    "connection refused": WebhookRule("refused"),
    "address without a host": WebhookRule("no-route"),
    "server accepts and says nothing": WebhookRule("tls-timeout"),
}
"""Recorded case → the rule of the script that plays it."""


def owned(fields: dict[str, Any], path: str = "") -> Iterator[str]:
    """managedFields in the notation of the recordings."""
    if not fields or "." in fields:
        yield path
    for key, inner in fields.items():
        kind, _, name = key.partition(":")
        if kind == "f":
            yield from owned(inner, f"{path}.{name}" if path else name)
        elif kind == "k":
            yield from owned(inner, f"{path}[{name}]")


def of_managers(obj: Object, managers: set[str]) -> dict[str, set[str]]:
    """manager → fields, of the managers named."""
    found: dict[str, set[str]] = {}
    for entry in obj["metadata"].get("managedFields") or []:
        if entry["manager"] in managers and entry["operation"] == "Update":
            found.setdefault(entry["manager"], set()).update(owned(entry["fieldsV1"]))
    return found


def recorded_managers(entry: dict[str, Any]) -> dict[str, set[str]]:
    managers = entry["managers"].items()
    return {
        name.removesuffix(" (Update)"): set(fields)
        for name, fields in managers
        if isinstance(fields, list) and not name.startswith(("kubectl", "kube-"))
    }


def assert_fields_as_recorded(obj: Object, entry: dict[str, Any]) -> None:
    wanted = recorded_managers(entry)
    assert of_managers(obj, set(wanted)) == wanted


def normal(message: str) -> str:
    """A failure's text without what differs from network to network and second to second."""
    message = re.sub(r"proxy error from \S+ while dialing \S+, code 502: 502 ", "", message)
    message = re.sub(r"dial tcp \S+:\d+", "dial tcp ADDRESS", message)
    message = re.sub(r"read (tcp|unix) \S+->\S+: read", "read ADDRESS", message)
    message = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", message)
    message = re.sub(
        r'"(crypto/rsa: verification error|x509: ECDSA verification failure)"', "", message
    )
    return re.sub(r'authority certificate "[^"]*"', "authority certificate", message)


def unordered(message: str) -> list[str]:
    """A message's words: the API server lists several schema errors in random order."""
    return sorted(re.split(r"[\[\], ]+", message))

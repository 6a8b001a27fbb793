"""Webhook configurations and CRD conversion, as values: what is still to be filled in, and whom
a request would reach. Pure.

Controllers complete these objects after they were applied (recorded on a real cluster):
cert-manager's cainjector writes CA bundles (over the placeholder `Cg==`, a single newline),
Knative's webhooks write CA bundle *and* rules, istiod its CA bundle. Until then the API server
either cannot call the webhook or, without rules, never does: everything is admitted unchecked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.core.objects import Object, dig


@dataclass(frozen=True, slots=True)
class Backend:
    """The Service a webhook is served by, and the CA bundle (base64) that it is trusted with."""

    namespace: str
    name: str
    port: int
    ca: str


def entries(configuration: Object) -> Iterator[Mapping[str, Any]]:
    """The webhooks of a Mutating- or ValidatingWebhookConfiguration."""
    yield from configuration.get("webhooks") or []


def backend_of(client: Mapping[str, Any]) -> Backend | None:
    """The backend in a clientConfig; None when the webhook is reached by URL."""
    service = client.get("service")
    if not isinstance(service, Mapping):
        return None
    return Backend(
        str(service.get("namespace", "")),
        str(service.get("name", "")),
        int(service.get("port") or 443),
        str(client.get("caBundle") or ""),
    )


def conversion_client(definition: Object) -> Mapping[str, Any] | None:
    """The clientConfig of a CRD's conversion webhook at either API version, None without one."""
    conversion = dig(definition, "spec", "conversion", default={})
    if conversion.get("strategy") != "Webhook":
        return None
    client = dig(conversion, "webhook", "clientConfig") or conversion.get("webhookClientConfig")
    return client if isinstance(client, Mapping) else {}


def has_ca(client: Mapping[str, Any]) -> bool:
    """Whether the API server has what it needs to trust the webhook.

    A webhook behind a Service always needs a CA bundle; one reached by URL may use the API
    server's own roots.
    """
    if client.get("url"):
        return True
    try:
        decoded = base64.b64decode(str(client.get("caBundle") or ""), validate=False)
    except (binascii.Error, ValueError):
        return False
    return bool(decoded.strip())


def unfilled(configuration: Object) -> str:
    """What a webhook configuration still lacks, as a clause; empty when it is complete."""
    lacking = []
    for entry in entries(configuration):
        missing = []
        if not has_ca(entry.get("clientConfig") or {}):
            missing.append("CA bundle")
        if not entry.get("rules"):
            missing.append("rules")
        if missing:
            lacking.append(f"{entry.get('name')} has no {' and no '.join(missing)} yet")
    if not list(entries(configuration)):
        return "it has no webhooks yet"
    return "; ".join(lacking)


def served_versions(definition: Object) -> list[str]:
    """Names of the versions a CRD serves, the stored one first."""
    versions = dig(definition, "spec", "versions", default=[])
    served = [v for v in versions if v.get("served")]
    return [str(v["name"]) for v in sorted(served, key=lambda v: not v.get("storage"))]


def stored_version(definition: Object) -> str:
    """The version new objects are stored at."""
    versions = dig(definition, "spec", "versions", default=[])
    return next((str(v["name"]) for v in versions if v.get("storage")), "")


def labels_matching(selector: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Smallest label set that a label selector matches; None when no label set is found.

    Answers `objectSelector`: an object with these labels is sent to the webhook.
    """
    labels: dict[str, str] = dict(dig(selector or {}, "matchLabels", default={}))
    for term in dig(selector or {}, "matchExpressions", default=[]):
        if term.get("operator") == "In" and term.get("values"):
            if labels.get(term["key"]) not in term["values"]:
                labels[term["key"]] = term["values"][0]
        elif term.get("operator") == "Exists":
            labels.setdefault(term["key"], "probe")
    return labels if matches(selector, labels) else None


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions) matches labels."""
    if not selector:
        return True
    for key, value in dig(selector, "matchLabels", default={}).items():
        if labels.get(key) != value:
            return False
    return all(
        _term_matches(term, labels) for term in dig(selector, "matchExpressions", default=[])
    )


def _term_matches(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = term.get("key"), term.get("operator"), term.get("values") or []
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    if operator == "In":
        return labels.get(str(key)) in values
    if operator == "NotIn":
        return labels.get(str(key)) not in values
    return False

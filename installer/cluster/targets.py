"""Webhook configurations and CRDs taken apart into the webhooks to prove. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.cluster.candidates import Target
from installer.cluster.registrations import (
    backend_of,
    conversion_client,
    entries,
    has_ca,
    served_versions,
    stored_version,
)
from installer.core.objects import Object, Ref, dig

_PHASES = {
    "MutatingWebhookConfiguration": "mutating",
    "ValidatingWebhookConfiguration": "validating",
}


def essentials(obj: Object) -> Mapping[str, Any]:
    """What targets are made of; CRDs are large, so only this is kept."""
    if obj.get("kind") != "CustomResourceDefinition":
        return {"webhooks": list(entries(obj))}
    stored = stored_version(obj)
    ever = dig(obj, "status", "storedVersions", default=[])
    return {
        "client": conversion_client(obj),
        "group": dig(obj, "spec", "group"),
        "kind": dig(obj, "spec", "names", "kind"),
        "versions": served_versions(obj),
        "converts": len(served_versions(obj)) > 1 or any(v != stored for v in ever),
    }


def targets(ref: Ref, fact: Mapping[str, Any]) -> list[tuple[Target, str]]:
    """The webhooks of a configuration or CRD, each with what it still lacks."""
    if ref.kind == "CustomResourceDefinition":
        client = fact["client"]
        if client is None or not fact["converts"]:
            return []
        entry = {key: fact[key] for key in ("group", "kind", "versions")}
        name = f"conversion of {fact['kind']}.{fact['group']}"
        lacking = "" if has_ca(client) else "it has no CA bundle yet"
        return [(Target(ref, name, "conversion", entry, backend_of(client)), lacking)]
    targets = []
    for entry in fact["webhooks"]:
        client = entry.get("clientConfig") or {}
        missing = [] if has_ca(client) else ["CA bundle"]
        missing += [] if entry.get("rules") else ["rules"]
        lacking = f"it has no {' and no '.join(missing)} yet" if missing else ""
        phase = _PHASES[ref.kind]
        target = Target(ref, str(entry.get("name")), phase, entry, backend_of(client))  # type: ignore[arg-type]
        targets.append((target, lacking))
    return targets


def same_server(one: Target, other: Target) -> bool:
    a, b = one.backend, other.backend
    if a is None or b is None:
        return False
    return (a.namespace, a.name, a.port) == (b.namespace, b.name, b.port)

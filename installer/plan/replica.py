"""Objects of one cluster made fit for being created in another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, dig

_KEPT = ("name", "namespace", "labels", "annotations")
_OWN_HISTORY = ("kubectl.kubernetes.io/last-applied-configuration",)
_TOKEN_OF = "kubernetes.io/service-account.name"


def replica(obj: Mapping[str, Any]) -> Object:
    """The object without what servers and controllers have put into it: status, identity, owners,
    finalizers."""
    copy = {key: value for key, value in obj.items() if key not in ("status", "metadata")}
    metadata = {key: obj["metadata"][key] for key in _KEPT if obj["metadata"].get(key)}
    notes = metadata.get("annotations", {})
    metadata["annotations"] = {key: notes[key] for key in notes if key not in _OWN_HISTORY}
    return {**copy, "metadata": metadata}


def namespace_of(obj: Mapping[str, Any]) -> Object:
    """A Namespace with the same name, labels and annotations."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": replica(obj)["metadata"]}


def placeholder(secret: Mapping[str, Any]) -> Object | None:
    """An empty Secret in place of one of which only the metadata was read; None for a token that a
    server makes itself."""
    if dig(secret, "metadata", "annotations", _TOKEN_OF):
        return None
    return {"apiVersion": "v1", "kind": "Secret", "metadata": replica(secret)["metadata"]}

"""What the forms of all objects share: API versions, owners, names, labels, annotations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object

KNATIVE = "serving.knative.dev"
AUTOSCALING = "autoscaling.knative.dev"
INTERNAL = "networking.internal.knative.dev"
SERVING_V1 = f"{KNATIVE}/v1"
SCALING_V1 = "autoscaling.internal.knative.dev/v1alpha1"
NETWORK_V1 = f"{INTERNAL}/v1alpha1"
CACHING_V1 = "caching.internal.knative.dev/v1alpha1"
ISTIO_V1 = "networking.istio.io/v1beta1"
INGRESS_CLASS = "networking.knative.dev/ingress.class"
CLUSTER = "svc.cluster.local"
QUEUE_PORT = 8012
ROUTING_STATE = f"{KNATIVE}/routingState"
"""Label of a Revision: `active` while a Route leads to it, `reserve` when none does."""

_LONGEST = 63
OWN = ("lastPinned", "routes", "routingStateModified", "lastModifier", "routingState", "route")
"""Knative's labels and annotations of a Revision that what it is made of does not get."""


def owned_by(owner: Object) -> list[dict[str, Any]]:
    """The owner references of what a controller makes for `owner`."""
    metadata = owner["metadata"]
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def child_name(parent: str, suffix: str) -> str:
    """The name Knative gives a child, with a hash when too long. knative/pkg: kmeta.ChildName."""
    if len(parent) + len(suffix) <= _LONGEST:
        return parent + suffix
    digest = hashlib.md5(f"{parent}{suffix}".encode(), usedforsecurity=False).hexdigest()
    return f"{parent[: _LONGEST - len(digest) - len(suffix)]}{digest}{suffix}"


def made(
    api_version: str,
    kind: str,
    name: str,
    owner: Object,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **rest: Any,
) -> Object:
    """An object in the owner's namespace, with its owner reference."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": owned_by(owner),
    }
    if labels:
        metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def labels_of(obj: Object) -> dict[str, str]:
    """metadata.labels, empty when absent."""
    return dict(obj["metadata"].get("labels") or {})


def annotations_of(obj: Object) -> dict[str, str]:
    """metadata.annotations, empty when absent."""
    return dict(obj["metadata"].get("annotations") or {})

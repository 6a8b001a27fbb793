"""Kubernetes objects as plain mappings, and references to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as decoded from JSON: {apiVersion, kind, metadata, …}."""

ObjectId = tuple[str, str, str, str]
"""(group, kind, namespace, name): names an object whatever version it is read at."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Names one object: apiVersion, kind, namespace (empty for cluster scope) and name."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        """API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def identity(self) -> ObjectId:
        """What makes two references the same object whatever version they are read at."""
        return (self.group, self.kind, self.namespace, self.name)

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}"

    def to_dict(self) -> dict[str, str]:
        """{apiVersion, kind, namespace, name}, as written in the ledger and in events."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> Ref:
        """The inverse of `to_dict`."""
        return cls(data["apiVersion"], data["kind"], data.get("namespace", ""), data["name"])


def ref_of(obj: Mapping[str, Any]) -> Ref:
    """The reference of an object."""
    metadata = obj.get("metadata") or {}
    return Ref(
        obj["apiVersion"], obj["kind"], metadata.get("namespace") or "", metadata.get("name") or ""
    )


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """The value at a path of keys and indexes, or `default` where it breaks off or is null."""
    for step in path:
        if isinstance(obj, Mapping):
            obj = obj.get(step)
        elif isinstance(obj, list) and isinstance(step, int) and -len(obj) <= step < len(obj):
            obj = obj[step]
        else:
            return default
    return default if obj is None else obj


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fingerprint(value: Any) -> str:
    """First 16 hex digits (64 bits) of the SHA-256 of `canonical(value)`."""
    return hashlib.sha256(canonical(value)).hexdigest()[:16]


def conditions(obj: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """status.conditions by type."""
    found = dig(obj, "status", "conditions", default=[])
    return {c["type"]: dict(c) for c in found if isinstance(c, Mapping) and "type" in c}


def containers(pod_spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Init containers, then containers, of a pod spec."""
    for key in ("initContainers", "containers"):
        yield from pod_spec.get(key) or []

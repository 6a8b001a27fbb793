"""Stored versions of CRDs on the way through several of their versions. Pure.

The API server refuses a CRD that lacks a version of `status.storedVersions`. Before such a CRD is
applied every object has to be rewritten at the version that is stored now, and the list cut down to
that: possible as long as the next CRD still has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of a CRD, and the one that objects are stored at."""

    names: frozenset[str]
    storage: str


def versions_of(crd: Mapping[str, Any]) -> Versions:
    """Of a CRD of either API version."""
    spec = crd["spec"]
    items = spec.get("versions") or [{"name": spec["version"], "storage": True}]
    stored = next(item["name"] for item in items if item.get("storage"))
    return Versions(frozenset(item["name"] for item in items), stored)


def dropped(stored: Sequence[str], after: Versions) -> list[str]:
    """Stored versions that the next CRD does not have."""
    return [name for name in stored if name not in after.names]


def dead_end(stored: Sequence[str], now: Versions, way: Sequence[Versions]) -> str:
    """The stored version that cannot be got rid of on the way, empty when all can.

    stored: `status.storedVersions`; now: the CRD as it is; way: what is applied, in order.
    """
    held, current = set(stored), now
    for after in way:
        if dropped(sorted(held), after):
            if current.storage not in after.names:
                return current.storage
            held = {current.storage}
        held.add(after.storage)
        current = after
    return ""

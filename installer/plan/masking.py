"""Secrets taken out of objects before they are shown; that a value changed stays visible. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, dig
from installer.core.words import plural
from installer.plan.fields import LAST_APPLIED

_PARTS = ("data", "stringData")


def masked_pair(old: Object | None, new: Object | None) -> tuple[Object | None, Object | None]:
    """Both states of an object fit to be shown; only Secrets are changed, and none is in place.

    A value becomes `(masked, 12 bytes)`; where old and new differ, they are told apart by
    `before` and `after`.
    """
    kind = (old or new or {}).get("kind")
    if kind != "Secret":
        return old, new
    return (
        None if old is None else _masked(old, new or {}, "before"),
        None if new is None else _masked(new, old or {}, "after"),
    )


def _masked(obj: Object, other: Mapping[str, Any], when: str) -> Object:
    shown = dict(obj)
    for part in _PARTS:
        values = obj.get(part)
        if isinstance(values, Mapping):
            rest = other.get(part) or {}
            shown[part] = {
                key: _placeholder(
                    value, part == "data", when if key in rest and rest[key] != value else ""
                )
                for key, value in values.items()
            }
    applied = dig(obj, "metadata", "annotations", LAST_APPLIED)
    if applied is not None:
        differs = dig(other, "metadata", "annotations", LAST_APPLIED, default=applied) != applied
        placeholder = _placeholder(applied, False, when if differs else "")
        metadata = dict(obj["metadata"])
        metadata["annotations"] = {**metadata["annotations"], LAST_APPLIED: placeholder}
        shown["metadata"] = metadata
    return shown


def _placeholder(value: Any, encoded: bool, when: str) -> str:
    size = _size(str(value or ""), encoded)
    count = plural(size, "byte")
    return f"(masked, {count}, {when})" if when else f"(masked, {count})"


def _size(value: str, encoded: bool) -> int:
    """Bytes of the value itself; of something that is no base64, of its text."""
    if encoded:
        try:
            return len(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            pass
    return len(value.encode())

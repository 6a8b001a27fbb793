"""What becomes of fields that an earlier kubectl left behind when we take them over. Pure.

`fields.takeover` makes them ours, so that an apply removes those that our body does not have.
This says which these are, before anything is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from installer.core.objects import Object, dig
from installer.plan.fields import (
    LAST_APPLIED,
    Fields,
    element_keys,
    laid_over,
    parted,
)


def without_leftovers(
    known: Mapping[str, Any],
    after: Object,
    leftovers: Collection[str],
    former: Collection[str] = (),
) -> Object | None:
    """`after` without the fields that only leftover managers own; None when none are taken over.

    known: the object as it is; after: what an apply alone would make of it. former: as of
    `fields.takeover`. What the server would then fill in by itself is not known here.
    """
    taken, _ = parted(known, leftovers, former)
    if not taken:
        return None
    lost: Fields = {}
    kept: Fields = {}
    for entry in taken:
        lost = laid_over(lost, entry.get("fieldsV1") or {})
    for entry in parted(after, leftovers, former)[1]:
        kept = laid_over(kept, entry.get("fieldsV1") or {})
    pruned: Object = _pruned(after, lost, kept)
    annotations = dig(pruned, "metadata", "annotations", default={})
    if LAST_APPLIED in annotations:
        rest = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
        metadata = {key: v for key, v in pruned["metadata"].items() if key != "annotations"}
        pruned["metadata"] = {**metadata, "annotations": rest} if rest else metadata
    return pruned


def _pruned(node: Any, lost: Fields, kept: Fields) -> Any:
    """A copy of `node` without what `lost` covers and `kept` does not."""
    if isinstance(node, Mapping):
        result = dict(node)
        for name in node:
            key = f"f:{name}"
            if key not in lost:
                continue
            if key not in kept and _is_whole(lost[key]):
                del result[name]
            elif lost[key] and kept.get(key) != {}:
                result[name] = _pruned(node[name], lost[key], kept.get(key, {}))
        return result
    if isinstance(node, list):
        pairs = [(item, _key_of(item, lost), _key_of(item, kept)) for item in node]
        return [
            _pruned(item, lost[one], kept.get(other, {})) if one else item
            for item, one, other in pairs
            if not one or other or not _is_whole(lost[one])
        ]
    return node


def _is_whole(fields: Fields) -> bool:
    """Whether what has these fields is owned itself, not only something in it: `metadata` is there
    for its annotations, and stays when they go."""
    return not fields or "." in fields


def _key_of(item: Any, fields: Fields) -> str:
    """The path element that names a list element; empty when none does."""
    for key in fields:
        if key.startswith("k:") and isinstance(item, Mapping):
            if all(item.get(name) == value for name, value in element_keys(key)):
                return key
        elif key.startswith("v:") and key[2:].strip('"') == str(item):
            return key
    return ""

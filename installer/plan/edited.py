"""Keys of ConfigMaps that users have edited in place. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from installer.core.objects import dig
from installer.plan.drift import MANAGER

EXAMPLE = "_example"
"""A key that is documentation; Knative's webhook refuses changes of it."""


def edited_keys(
    live: Mapping[str, Any],
    before: Mapping[str, str],
    after: Mapping[str, str],
    known: Collection[str] = (),
) -> Iterator[tuple[str, str]]:
    """Keys with the field manager that set them last, empty where that is ourselves.

    live: the ConfigMap; before, after: data of the release before and of the next. Edited is what
    somebody else has set to a value that neither brings, and what is known to have been edited.
    Keys that only users have are not among them: an apply leaves these alone.
    """
    owners = owners_of_keys(live)
    for key, value in dig(live, "data", default={}).items():
        theirs = key in owners and (key in before or key in after)
        changed = value not in (before.get(key), after.get(key))
        if key != EXAMPLE and ((theirs and changed) or key in known):
            yield key, owners.get(key, "")


def owners_of_keys(obj: Mapping[str, Any]) -> dict[str, str]:
    """Field managers other than ours by the key of `data` that they own."""
    return {
        step.removeprefix("f:"): str(entry.get("manager", ""))
        for entry in dig(obj, "metadata", "managedFields", default=[])
        if entry.get("manager") != MANAGER
        for step in dig(entry, "fieldsV1", "f:data", default={})
        if step.startswith("f:")
    }

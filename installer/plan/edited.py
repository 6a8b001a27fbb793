"""Keys of ConfigMaps that users have edited in place and that an apply would take back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.core.objects import Ref, dig
from installer.plan.drift import MANAGER
from installer.plan.wanted import Wanted


@dataclass(frozen=True, slots=True)
class EditedKey:
    """A key whose value is not ours, and the field manager that set it."""

    ref: Ref
    key: str
    manager: str

    def __str__(self) -> str:
        return f"{self.ref}: {self.key}, by {self.manager}"


def edited_keys(
    before: Sequence[Wanted],
    after: Sequence[Wanted],
    live: Mapping[tuple[str, str, str, str], Mapping[str, Any]],
) -> Iterator[EditedKey]:
    """Those whose value is neither that of the version before nor that of the one after.

    before, after: ConfigMaps of both versions. Keys that only users have are not among them: an
    apply leaves these alone.
    """
    had = {item.ref.identity: dig(item.body, "data", default={}) for item in before}
    for item in after:
        found = live.get(item.ref.identity) or {}
        old, owners = had.get(item.ref.identity, {}), owners_of_keys(found)
        for key, value in dig(item.body, "data", default={}).items():
            if key in owners and dig(found, "data", key) not in (value, old.get(key)):
                yield EditedKey(item.ref, key, owners[key])


def owners_of_keys(obj: Mapping[str, Any]) -> dict[str, str]:
    """Field managers other than ours by the key of `data` that they own."""
    return {
        step.removeprefix("f:"): str(entry.get("manager", ""))
        for entry in dig(obj, "metadata", "managedFields", default=[])
        if entry.get("manager") != MANAGER
        for step in dig(entry, "fieldsV1", "f:data", default={})
        if step.startswith("f:")
    }

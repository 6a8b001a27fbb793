"""Who wrote a field, and when: read from an object's managedFields. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.core.objects import dig
from installer.plan.diff import Element, Step
from installer.plan.drift import MANAGER
from installer.plan.fields import LAST_APPLIED, Fields, element_keys


@dataclass(frozen=True, slots=True)
class Writer:
    """A field manager. time: RFC 3339, of its last change to any field of the object."""

    manager: str
    operation: str
    time: str
    subresource: str = ""

    @property
    def ours(self) -> bool:
        """True for what this program applied."""
        return self.manager == MANAGER

    def __str__(self) -> str:
        return f"{self.manager} at {self.time}" if self.time else self.manager


def writers_of(obj: Mapping[str, Any], path: Sequence[Step]) -> list[Writer]:
    """The managers that own the field at this path, or something below it; newest first."""
    found = [
        _writer(entry)
        for entry in dig(obj, "metadata", "managedFields", default=[])
        if _owns(entry.get("fieldsV1") or {}, path)
    ]
    return sorted(found, key=lambda writer: writer.time)[::-1]


def last_writer(obj: Mapping[str, Any]) -> Writer | None:
    """Who changed the object last, its status aside; None where nobody is noted.

    Times are whole seconds; within one, the server's own order decides.
    """
    return max(reversed(list(_writers(obj))), key=lambda writer: writer.time, default=None)


def _writers(obj: Mapping[str, Any]) -> Iterator[Writer]:
    for entry in dig(obj, "metadata", "managedFields", default=[]):
        # before Kubernetes 1.22 entries of a subresource were not marked
        about_status = set(entry.get("fieldsV1") or {}) == {"f:status"}
        if not entry.get("subresource") and not about_status:
            yield _writer(entry)


def _writer(entry: Mapping[str, Any]) -> Writer:
    return Writer(
        str(entry.get("manager") or "somebody without a name"),
        str(entry.get("operation") or ""),
        str(entry.get("time") or ""),
        str(entry.get("subresource") or ""),
    )


def _owns(fields: Fields, path: Sequence[Step]) -> bool:
    for number, step in enumerate(path):
        below = _below(fields, step)
        if below is None:
            return number > 0 and not fields  # a leaf is owned whole
        fields = below
    return bool(path)


def _below(fields: Fields, step: Step) -> Fields | None:
    if isinstance(step, str):
        found: Fields | None = fields.get(f"f:{step}")
        return found
    if isinstance(step, int):
        found = fields.get(f"i:{step}")
        return found
    return _element(fields, step)


def _element(fields: Fields, step: Element) -> Fields | None:
    for key, below in fields.items():
        if key.startswith("k:") and set(step.keys) <= set(element_keys(key)) and step.keys:
            found: Fields = below
            return found
        if key.startswith("v:") and key[2:].strip('"') == str(step.value):
            return {}
    return None


def fields_of_others(obj: Mapping[str, Any]) -> list[tuple[tuple[Step, ...], Writer]]:
    """Fields that others own and we do not, each with its owner; of subresources none.

    Status and kubectl's own annotation are left out. Known from managedFields alone, so an
    object of which only metadata was read will do.
    """
    entries = dig(obj, "metadata", "managedFields", default=[])
    ours = [entry.get("fieldsV1") or {} for entry in entries if entry.get("manager") == MANAGER]
    found = []
    for entry in entries:
        if entry.get("manager") == MANAGER or entry.get("subresource"):
            continue
        writer = _writer(entry)
        for path in _leaves(entry.get("fieldsV1") or {}):
            quiet = path[0] == "status" or path[-1] == LAST_APPLIED
            if not quiet and not any(_owns(fields, path) for fields in ours):
                found.append((path, writer))
    return found


def _leaves(fields: Fields) -> Iterator[tuple[Step, ...]]:
    for key, below in fields.items():
        step = _step(key)
        if step is None:
            continue
        inner = [name for name in below if name != "."]
        if not inner:
            yield (step,)
        else:
            yield from ((step, *rest) for rest in _leaves(below))


def _step(key: str) -> Step | None:
    """A path element of fieldsV1; None for `.`, the item itself."""
    if key.startswith("f:"):
        return key[2:]
    if key.startswith("k:"):
        return Element(element_keys(key))
    if key.startswith("v:"):
        return Element(value=key[2:].strip('"'))
    return int(key[2:]) if key.startswith("i:") else None

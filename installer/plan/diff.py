"""Two states of an object, compared field by field. Pure.

List elements are matched as the server merges them: by the keys that managedFields tell
(`k:{…}`), else by the keys of Kubernetes' own types; what has none is compared as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from installer.core.objects import Object, canonical, dig
from installer.plan.fields import Fields, element_keys, laid_over


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""In place of a value that is not there; null is a value."""

SERVER_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""Metadata that nobody wishes for."""

_MERGE_KEYS = (
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("name",),
    ("mountPath",),
    ("devicePath",),
    ("ip",),
    ("topologyKey", "whenUnsatisfiable"),
    ("uid",),
    ("type",),
)
"""Keys of lists in Kubernetes' own types. Source: `x-kubernetes-list-map-keys` in its OpenAPI."""

_PLAIN = re.compile(r"[^.\[\]\"]+")


@dataclass(frozen=True, slots=True)
class Element:
    """A step into a list: the element that has these keys, or (`value`) the member of a set."""

    keys: tuple[tuple[str, Any], ...] = ()
    value: Any = ABSENT

    def __str__(self) -> str:
        if self.value is not ABSENT:
            return f"[={self.value}]"
        return f"[{','.join(f'{name}={value}' for name, value in self.keys)}]"


Step = str | int | Element
"""A member, a position in a list, an element of one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs; old or new is ABSENT where it is not there."""

    path: tuple[Step, ...]
    old: Any
    new: Any

    @property
    def where(self) -> str:
        """The path as text."""
        return path_text(self.path)


def path_text(path: Sequence[Step]) -> str:
    """`spec.template.spec.containers[name=manager].image`; names with dots in double quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif isinstance(step, Element):
            text += str(step)
        else:
            name = step if _PLAIN.fullmatch(step) else f'"{step}"'
            text += f".{name}" if text else name
    return text


def comparable(obj: Mapping[str, Any]) -> Object:
    """The object without status and without what only the server says of it."""
    kept: Object = {key: value for key, value in obj.items() if key != "status"}
    metadata = obj.get("metadata") or {}
    kept["metadata"] = {k: v for k, v in metadata.items() if k not in SERVER_METADATA}
    return kept


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """What differs between two states of an object, in the order of the old one's fields.

    managedFields of both tell how lists are merged; they, the status and server-set metadata are
    not compared.
    """
    fields: Fields = {}
    for obj in (old, new):
        for entry in dig(obj, "metadata", "managedFields", default=[]):
            fields = laid_over(fields, entry.get("fieldsV1") or {})
    return list(_compare((), comparable(old), comparable(new), fields))


def speaks_of(body: Any, path: Sequence[Step]) -> bool:
    """True when the body says something at this path, or ends before it."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(body, Mapping):
                return True
            if step not in body:
                return False
            body = body[step]
        else:
            found = _at(body, step)
            if found is ABSENT:
                return False
            body = found
    return True


def _at(items: Any, step: int | Element) -> Any:
    if not isinstance(items, list):
        return ABSENT
    if isinstance(step, int):
        return items[step] if step < len(items) else ABSENT
    for item in items:
        if step.value is not ABSENT and item == step.value:
            return item
        if (
            step.keys
            and isinstance(item, Mapping)
            and all(item.get(name) == value for name, value in step.keys)
        ):
            return item
    return ABSENT


def restricted(obj: Any, to: Any) -> Any:
    """The part of `obj` that `to` speaks of, so that what the server added does not differ.

    Lists are cut by position of matching keys; elements that `to` does not name are left out.
    """
    if isinstance(obj, Mapping) and isinstance(to, Mapping):
        return {key: restricted(obj[key], below) for key, below in to.items() if key in obj}
    if isinstance(obj, list) and isinstance(to, list):
        names = _known_keys(obj, to)
        if names is None:
            return obj
        have = {_identity(item, names): item for item in obj}
        return [
            restricted(have[key], item) for item in to if (key := _identity(item, names)) in have
        ]
    return obj


def _compare(path: tuple[Step, ...], old: Any, new: Any, fields: Fields) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            below = fields.get(f"f:{key}") or {}
            yield from _compare((*path, key), old.get(key, ABSENT), new.get(key, ABSENT), below)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(path, old, new, fields)
    elif type(old) is not type(new) or old != new:  # 1 and true are equal to Python
        yield Change(path, old, new)


def _compare_lists(
    path: tuple[Step, ...], old: list[Any], new: list[Any], fields: Fields
) -> Iterator[Change]:
    names = _keys(fields, old, new)
    if names is not None:
        yield from _compare_keyed(path, old, new, names, fields)
    elif any(key.startswith("v:") for key in fields):
        yield from (Change((*path, Element(value=i)), i, ABSENT) for i in old if i not in new)
        yield from (Change((*path, Element(value=i)), ABSENT, i) for i in new if i not in old)
    elif len(old) == len(new) and all(isinstance(i, Mapping) for i in [*old, *new]):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _compare((*path, index), one, other, fields.get(f"i:{index}") or {})
    elif canonical(old) != canonical(new):
        yield Change(path, old, new)


def _compare_keyed(
    path: tuple[Step, ...],
    old: list[Any],
    new: list[Any],
    names: tuple[str, ...],
    fields: Fields,
) -> Iterator[Change]:
    before = {_identity(item, names): item for item in old}
    after = {_identity(item, names): item for item in new}
    below = {
        tuple(dict(element_keys(key)).get(name) for name in names): tree
        for key, tree in fields.items()
        if key.startswith("k:")
    }
    found = False
    for identity in [*before, *(key for key in after if key not in before)]:
        pairs = zip(names, identity, strict=True)
        step = Element(tuple((name, value) for name, value in pairs if value is not None))
        for change in _compare(
            (*path, step),
            before.get(identity, ABSENT),
            after.get(identity, ABSENT),
            below.get(identity) or {},
        ):
            found = True
            yield change
    if not found and list(before) != list(after):
        yield Change(path, old, new)  # only their order differs


def _keys(fields: Fields, old: list[Any], new: list[Any]) -> tuple[str, ...] | None:
    """Names of the members that tell elements apart; None for a list without such."""
    for key in fields:
        if key.startswith("k:"):
            names = tuple(name for name, _ in element_keys(key))
            return names if _tell_apart(names, old) and _tell_apart(names, new) else None
    return _known_keys(old, new)


def _known_keys(old: list[Any], new: list[Any]) -> tuple[str, ...] | None:
    for names in _MERGE_KEYS:
        if any(isinstance(item, Mapping) and names[0] in item for item in [*old, *new]) and all(
            _tell_apart(names, items) for items in (old, new)
        ):
            return names
    return None


def _tell_apart(names: tuple[str, ...], items: list[Any]) -> bool:
    """True when each element has a first key of its own kind, and no two are the same."""
    if not all(isinstance(item, Mapping) and names[0] in item for item in items):
        return False
    keys = [_identity(item, names) for item in items]
    return all(not isinstance(k, Mapping | list) for key in keys for k in key) and len(
        set(keys)
    ) == len(keys)


def _identity(item: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in names) if isinstance(item, Mapping) else (item,)

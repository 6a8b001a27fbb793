"""ConfigMaps merged three ways: what a release had, what users made of it, what the next has. Pure.

By key; inside a key whose three values are JSON objects or YAML mappings, by field. What only one
side has changed is theirs; where both have, that is a conflict, and somebody has to decide it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from installer.plan.yaml_text import mapping_in, text_of

OURS, THEIRS = "ours", "theirs"
Resolutions = Mapping[str, Any]
"""By `CONFIGMAP/KEY` or `CONFIGMAP/KEY/FIELD…`: `ours` (what users made of it), `theirs` (the next
release's), or a value. One of a path holds for everything beneath it."""


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()
"""The value of what is not there."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """path: as of `Resolutions`; before: in the release before, here: as users made it, after: in
    the next release."""

    path: str
    before: Any
    here: Any
    after: Any


@dataclass(slots=True)
class Merged:
    """value: what a key is to be (ABSENT: not there). conflicts: what nobody has decided; there
    the value is the users'. unknown: paths of what users have changed, that the release before had
    and the next has not; it stays. used: paths of the resolutions that decided something."""

    value: Any
    conflicts: list[Conflict] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


def merge(path: str, before: Any, here: Any, after: Any, resolutions: Resolutions) -> Merged:
    """Merge the texts of one key. path: `CONFIGMAP/KEY`."""
    merged = Merged(ABSENT)
    parsed = [_parsed(text) for text in (before, here, after)]
    # a value for the whole key is meant as it is written
    if path in resolutions or not all(isinstance(value, dict) for value in parsed):
        merged.value = _decided(path, before, here, after, resolutions, merged)
        return merged
    value = _fields(path, parsed[0], parsed[1], parsed[2], resolutions, merged)
    # the text of the side that it equals keeps that side's form
    texts = {1: here, 2: after}
    same = next((texts[i] for i in (2, 1) if parsed[i] == value), None)
    merged.value = _text(value, like=after) if same is None else same
    return merged


def _fields(
    path: str,
    before: Mapping[str, Any],
    here: Mapping[str, Any],
    after: Mapping[str, Any],
    resolutions: Resolutions,
    told: Merged,
) -> dict[str, Any]:
    merged = {}
    for name in dict.fromkeys([*after, *here]):
        three = [side.get(name, ABSENT) for side in (before, here, after)]
        inner = f"{path}/{name}"
        if all(isinstance(value, dict) for value in three) and inner not in resolutions:
            found: Any = _fields(inner, three[0], three[1], three[2], resolutions, told)
        else:
            found = _decided(inner, three[0], three[1], three[2], resolutions, told)
        if found is not ABSENT:
            merged[name] = found
    return merged


def _decided(
    path: str,
    before: Any,
    here: Any,
    after: Any,
    resolutions: Resolutions,
    told: Merged,
) -> Any:
    if here == before and path not in resolutions:
        return after
    if path in resolutions:
        told.used.add(path)
        found = resolutions[path]
        return {OURS: here, THEIRS: after}.get(found, found) if _is_word(found) else found
    if after is ABSENT and ABSENT not in (before, here):
        told.unknown.append(path)  # it stays as users have made it
    if after is ABSENT or after in (before, here):
        return here
    above = next((p for p in _parents(path) if p in resolutions), "")
    word = resolutions.get(above)
    if word in (OURS, THEIRS):
        told.used.add(above)
        return here if word == OURS else after
    told.conflicts.append(Conflict(path, before, here, after))
    return here


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    if not _is_json(text):
        return mapping_in(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(value: dict[str, Any], like: str) -> str:
    return json.dumps(value, indent=4) if _is_json(like) else text_of(value)


def _is_json(text: str) -> bool:
    """Whether it means to be: whoever reads JSON would not take YAML's other forms."""
    return text.lstrip().startswith("{")

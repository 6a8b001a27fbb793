"""Manifest text to Kubernetes objects, with the scalar rules kubectl uses.

kubectl reads YAML through sigs.k8s.io/yaml, which is go-yaml v2: booleans of YAML 1.1 (`yes`,
`on`, `y`, …), no base-60 numbers, timestamps stay text, `1e3` is a number, keys become strings.
PyYAML's loaders differ in each of these, so only its C parser is used here and scalars are
resolved by the same rules as go-yaml's resolve.go. Building from parser events also takes a third
of the time and memory of PyYAML's node graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from installer.core.errors import InvalidInput, Problem
from installer.core.objects import Object

FORMAT = "1"
"""Changes when the same bytes would give other objects; part of the name of cached results."""

_MAX_DEPTH = 200
_MAX_ALIASED = 1_000_000
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_START = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAG = "tag:yaml.org,2002:"
_MERGE = object()


class _Unusable(Exception):
    """A YAML document that JSON (and so the Kubernetes API) cannot hold."""

    def __init__(self, line: int, found: str, expected: str):
        super().__init__(found)
        self.line = line
        self.found = found
        self.expected = expected


def parse(data: bytes, name: str) -> list[Object]:
    """The objects of a manifest in file order; empty documents are skipped, Lists expanded.

    name: how the file is called in problems. Raises InvalidInput with every document that is not
    a Kubernetes object; a YAML syntax error ends the reading, so it is the last problem.
    """
    objects: list[Object] = []
    problems: list[Problem] = []
    for where, document in _documents(data, name, problems):
        if document is None:
            continue
        for path, item in _expanded(where, document):
            problem = _problem(name, path, item)
            if problem:
                problems.append(problem)
            else:
                objects.append(item)
    if problems:
        raise InvalidInput(f"the manifest {name}", problems)
    return objects


def value_of(text: str) -> Any:
    """What a text with one YAML document is; None where it is none, or cannot be read."""
    problems: list[Problem] = []
    found = [value for _, value in _documents(text.encode(), "", problems)]
    return found[0] if len(found) == 1 and not problems else None


def _problem(name: str, path: str, item: Any) -> Problem | None:
    if not isinstance(item, dict):
        return Problem(name, path, f"a {_json_type(item)}", "a Kubernetes object (a mapping)")
    for key in ("apiVersion", "kind"):
        if not isinstance(item.get(key), str) or not item[key]:
            return Problem(name, path, f"an object without {key}", f"{key}, a text")
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        return Problem(name, path, f"{item['kind']} without metadata", "metadata, a mapping")
    chosen = metadata.get("name") or metadata.get("generateName")
    if not isinstance(chosen, str):
        return Problem(name, path, f"{item['kind']} without a name", "metadata.name, a text")
    return None


def _expanded(where: str, document: Any) -> Iterator[tuple[str, Any]]:
    """A document, or the items of a List (`v1 List` and typed ones such as `ConfigMapList`)."""
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or not kind.endswith("List"):
        yield where, document
        return
    items = document.get("items")
    if kind != "List" and not isinstance(items, list):
        yield where, document
        return
    for index, item in enumerate(items if isinstance(items, list) else []):
        if kind != "List" and isinstance(item, dict):
            # Items of a typed list may leave out what the list says already.
            item = {"apiVersion": document.get("apiVersion"), "kind": kind[:-4], **item}
        yield from _expanded(f"{where}, items[{index}]", item)


def _documents(data: bytes, name: str, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    """(place, value) of each document; what cannot be read is added to problems."""
    import yaml

    number = 0
    # Without libyaml: the same events, ten times slower.
    reader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        parser = reader(data)
        while True:
            event = parser.get_event()
            kind = type(event)
            if kind is yaml.StreamEndEvent:
                return
            if kind is not yaml.DocumentStartEvent:
                continue
            number += 1
            line = event.start_mark.line + 1
            yield f"document {number} (line {line})", _Builder(parser).document()
    except _Unusable as error:
        place = f"document {number}, line {error.line}"
        problems.append(Problem(name, place, error.found, error.expected))
    except yaml.YAMLError as error:
        problems.append(Problem(name, *_syntax(error, number)))


def _syntax(error: Exception, number: int) -> tuple[str, str, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f", line {mark.line + 1}" if mark else ""
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return f"document {max(number, 1)}{line}", f"not YAML: {said}", "YAML"


class _Builder:
    """Builds one document from parser events with an explicit stack."""

    def __init__(self, parser: Any):
        import yaml

        self._next = parser.get_event
        self._yaml = yaml
        self._anchors: dict[str, Any] = {}
        self._aliased = 0

    def document(self) -> Any:
        """The value of the document whose start event was just read."""
        yaml = self._yaml
        scalar, mapping, sequence = (
            yaml.ScalarEvent,
            yaml.MappingStartEvent,
            yaml.SequenceStartEvent,
        )
        # One frame per open collection: (container, key or _MERGE, anchor, is mapping).
        stack: list[_Frame] = []
        while True:
            event = self._next()
            kind = type(event)
            if kind is scalar:
                value: Any = event.value
                if event.tag is not None or event.implicit[0]:
                    value = _scalar(event)
                if event.anchor is not None:
                    self._anchors[event.anchor] = value
            elif kind is mapping or kind is sequence:
                stack.append(_Frame(event, kind is mapping))
                if len(stack) > _MAX_DEPTH:
                    raise _Unusable(_line(event), f"nesting of {len(stack)} levels", "fewer levels")
                continue
            elif kind is yaml.AliasEvent:
                value = self._alias(event)
            elif kind is yaml.DocumentEndEvent:
                return None
            else:
                value = self._close(stack.pop())
            if not stack:
                self._next()
                return value
            stack[-1].add(value, event)

    def _close(self, frame: _Frame) -> Any:
        value = frame.finish()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = value
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise _Unusable(_line(event), f"*{event.anchor} before its anchor", "a known anchor")
        value = self._copy(self._anchors[event.anchor])
        if self._aliased > _MAX_ALIASED:
            raise _Unusable(_line(event), "aliases that multiply without bound", "fewer aliases")
        return value

    def _copy(self, value: Any) -> Any:
        """An own copy, so that changing one place does not change the other."""
        self._aliased += 1
        if self._aliased > _MAX_ALIASED:
            return None
        if isinstance(value, dict):
            return {key: self._copy(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item) for item in value]
        return value


_NO_KEY = object()


class _Frame:
    """One open mapping or sequence."""

    __slots__ = ("add", "anchor", "key", "merged", "values")

    def __init__(self, event: Any, mapping: bool):
        self.anchor = event.anchor
        self.values: Any = {} if mapping else []
        self.key: Any = _NO_KEY
        self.merged: list[Any] = []
        self.add = self._add_pair if mapping else self._add_item
        if event.tag is not None and event.tag not in (_TAG + "map", _TAG + "seq"):
            raise _Unusable(_line(event), f"the tag {event.tag}", "no tag")

    def _add_item(self, value: Any, _event: Any) -> None:
        if value is _MERGE:
            value = "<<"
        self.values.append(value)

    def _add_pair(self, value: Any, event: Any) -> None:
        if self.key is _NO_KEY:
            self.key = value if type(value) is str or value is _MERGE else _key(value, event)
            return
        if self.key is _MERGE:
            sources = value if isinstance(value, list) else [value]
            if not all(isinstance(source, Mapping) for source in sources):
                raise _Unusable(_line(event), "a merge (<<) of something else", "a mapping")
            self.merged.extend(sources)
        else:
            self.values[self.key] = "<<" if value is _MERGE else value
        self.key = _NO_KEY

    def finish(self) -> Any:
        """The value; merged mappings give only the keys that are not there."""
        for source in self.merged:
            for key, value in source.items():
                self.values.setdefault(key, value)
        return self.values


def _scalar(event: Any) -> Any:
    """The value of a plain or tagged scalar."""
    text: str = event.value
    tag = event.tag
    if tag is None:
        if text in _WORDS:
            return _WORDS[text]
        if text[0] in _NUMBER_START:
            return _number(text, event)
        return _MERGE if text == "<<" else text
    if tag in ("!", _TAG + "str", _TAG + "timestamp"):
        return text
    if tag == _TAG + "merge" and text == "<<":
        return _MERGE
    if tag == _TAG + "null" and text in _WORDS and _WORDS[text] is None:
        return None
    if tag == _TAG + "bool" and isinstance(_WORDS.get(text), bool):
        return _WORDS[text]
    if tag in (_TAG + "int", _TAG + "float") and text and text[0] in _NUMBER_START:
        value = _number(text, event)
        if not isinstance(value, str):
            return value
    raise _Unusable(_line(event), f"{text[:40]!r} with the tag {tag}", "a value without a tag")


def _number(text: str, event: Any) -> Any:
    """An integer or a float, or the text itself when it is neither (`1.2.3`, `10:30`, a date)."""
    plain = text.replace("_", "") if "_" in text else text
    if _INTEGER.fullmatch(plain):
        return _integer(plain)
    if _FLOAT.fullmatch(plain):
        value = float(plain)
        if value in (float("inf"), float("-inf")):
            return text
        # JSON made by Go writes 1.0 as 1, and the API wants integers written so.
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if _NOT_FINITE.fullmatch(text):
        raise _Unusable(_line(event), text, "a finite number (JSON has no other)")
    return text


def _integer(plain: str) -> int:
    digits = plain.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        value = int(digits, 8)
    else:
        value = int(digits, 0)
    return -value if plain[0] == "-" else value


def _key(value: Any, event: Any) -> str:
    """The JSON key for a YAML key that is not a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise _Unusable(_line(event), f"a {_json_type(value)} as a key", "a text as a key")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _json_type(value: Any) -> str:
    names = {dict: "mapping", list: "list", str: "text", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")

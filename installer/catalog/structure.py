"""YAML into frozen dataclasses, with every problem found and where it is.

cattrs does the work; this module makes it strict (no text out of numbers, no list out of a
string) and turns what it raises into `Problem`s with plain sentences.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from installer.core.errors import Problem

T = TypeVar("T")

_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    NoneType: "nothing",
}


class _Wrong(ValueError):
    """A value of the wrong form: what was found, what was expected."""

    def __init__(self, found: str, expected: str):
        super().__init__(found)
        self.found = found
        self.expected = expected


def read_yaml(path: Path, file: str, problems: list[Problem]) -> Any:
    """The one document of a YAML file; None, with a problem added, when it cannot be read."""
    try:
        return yaml.load(path.read_bytes(), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problems.append(Problem(file, where, error.problem or "not YAML", "one YAML document"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(Problem(file, "", " ".join(str(error).split()), "UTF-8 YAML"))
    except OSError as error:
        problems.append(Problem(file, "", error.strerror or str(error), "a readable file"))
    return None


def structure(cls: type[T], data: Any, file: str, problems: list[Problem]) -> T | None:
    """`data` as a `cls`; None, with every problem added, when it is not one."""
    try:
        return _CONVERTER.structure(data, cls)
    except (BaseValidationError, _Wrong) as error:
        problems.extend(_problems(error, cls, file, ""))
        return None


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word closest to `word`, said to be so; all known words where none is close."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"{close[0]} (the nearest known)" if close else f"one of {', '.join(known)}"


def found(value: Any) -> str:
    """A value as a sentence names it: its form and, where short, itself."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    form = {bool: "the truth value", int: "the number", float: "the number", str: "the text"}
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"{form.get(type(value), type(value).__name__)} {text[:60]}"


def _problems(error: BaseException, cls: Any, file: str, path: str) -> list[Problem]:
    if isinstance(error, BaseValidationError):
        problems = []
        for inner in error.exceptions:
            problems.extend(_problems(inner, error.cl, file, path + _step(inner)))
        return problems
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in dataclasses.fields(error.cl)]
        return [
            Problem(file, _join(path, key), "unknown key", nearest(key, known))
            for key in sorted(map(str, error.extra_fields))
        ]
    if isinstance(error, KeyError):
        name = str(error.args[0])
        return [Problem(file, path.lstrip("."), "missing", describe(_hint(cls, name)))]
    if isinstance(error, _Wrong):
        return [Problem(file, path.lstrip("."), error.found, error.expected)]
    return [Problem(file, path.lstrip("."), str(error), describe(cls))]


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""


def _join(path: str, key: str) -> str:
    return f"{path}.{key}".lstrip(".")


def _hint(cls: Any, name: str) -> Any:
    try:
        return get_type_hints(cls)[name]
    except (TypeError, KeyError, NameError):
        return Any


def describe(hint: Any) -> str:
    """A type as people say it: `text`, `a list of text`, `one of a, b`."""
    origin = _origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(describe(arg) for arg in get_args(hint))
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if origin is tuple:
        return f"a list of {describe(get_args(hint)[0])}"
    if dataclasses.is_dataclass(hint):
        names = [field.name for field in dataclasses.fields(hint) if _required(field)]
        return f"a mapping with {', '.join(names)}" if names else "a mapping"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    return _WORDS.get(hint, "a value")


def _origin(hint: Any) -> Any:
    return get_origin(hint)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _exact(kind: type) -> Callable[[Any, Any], Any]:
    expected = "text in quotes" if kind is str else _WORDS[kind]

    def hook(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise _Wrong(found(value), expected)
        return value

    return hook


def _literal(hint: Any, _: Any = None) -> Callable[[Any, Any], Any]:
    allowed = get_args(hint)

    def hook(value: Any, _: Any) -> Any:
        if value not in allowed:
            raise _Wrong(found(value), nearest(str(value), allowed))
        return value

    return hook


def _guarded(kind: type, expected: str, hook: Callable[[Any, Any], Any]) -> Any:
    """`hook`, but only for values of `kind`."""

    def guarded(value: Any, hint: Any) -> Any:
        if not isinstance(value, kind):
            raise _Wrong(found(value), expected)
        return hook(value, hint)

    return guarded


def _converter() -> Converter:
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exact(kind))
    converter.register_structure_hook_factory(lambda t: _origin(t) is Literal, _literal)

    def sequence(hint: Any) -> Any:
        return _guarded(list, describe(hint), converter._structure_tuple)

    def mapping(hint: Any) -> Any:
        value = converter.get_structure_hook(get_args(hint)[1])

        def hook(data: Any, _: Any) -> Any:
            return {str(key): value(item, get_args(hint)[1]) for key, item in data.items()}

        return _guarded(dict, describe(hint), hook)

    def dataclass(hint: Any) -> Any:
        hook = make_dict_structure_fn(hint, converter)
        return _guarded(dict, describe(hint), hook)

    converter.register_structure_hook_factory(lambda t: _origin(t) is tuple, sequence)
    converter.register_structure_hook_factory(_is_mapping, mapping)
    converter.register_structure_hook_factory(dataclasses.is_dataclass, dataclass)
    return converter


def _is_mapping(hint: Any) -> bool:
    origin = _origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


class _Loader(yaml.CSafeLoader):
    """The C loader, which also refuses a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_CONVERTER = _converter()

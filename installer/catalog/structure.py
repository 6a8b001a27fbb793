"""YAML into frozen dataclasses, with every problem found and where it is.

cattrs does the work; this module makes it strict (no text out of numbers, no list out of a
string) and turns what it raises into plain sentences. Catalog and settings are read by it.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from cattrs import Converter
from cattrs.cols import is_mapping, mapping_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from installer.catalog.yaml_loader import LOADER
from installer.core.errors import Problem

T = TypeVar("T")

Found = tuple[str, str, str]
"""A problem inside a document: path, what was found, what was expected."""

_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    NoneType: "nothing",
}


class Wrong(ValueError):
    """A value of the wrong form; for hooks of `Form`."""

    def __init__(self, value: Any, expected: str):
        super().__init__(expected)
        self.found = found(value)
        self.expected = expected


class Form:
    """How documents become dataclasses.

    key: how a field is called in a document. hidden: fields that no document has. hooks: for
    types that need more than their own form: a check that returns the value or raises `Wrong`.
    """

    def __init__(
        self,
        key: Callable[[str], str] = str,
        hidden: frozenset[str] = frozenset(),
        hooks: Mapping[Any, Callable[[Any], Any]] | None = None,
    ):
        self.key = key
        self.hidden = hidden
        self._converter = _converter(self)
        for kind, check in (hooks or {}).items():
            self._converter.register_structure_hook_func(_is(kind), _hook(check))

    def structure(self, cls: type[T], data: Any) -> tuple[T | None, list[Found]]:
        """`data` as a `cls`, or None and every problem."""
        try:
            return self._converter.structure(data, cls), []
        except (BaseValidationError, Wrong) as error:
            return None, [
                (path.lstrip("."), what, want) for path, what, want in self._explain(error, "")
            ]

    def keys(self, cls: Any) -> list[str]:
        """What the fields of a dataclass are called in a document."""
        return [self.key(f.name) for f in dataclasses.fields(cls) if f.name not in self.hidden]

    def _explain(self, error: BaseException, path: str) -> Iterator[Found]:
        if isinstance(error, BaseValidationError):
            for inner in error.exceptions:
                yield from self._explain(inner, path + self._step(inner))
        elif isinstance(error, ForbiddenExtraKeysError):
            for key in sorted(map(str, error.extra_fields)):
                yield f"{path}.{key}", "unknown key", nearest(key, self.keys(error.cl))
        elif isinstance(error, KeyError):
            yield path, "missing", describe(_type_of(error))
        elif isinstance(error, Wrong):
            yield path, error.found, error.expected
        else:
            yield path, str(error), describe(_type_of(error))

    def _step(self, error: BaseException) -> str:
        """`.key` or `[index]` from the outer to this inner value, as cattrs noted it."""
        for note in getattr(error, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                return f".{self.key(note.name)}"
            if isinstance(note, IterableValidationNote):
                in_list = isinstance(note.index, int) and "@ index" in note
                return f"[{note.index}]" if in_list else f".{note.index}"
        return ""


def parse_yaml(text: str | bytes, deepest: int | None = None) -> tuple[Any, list[Found]]:
    """The one document of a YAML text, and what is wrong with it.

    A key that is there twice is told, and the last one counts; with any other problem the
    document is None. deepest: how far values may be nested in a text of strangers; far deeper
    ones end the process, inside the C library.
    """
    loader = _Loader(text)
    try:
        if deepest is not None and (mark := _beyond(text, deepest)):
            return None, [(_where(mark), "nested too deeply", f"at most {deepest} levels")]
        return loader.get_single_data(), loader.twice
    except yaml.MarkedYAMLError as error:
        said = error.problem or "not YAML"
        return None, [(_where(error.problem_mark), said, "one YAML document")]
    finally:
        loader.dispose()


def read_yaml(path: Path, file: str, problems: list[Problem]) -> Any:
    """The one document of a YAML file; problems are added, and it is None for most."""
    try:
        data, wrong = parse_yaml(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        data, wrong = None, [("", " ".join(str(error).split()), "UTF-8 YAML")]
    except OSError as error:
        data, wrong = None, [("", error.strerror or str(error), "a readable file")]
    problems.extend(Problem(file, *item) for item in wrong)
    return data


def structure(cls: type[T], data: Any, file: str, problems: list[Problem]) -> T | None:
    """`data` as a `cls`; None, with every problem added, when it is not one."""
    value, wrong = _FORM.structure(cls, data)
    problems.extend(Problem(file, *item) for item in wrong)
    return value


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


def describe(hint: Any) -> str:
    """A type as people say it: `text`, `a list of text`, `one of a, b`."""
    origin = _origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(describe(arg) for arg in get_args(hint))
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if origin is tuple:
        return f"a list of {describe(get_args(hint)[0])}".replace("of a mapping", "of mappings")
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


def _type_of(error: BaseException) -> Any:
    """The type that the value at fault should have had, as cattrs noted it."""
    notes = getattr(error, "__notes__", ())
    wanted = (AttributeValidationNote, IterableValidationNote)
    return next((note.type for note in notes if isinstance(note, wanted)), Any)


def _converter(form: Form) -> Converter:
    converter = Converter(detailed_validation=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exact(kind))
    converter.register_structure_hook_factory(lambda hint: _origin(hint) is Literal, _literal)

    def sequence(hint: Any) -> Any:
        inner: Any = GenericAlias(list, get_args(hint)[:1])
        return _guarded(list, hint, lambda value, _: tuple(converter.structure(value, inner)))

    def mapping(hint: Any) -> Any:
        return _guarded(dict, hint, mapping_structure_factory(hint, converter))

    def dataclass(hint: Any) -> Any:
        names: Any = {
            f.name: override(omit=True if f.name in form.hidden else None, rename=form.key(f.name))
            for f in dataclasses.fields(hint)
        }
        hook = make_dict_structure_fn(hint, converter, _cattrs_forbid_extra_keys=True, **names)
        return _guarded(dict, hint, hook)

    converter.register_structure_hook_factory(lambda hint: _origin(hint) is tuple, sequence)
    converter.register_structure_hook_factory(is_mapping, mapping)
    converter.register_structure_hook_factory(dataclasses.is_dataclass, dataclass)
    return converter


def _is(wanted: Any) -> Callable[[Any], bool]:
    return lambda hint: bool(hint == wanted)


def _hook(check: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, _: check(value)


def _exact(kind: type) -> Callable[[Any, Any], Any]:
    """A hook without conversions: YAML's `yes` or `1` in place of a text is a mistake to show."""
    expected = "text in quotes" if kind is str else _WORDS[kind]

    def hook(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise Wrong(value, expected)
        return value

    return hook


def _literal(hint: Any, _: Any = None) -> Callable[[Any, Any], Any]:
    allowed = get_args(hint)

    def hook(value: Any, _: Any) -> Any:
        if value not in allowed:
            raise Wrong(value, nearest(str(value), allowed))
        return value

    return hook


def _guarded(kind: type, hint: Any, hook: Callable[[Any, Any], Any]) -> Any:
    """`hook`, but only for values of `kind`."""

    def guarded(value: Any, _: Any) -> Any:
        if not isinstance(value, kind):
            raise Wrong(value, describe(hint))
        return hook(value, hint)

    return guarded


def _beyond(text: str | bytes, deepest: int) -> Any:
    """Where the text first has more levels than that; None when it never has."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > deepest:
            return event.start_mark
    return None


def _where(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


class _Loader(LOADER):  # type: ignore[misc]
    """Also notes a key that is there twice; YAML lets the last one win."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.twice: list[Found] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                said = f"the key {key.value} is there twice"
                self.twice.append((_where(key.start_mark), said, "each key once"))
            seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


_FORM = Form()

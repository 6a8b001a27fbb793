"""The form of a settings document: plain mappings into values, and why they do not fit.

cattrs finds all problems at once and notes where; this module says them in the user's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin

from cattrs import Converter
from cattrs.cols import is_mapping, mapping_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from installer.plan.settings import Quantity, Settings, offer

Found = tuple[str, str, str]
"""A problem inside a document: path, what was found, what was expected."""

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_TYPES = {bool: "true or false", int: "a number", float: "a number"}
_INTERNAL = "origins"


def structure(data: Mapping[str, Any]) -> tuple[Settings | None, list[Found]]:
    """The settings in a document without its head, or every problem with its form."""
    try:
        return _CONVERTER.structure(data, Settings), []
    except BaseValidationError as error:
        return None, list(_explain(error, ""))


def shown(value: Any) -> str:
    """A value in a message: short, with its type where that may surprise."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value).lower()
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return text if isinstance(value, str) else f"{text} ({_TYPES.get(type(value), 'a date')})"


class _Wrong(Exception):
    """A value of another form than expected."""

    def __init__(self, value: Any, expected: str):
        super().__init__(expected)
        self.found = f"found {shown(value)}"
        self.expected = expected


def _explain(error: BaseException, path: str) -> Iterator[Found]:
    """The problems inside a structuring error, each at its path."""
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _explain(inner, f"{path}{_step(inner)}".lstrip("."))
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [_camel(f.name) for f in fields(error.cl) if f.name != _INTERNAL]
        for key in sorted(map(str, error.extra_fields)):
            yield f"{path}.{key}".lstrip("."), "unknown key", offer(key, known)
    elif isinstance(error, _Wrong):
        yield path, error.found, error.expected
    elif isinstance(error, KeyError):
        yield path, "it is missing", "a value"
    else:
        yield path, str(error), "another value"


def _step(error: BaseException) -> str:
    """`.key` or `[index]` from the outer to this inner value, as cattrs noted it."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f".{_camel(note.name)}"
        if isinstance(note, IterableValidationNote):
            in_list = isinstance(note.index, int) and "@ index" in note
            return f"[{note.index}]" if in_list else f".{note.index}"
    return ""


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


Hook = Callable[[Any, Any], Any]


def _converter() -> Converter:
    converter = Converter(detailed_validation=True)
    converter.register_structure_hook(int, _exactly(int, "a whole number"))
    converter.register_structure_hook(str, _exactly(str, "text (in quotes)"))
    converter.register_structure_hook_func(_is(Quantity), _quantity)
    converter.register_structure_hook_func(_made_of(Literal), _literal)
    converter.register_structure_hook_func(_is(_TEXT_OR_MAPPING), _text_or_mapping)
    converter.register_structure_hook_factory(is_mapping, _mapping)
    converter.register_structure_hook_func(
        _made_of(tuple), lambda value, kind: _tuple(value, get_args(kind)[0], converter)
    )
    converter.register_structure_hook_factory(is_dataclass, _dataclass)
    return converter


_TEXT_OR_MAPPING = str | Mapping[str, Any]


def _is(wanted: Any) -> Callable[[Any], bool]:
    return lambda kind: bool(kind == wanted)


def _made_of(wanted: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is wanted


def _exactly(kind: type, expected: str) -> Hook:
    """A hook without conversions: YAML's `yes` or `1` in place of a text is a mistake to show."""

    def check(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise _Wrong(value, expected)
        return value

    return check


def _quantity(value: Any, _: Any) -> Quantity:
    text = str(value) if type(value) in (int, float, str) else ""
    if not _QUANTITY.fullmatch(text):
        raise _Wrong(value, "a quantity such as 500m or 1Gi")
    return Quantity(text)


def _literal(value: Any, kind: Any) -> Any:
    offered = get_args(kind)
    if value not in offered:
        raise _Wrong(value, f"one of {', '.join(offered)}")
    return value


def _text_or_mapping(value: Any, _: Any) -> Any:
    if not isinstance(value, (str, dict)):
        raise _Wrong(value, "a mapping to merge, or JSON as text")
    return value


def _mapping(kind: Any, converter: Converter) -> Hook:
    inner = mapping_structure_factory(kind, converter)

    def check(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _Wrong(value, "a mapping")
        return inner(value, kind)

    return check


def _tuple(value: Any, item: Any, converter: Converter) -> Any:
    if not isinstance(value, list):
        raise _Wrong(value, "a list")
    return tuple(converter.structure(value, list[item]))


def _dataclass(cls: Any, converter: Converter) -> Hook:
    names: Any = {
        f.name: override(omit=True) if f.name == _INTERNAL else override(rename=_camel(f.name))
        for f in fields(cls)
    }
    inner = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **names)

    def check(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _Wrong(value, "a mapping")
        return inner(value, cls)

    return check


_CONVERTER = _converter()

"""The form of a settings document: plain mappings into values, and why they do not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from installer.catalog.structure import Form, Found, Wrong
from installer.plan.settings import Quantity, Settings

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_LISTED = ("patches", "external")
_BY_NAME = ("gateway", "deployments", "inferenceservice", "labels")


Part = Mapping[str, Any]
"""A piece of a document, in the form of a document."""


def whole(data: Mapping[str, Any]) -> Settings:
    """The settings in a document whose every part fits."""
    settings, _ = _FORM.structure(Settings, data)
    return settings or Settings()


Judge = Callable[[Settings], Iterable[Found]]
"""Says what is wrong with settings whose form is right."""


def problems_of(data: Mapping[str, Any], judge: Judge) -> Iterator[tuple[Part, list[Found]]]:
    """A document without its head, part by part, each with its problems.

    A part is an entry of a mapping or of a list, or a whole value: as small as can be judged by
    itself, so that a mistake in one hides none in another.
    """
    part: Part
    for key, value in data.items():
        if key in _BY_NAME and isinstance(value, Mapping) and value:
            for name, entry in value.items():
                part = {key: {name: entry}}
                yield part, _wrong(part, judge)
        elif key in _LISTED and isinstance(value, list):
            for index, entry in enumerate(value):
                part = {key: [entry]}
                yield (
                    part,
                    [
                        (path.replace(f"{key}[0]", f"{key}[{index}]", 1), what, expected)
                        for path, what, expected in _wrong(part, judge)
                    ],
                )
        else:
            part = {key: value}
            yield part, _wrong(part, judge)


def _wrong(part: Part, judge: Judge) -> list[Found]:
    settings, problems = _FORM.structure(Settings, part)
    return problems if settings is None else list(judge(settings))


def _quantity(value: Any) -> Quantity:
    text = str(value) if type(value) in (int, float, str) else ""
    if not _QUANTITY.fullmatch(text):
        raise Wrong(value, "a quantity such as 500m or 1Gi")
    return Quantity(text)


def _text_or_mapping(value: Any) -> Any:
    if not isinstance(value, (str, dict)):
        raise Wrong(value, "a mapping to merge, or JSON as text")
    return value


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


_FORM = Form(
    _camel,
    frozenset({"origins"}),
    {Quantity: _quantity, str | Mapping[str, Any]: _text_or_mapping},
)

"""Fields that running controllers write are taken out of what we send. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from installer.catalog.model import OwnedField
from installer.core.objects import Object


def without_controller_fields(body: Object, rules: Iterable[OwnedField]) -> Object:
    """`body` without the fields that the catalog says a controller owns.

    Returns the same mapping when no rule matches it.
    """
    paths = [rule.steps for rule in rules if rule.matches(body)]
    if not paths:
        return body
    cut = copy.deepcopy(body)
    for steps in paths:
        _remove(cut, steps)
    return cut


def _remove(node: Any, steps: tuple[str, ...]) -> None:
    """Remove the field at a path; nothing happens where the path leads nowhere."""
    step, rest = steps[0], steps[1:]
    if step.startswith("["):
        for item in _items(node, step[1:-1]):
            _remove(item, rest)
    elif isinstance(node, dict) and step in node:
        if rest:
            _remove(node[step], rest)
        else:
            del node[step]


def _items(node: Any, name: str) -> list[Any]:
    if not isinstance(node, list):
        return []
    return [
        item
        for item in node
        if name == "*" or (isinstance(item, dict) and item.get("name") == name)
    ]

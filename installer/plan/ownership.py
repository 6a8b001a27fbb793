"""Fields that running controllers write are taken out of what we send. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from installer.catalog.model import OwnedField
from installer.core.objects import Object


def without_controller_fields(body: Object, rules: Iterable[OwnedField]) -> Object:
    """`body` without the fields that the catalog says a controller owns.

    What is untouched is shared with `body`, not copied: a CRD may have half a megabyte.
    """
    for rule in rules:
        if rule.matches(body):
            body = _without(body, rule.steps)
    return body


def _without(node: Any, steps: tuple[str, ...]) -> Any:
    """A copy of `node` without the field at a path; `node` itself where it leads nowhere."""
    step, rest = steps[0], steps[1:]
    if step.startswith("["):
        if not isinstance(node, list):
            return node
        return [_without(item, rest) if _is_meant(item, step[1:-1]) else item for item in node]
    if not isinstance(node, dict) or step not in node:
        return node
    if rest:
        return {**node, step: _without(node[step], rest)}
    return {key: value for key, value in node.items() if key != step}


def _is_meant(item: Any, name: str) -> bool:
    return name == "*" or (isinstance(item, dict) and item.get("name") == name)

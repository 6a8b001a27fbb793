"""What applying alone cannot do to an object on the way to another version. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.catalog.facts import fixed
from installer.catalog.model import Component
from installer.plan.drift import MANAGER
from installer.plan.fields import vanished
from installer.plan.wanted import Wanted


def must_be_recreated(item: Wanted, component: Component, live: Mapping[str, Any] | None) -> bool:
    """Whether the object differs in a field that nobody can change, and the catalog says that it
    may be deleted for that."""
    return (
        live is not None
        and any(match.matches(item.body) for c in component.changes for match in c.immutable)
        and fixed(live) != fixed(item.body)
    )


def cannot_be_asked(item: Wanted, live: Mapping[str, Any] | None) -> bool:
    """Whether a dry run would be refused that the apply itself gets round, by removing whole maps
    first; see `fields.vanished`."""
    return live is not None and bool(vanished(live, item.body, MANAGER))

"""One check: an id, what holds when it is well, and how to look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from installer.core.checks import Detail
from installer.preflight.world import World

CATEGORIES = (
    "kubernetes",
    "apis",
    "rights",
    "existing",
    "crds",
    "capacity",
    "network",
    "policy",
    "storage",
    "dns",
    "time",
)
"""In the order they are shown."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check. id: stable, kebab-case, a section of docs/checks.md.

    sentence: what holds when the check is well, without a full stop.
    look: yields details; nothing when all is well. It may raise ApiError: then the check says that
        it could not look, and why.
    objects: needs the objects of the release (so it is left out of the matrix of all releases).
    """

    id: str
    category: str
    sentence: str
    look: Callable[[World], Iterable[Detail]]
    objects: bool = True

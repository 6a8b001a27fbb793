"""The verdict on one object's readiness, as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from installer.core.objects import Object

State = Literal["ready", "progressing", "failed", "terminating", "absent", "unknown"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """The verdict on one object.

    reason: one CamelCase word, the server's where it has one; message: a sentence or empty.
    """

    state: State
    reason: str = ""
    message: str = ""

    @property
    def ready(self) -> bool:
        """True for the state `ready`."""
        return self.state == "ready"


Rule = Callable[[Object], Readiness]

READY = Readiness("ready")


def progressing(reason: str, message: str = "") -> Readiness:
    """Not there yet."""
    return Readiness("progressing", reason, message)


def failed(reason: str, message: str = "") -> Readiness:
    """Will not become ready unless something is changed."""
    return Readiness("failed", reason, message)


def said(condition: dict[str, Any] | None, fallback: str = "") -> tuple[str, str]:
    """(reason, message) of a condition."""
    condition = condition or {}
    return str(condition.get("reason") or fallback), str(condition.get("message") or "")

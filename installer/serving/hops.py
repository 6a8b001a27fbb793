"""The stations of a request on its way to the model, and the verdict on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from installer.core.objects import Ref

HopKind = Literal[
    "host",
    "entry",
    "gateway",
    "gateway-pods",
    "listener",
    "virtual-service",
    "ingress",
    "internal-name",
    "route",
    "revision",
    "deployment",
    "activator",
    "revision-service",
    "private-service",
    "pod",
    "model-download",
    "queue-proxy",
    "model",
    "request",
]
"""host: the InferenceService's address. entry: the way into the cluster. gateway: a gateway's
Service. listener: its Gateway. internal-name: the Service that pods call. route: Knative's Route.
request: a real request."""

Verdict = Literal["ok", "note", "warning", "unknown", "follows", "starting", "broken"]
"""note: works, and there is something to know. unknown: could not look. follows: not there because
an earlier step of its making has not been reached. starting: not there yet, and nothing failed."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One station. says: what was found, a clause. cause, remedy: where it is not well.

    reason: one CamelCase word, the cluster's own where it has one. kind: see `HopKind`.
    """

    kind: HopKind
    object: str
    verdict: Verdict
    says: str
    reason: str = ""
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The `-o json` form."""
        return {slot: getattr(self, slot) for slot in Hop.__slots__}


@dataclass(frozen=True, slots=True)
class Path:
    """A request's way. start: `outside` or `inside`."""

    start: str
    host: str
    hops: Sequence[Hop] = field(default_factory=tuple)

    @property
    def first_broken(self) -> Hop | None:
        """The hop that is to blame, None where none is broken."""
        return next((hop for hop in self.hops if hop.verdict == "broken"), None)

    @property
    def first_unwell(self) -> Hop | None:
        """The hop to blame: broken, else still starting, else what could not be seen."""
        for verdict in ("broken", "starting", "unknown"):
            for hop in self.hops:
                if hop.verdict == verdict:
                    return hop
        return None

    def to_dict(self) -> dict[str, Any]:
        """The `-o json` form."""
        broken = self.first_broken
        return {
            "from": self.start,
            "host": self.host,
            "hops": [hop.to_dict() for hop in self.hops],
            "first_broken": broken.to_dict() if broken else None,
        }

    def with_hops(self, *more: Hop) -> Path:
        """The same path with further hops at its end."""
        return replace(self, hops=(*self.hops, *more))


def hop(
    kind: HopKind,
    about: Ref | str,
    verdict: Verdict,
    says: str,
    *,
    reason: str = "",
    remedy: str = "",
) -> Hop:
    """A hop about an object."""
    return Hop(kind, str(about), verdict, says, reason, remedy)

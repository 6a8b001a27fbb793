"""What an upgrade means for each InferenceService while it runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from installer.plan.hop import Hop

KNATIVE, KSERVE, ISTIO = "knative-serving", "kserve", "istio"


@dataclass(frozen=True, slots=True)
class Expected:
    """How one InferenceService will fare. downtime: a clause. rollouts: how many times its pods are
    replaced by new ones, of which each is ready before an old one ends. why: clauses."""

    name: str
    ready: bool
    downtime: str
    rollouts: int
    why: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {slot: getattr(self, slot) for slot in self.__slots__} | {"why": list(self.why)}


@dataclass(frozen=True, slots=True)
class Rollouts:
    """How many times the pods of all InferenceServices are replaced on a way: for each version of
    Knative, and for each move to another API group. releases: of KServe that are gone to from an
    earlier one, each of which may replace them once more. gateway: its pods are replaced too.
    """

    knative: int
    moves: int
    releases: int = 0
    gateway: bool = False


def rollouts_of(hops: Sequence[Hop]) -> Rollouts:
    """Of every stop on the way."""
    knative = 0
    for hop in hops:
        if KNATIVE in hop.external:
            continue
        now = next((c.current for c in hop.changes if c.name == KNATIVE), "")
        for stop in hop.stops:
            then = stop.get(KNATIVE, "")
            knative += bool(now and then) and then != now
            now = then
    moves = sum(hop.moves for hop in hops)
    changes = [c for hop in hops for c in hop.ours if c.changes]
    releases = sum(bool(c.name == KSERVE and c.current and c.target) for c in changes)
    return Rollouts(knative, moves, releases, any(c.name == ISTIO for c in changes))


def expected(
    name: str, *, ready: bool, on_knative: bool, gateways: int, rollouts: Rollouts
) -> Expected:
    """gateways: replicas of the ingress gateway."""
    count = (rollouts.knative + rollouts.moves) if on_knative else 0
    why = [*(_reasons(rollouts) if on_knative else ()), *_of_releases(rollouts)]
    if not ready:
        return Expected(name, ready, "is not Ready now", count, ("it need not be afterwards", *why))
    if not rollouts.gateway:
        return Expected(name, ready, "none", count, tuple(why))
    if gateways > 1:
        first = f"{gateways} gateway pods are replaced one after another"
        return Expected(name, ready, "none", count, (first, *why))
    first = "a new gateway pod is ready before the old one ends; open connections to it end with it"
    return Expected(name, ready, "open connections only", count, (first, *why))


def _reasons(rollouts: Rollouts) -> list[str]:
    """Sources: knative/serving#11092 and #11140, since 0.23; for moves docs/upgrade.md."""
    said = []
    if rollouts.knative:
        said.append(
            "each version of Knative puts a queue-proxy of its own into every pod: there has to be "
            "room for one more pod of each, and up to Knative 0.22 a quarter of four or more pods "
            "may be missing meanwhile"
        )
    if rollouts.moves:
        said.append("KServe's controller writes the pods' template in its own form")
    return said


def _of_releases(rollouts: Rollouts) -> list[str]:
    """KServe's controller writes every template when it starts, and with the images of that release
    (opendatahub-io/kserve#40, for runtimes; kserve/kserve#5085, for the storage initializer).
    KFServing's did not: none was replaced from 0.5.1 to 0.6.1 (recorded)."""
    if not rollouts.releases:
        return []
    times = "once" if rollouts.releases == 1 else f"up to {rollouts.releases} times"
    return [
        f"{times} more where a release of KServe has another image for their runtime or another "
        "template"
    ]

"""Which pods of a release would find a node, by first-fit-decreasing packing. Pure.

The scheduler spreads where this packs, so what fits here is a way it can end, and what does not
fit here has nowhere to go unless a cleverer order finds a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from installer.plan import scheduling
from installer.plan.scheduling import Demand, Room

_SHARES = (Decimal("0.5"), Decimal("0.25"), Decimal("0.1"))
"""To what share of theirs requests are lowered, in this order, in search of a fit."""


@dataclass(frozen=True, slots=True)
class Need:
    """Pods of one workload that do not run yet.

    workload: `Deployment ns/name`. key: `ns/name` where settings can change it, else empty.
    count: pods to come. total: pods that are to run, and so the replicas. every: one for each
    node that its spec allows.
    """

    workload: str
    spec: Mapping[str, Any] = field(repr=False)
    count: int
    key: str = ""
    total: int = 0
    every: bool = False
    demand: Demand = field(default_factory=Demand)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Pods that found no node. refusals: reason by number of nodes, as the scheduler counts."""

    need: Need
    count: int
    refusals: Mapping[str, int]
    nodes: int

    @property
    def message(self) -> str:
        """The scheduler's message."""
        return scheduling.told(self.refusals, self.nodes)


@dataclass(frozen=True, slots=True)
class Packed:
    """What became of all pods. rooms: what is left on each node."""

    unplaced: Sequence[Unplaced]
    rooms: Sequence[Room]


Lacks = Callable[[Demand, Room], str]
"""What a node has too little of for a pod; empty when it fits."""


def resources_only(demand: Demand, room: Room) -> str:
    """CPU and memory; pod slots left aside."""
    found = scheduling.lacking(demand, room)
    return "" if found == scheduling.NO_PODS else found


def slots_only(_: Demand, room: Room) -> str:
    """Pod slots; CPU and memory left aside."""
    return scheduling.NO_PODS if room.pods < 1 else ""


def pack(needs: Sequence[Need], rooms: Sequence[Room], lacks: Lacks) -> Packed:
    """Put the greediest pods first, each on the first node that takes it."""
    left = list(rooms)
    unplaced: list[Unplaced] = []
    for need in sorted(needs, key=lambda n: _weight(n.demand, rooms), reverse=True):
        found = _every(need, left, lacks) if need.every else _each(need, left, lacks)
        if found:
            unplaced.append(found)
    order = {need.workload: index for index, need in enumerate(needs)}
    unplaced.sort(key=lambda each: order[each.need.workload])
    return Packed(unplaced, left)


def _weight(demand: Demand, rooms: Sequence[Room]) -> Decimal:
    """How much of the cluster a pod takes, by what it takes most of."""
    cpu = sum((max(room.cpu, Decimal(0)) for room in rooms), Decimal(0)) or Decimal(1)
    memory = sum((max(room.memory, Decimal(0)) for room in rooms), Decimal(0)) or Decimal(1)
    return max(demand.cpu / cpu, demand.memory / memory)


def _each(need: Need, left: list[Room], lacks: Lacks) -> Unplaced | None:
    for placed in range(need.count):
        refusals: dict[str, int] = {}
        for index, room in enumerate(left):
            why = scheduling.mismatch(need.spec, room) or lacks(need.demand, room)
            if not why:
                left[index] = room.without(need.demand)
                break
            refusals[why] = refusals.get(why, 0) + 1
        else:
            return Unplaced(need, need.count - placed, refusals, len(left))
    return None


def _every(need: Need, left: list[Room], lacks: Lacks) -> Unplaced | None:
    refusals: dict[str, int] = {}
    allowed = 0
    for index, room in enumerate(left):
        if scheduling.mismatch(need.spec, room):
            continue
        allowed += 1
        why = lacks(need.demand, room)
        if why:
            refusals[why] = refusals.get(why, 0) + 1
        else:
            left[index] = room.without(need.demand)
    count = sum(refusals.values())
    return Unplaced(need, count, refusals, allowed) if count else None


def fitting_settings(needs: Sequence[Need], rooms: Sequence[Room]) -> Mapping[str, Any]:
    """The `deployments` of a settings file with which all pods would fit; empty if none is found.

    Tried in this order, each with those before: one replica of each; taints tolerated by what
    found no node; lower requests for what still finds none, and then for all.
    """
    for trial in _trials(needs, rooms):
        if not pack(trial, rooms, resources_only).unplaced:
            return _settings(needs, trial)
    return {}


def _trials(needs: Sequence[Need], rooms: Sequence[Room]) -> Iterator[Sequence[Need]]:
    single = [_one(need) if need.key else need for need in needs]
    yield single
    stuck = _stuck(single, rooms)
    tolerant = [_tolerant(need, rooms) if need.workload in stuck else need for need in single]
    yield tolerant
    for base in (single, tolerant):
        yield from _lower(base, _stuck(base, rooms))
    yield from _lower(tolerant, {need.workload for need in needs})


def _lower(needs: Sequence[Need], whose: Collection[str]) -> Iterator[Sequence[Need]]:
    for share in _SHARES:
        yield [
            _lowered(need, share) if need.workload in whose and need.key else need for need in needs
        ]


def _stuck(needs: Sequence[Need], rooms: Sequence[Room]) -> set[str]:
    return {each.need.workload for each in pack(needs, rooms, resources_only).unplaced}


def _one(need: Need) -> Need:
    running = need.total - need.count
    return replace(need, count=max(0, min(need.count, 1 - running)), total=1)


def _tolerant(need: Need, rooms: Sequence[Room]) -> Need:
    """With tolerations of what administrators put on Ready nodes; not of what is wrong with any."""
    if not need.key:
        return need
    own = list(need.spec.get("tolerations") or [])
    for room in rooms:
        taint = scheduling.untolerated(own, room.taints) if room.ready else None
        if taint is not None and not taint["key"].startswith("node.kubernetes.io/"):
            own.append({"key": taint["key"], "operator": "Exists", "effect": taint["effect"]})
    return replace(need, spec={**need.spec, "tolerations": own})


def _lowered(need: Need, share: Decimal) -> Need:
    containers = [_less(container, share) for container in need.spec.get("containers") or []]
    spec = {**need.spec, "containers": containers}
    return replace(need, spec=spec, demand=scheduling.demand_of(spec))


def _settings(needs: Sequence[Need], fitting: Sequence[Need]) -> dict[str, Any]:
    """What of the `deployments` setting makes the one out of the other."""
    found: dict[str, Any] = {}
    for old, new in zip(needs, fitting, strict=True):
        changed: dict[str, Any] = {}
        if new.total != old.total:
            changed["replicas"] = new.total
        more = list(new.spec.get("tolerations") or [])[len(old.spec.get("tolerations") or []) :]
        if more:
            changed["tolerations"] = more
        if new.demand != old.demand:
            changed.update(_requests(new.spec))
        if changed:
            found[new.key] = changed
    return found


def _less(container: Mapping[str, Any], share: Decimal) -> dict[str, Any]:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    requests = {name: _share(name, str(text), share) for name, text in asked.items()}
    return {**container, "resources": {**resources, "requests": requests}}


def _share(name: str, text: str, share: Decimal) -> str:
    if name == "cpu":
        return millicores(scheduling.number(text) * share)
    return mebibytes(scheduling.number(text) * share) if name == "memory" else text


def _requests(spec: Mapping[str, Any]) -> dict[str, Any]:
    by_name = {
        container["name"]: {"requests": dict(container["resources"]["requests"])}
        for container in spec["containers"]
        if container["resources"]["requests"]
    }
    if len(spec["containers"]) == 1:
        return {"resources": next(iter(by_name.values()))} if by_name else {}
    return {"containers": by_name}


def millicores(cpu: Decimal) -> str:
    """Cores as `250m`, rounded down, at least 1m."""
    return f"{max(1, int((cpu * 1000).to_integral_value(ROUND_FLOOR)))}m"


def mebibytes(memory: Decimal) -> str:
    """Bytes as `64Mi`, rounded up."""
    return f"{int((memory / 2**20).to_integral_value(ROUND_CEILING))}Mi"

"""Would the pods of the release find nodes: room for them, slots, and processors they run on?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from installer.catalog.platforms import Autoscaler, load_platforms
from installer.core.checks import Detail, failed, note, warning
from installer.core.objects import Object, Ref, conditions, dig
from installer.core.words import plural
from installer.plan import scheduling
from installer.plan.scheduling import CORDONED, Demand, Room
from installer.preflight.capacity_architecture import ARCHITECTURE_CHECK
from installer.preflight.capacity_needs import needs_of, predictor
from installer.preflight.capacity_packing import (
    Need,
    Unplaced,
    fitting_settings,
    mebibytes,
    millicores,
    pack,
    resources_only,
    slots_only,
)
from installer.preflight.check import Check
from installer.preflight.platform import serves
from installer.preflight.settings_offer import offered
from installer.preflight.world import World

_SHOWN = 5
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def _rooms(world: World) -> list[Room]:
    found: list[Room] = world.once("rooms", lambda: scheduling.rooms(world.nodes, world.pods))
    return found


def _autoscaler(world: World) -> str:
    """What would bring nodes for pods that do not fit; empty when nothing is seen."""

    def look() -> str:
        for each in load_platforms().autoscalers:
            if _runs(world, each):
                return each.title
        return ""

    found: str = world.once("autoscaler", look)
    return found


def _runs(world: World, autoscaler: Autoscaler) -> bool:
    if autoscaler.group:
        return serves(world, autoscaler.group)
    namespace, _, name = autoscaler.config_map.partition("/")
    return world.get(Ref("v1", "ConfigMap", namespace, name)) is not None


# Nodes


def _nodes(world: World) -> Iterator[Detail]:
    yield from node_details(world.nodes, _autoscaler(world))


def node_details(nodes: Sequence[Object], autoscaler: str) -> Iterator[Detail]:
    """Whether a pod can be put anywhere at all, and nodes that are not well. Pure."""
    usable = []
    for node in nodes:
        name, room = str(dig(node, "metadata", "name")), scheduling.room_of(node)
        found = conditions(node)
        if not room.ready:
            why = found.get("Ready", {})
            told = why.get("message") or why.get("reason") or "its kubelet never reported"
            remedy = f"kubectl describe node {name}"
            yield warning(f"node {name} is not Ready: {told}", remedy, f"Node {name}")
        elif not room.unschedulable:
            usable.append(name)
        for kind in _PRESSURES:
            if found.get(kind, {}).get("status") == "True":
                yield warning(
                    f"node {name} reports {kind}: it takes no new pods",
                    f"kubectl describe node {name}",
                    f"Node {name}",
                )
    if usable:
        yield note(f"{len(usable)} of {len(nodes)} nodes are Ready and take pods")
        return
    say = warning if autoscaler else failed
    reason = "no node is Ready and takes pods" if nodes else "the cluster has no node"
    more = f" now; {autoscaler} may bring some" if autoscaler else ""
    cordoned = next(
        (dig(n, "metadata", "name") for n in nodes if dig(n, "spec", "unschedulable")), ""
    )
    remedy = f"kubectl uncordon {cordoned}" if cordoned else "add a node, or make one Ready"
    yield say(reason + more, remedy)


# CPU and memory


def _needs(world: World) -> list[Need]:
    found: list[Need] = world.once("needs", lambda: needs_of(world.target.parts, world.pods))
    return found


def _resources(world: World) -> Iterator[Detail]:
    needs = _needs(world)
    model = predictor(world.target.wanted)
    yield from resource_details(needs, model, _rooms(world), _autoscaler(world))


def resource_details(
    needs: Sequence[Need], model: Need, rooms: Sequence[Room], autoscaler: str
) -> Iterator[Detail]:
    """Workloads whose pods would stay Pending for want of CPU, memory or a node. Pure.

    model: a pod that comes after all the others.
    """
    packed = pack(needs, rooms, resources_only)
    bring = f"; {autoscaler} may bring nodes" if autoscaler else ""
    remedy = _remedy(needs, rooms, packed.unplaced)
    for message, group in _by_message(packed.unplaced).items():
        say = warning if autoscaler else failed
        pods = sum(each.count for each in group)
        names = ", ".join(each.need.workload for each in group)
        count = plural(pods, "pod")
        yield say(
            f"{names}: {count} would stay Pending: {message.rstrip('.')}{bring}",
            remedy,
            group[0].need.workload,
            message=message,
            pods=pods,
            workloads=[each.need.workload for each in group],
        )
        remedy = ""
    last = pack([model], packed.rooms, resources_only).unplaced
    asks = _asks(model.demand)
    if last:
        yield warning(
            f"{model.workload} ({asks}) would stay Pending beside the release: "
            f"{last[0].message.rstrip('.')}{bring}",
            f"keep {asks} free on one node, or give your models lower requests",
            message=last[0].message,
        )
    elif not packed.unplaced:
        yield note(_summary([*needs, model], rooms))


def _by_message(unplaced: Sequence[Unplaced]) -> dict[str, list[Unplaced]]:
    found: dict[str, list[Unplaced]] = {}
    for each in unplaced:
        found.setdefault(each.message, []).append(each)
    return found


def _asks(demand: Demand) -> str:
    return f"{millicores(demand.cpu)} CPU and {mebibytes(demand.memory)} memory"


def _summary(needs: Sequence[Need], rooms: Sequence[Room]) -> str:
    total = sum((_times(need, rooms) for need in needs), Demand())
    free = sum((Demand(max(r.cpu, Decimal(0)), max(r.memory, Decimal(0))) for r in rooms), Demand())
    return (
        f"pods to come, one predictor included, ask for {_asks(total)}; {_asks(free)} are free "
        f"on {plural(len(rooms), 'node')}"
    )


def _times(need: Need, rooms: Sequence[Room]) -> Demand:
    count = len(rooms) if need.every else need.count
    return Demand(need.demand.cpu * count, need.demand.memory * count)


def _remedy(needs: Sequence[Need], rooms: Sequence[Room], unplaced: Sequence[Unplaced]) -> str:
    if not unplaced:
        return ""
    settings = fitting_settings(needs, rooms)
    if settings:
        return offered("these settings would fit", {"deployments": settings})
    cordoned = next((room.name for room in rooms if room.unschedulable), "")
    if cordoned and any(CORDONED in each.refusals for each in unplaced):
        return f"kubectl uncordon {cordoned}, or add a node"
    if any(reason in _SCARCE for each in unplaced for reason in each.refusals):
        lacks = sum(
            (Demand(e.need.demand.cpu * e.count, e.need.demand.memory * e.count) for e in unplaced),
            Demand(),
        )
        return f"free {_asks(lacks)}, or add a node that has them"
    return "add a node that the nodeSelector, affinity and tolerations of these pods allow"


_SCARCE = (scheduling.NO_CPU, scheduling.NO_MEMORY)


# Pod slots


def _slots(world: World) -> Iterator[Detail]:
    needs = [*_needs(world), predictor(world.target.wanted)]
    yield from slot_details(needs, _rooms(world), _autoscaler(world))


def slot_details(needs: Sequence[Need], rooms: Sequence[Room], autoscaler: str) -> Iterator[Detail]:
    """Whether the nodes have slots for so many pods. Pure."""
    unplaced = [
        each
        for each in pack(needs, rooms, slots_only).unplaced
        if scheduling.NO_PODS in each.refusals
    ]
    coming = sum(len(rooms) if need.every else need.count for need in needs)
    free = sum(max(0, room.pods) for room in rooms)
    if not unplaced:
        yield note(f"{plural(coming, 'pod')} to come, {free} slots free")
        return
    say = warning if autoscaler else failed
    count = sum(each.count for each in unplaced)
    names = ", ".join(each.need.workload for each in unplaced[:_SHOWN])
    more = f" and {len(unplaced) - _SHOWN} more" if len(unplaced) > _SHOWN else ""
    bring = f"; {autoscaler} may bring nodes" if autoscaler else ""
    yield say(
        f"{count} of {plural(coming, 'pod')} to come would find no slot ({free} are free on the "
        f"nodes): {names}{more}: {unplaced[0].message.rstrip('.')}{bring}",
        "add a node, or let nodes take more pods (--max-pods of the kubelet)",
        pods=count,
        free=free,
    )


CHECKS = (
    Check(
        "capacity-nodes",
        "capacity",
        "there are Ready nodes that take pods",
        _nodes,
        objects=False,
    ),
    Check(
        "capacity-resources",
        "capacity",
        "the pods to come, and one predictor, find CPU and memory",
        _resources,
    ),
    Check("capacity-pods", "capacity", "the nodes have slots for the pods to come", _slots),
    ARCHITECTURE_CHECK,
)

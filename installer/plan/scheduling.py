"""Whether the scheduler would put a pod on a node, and why not, in its words. Pure.

What is looked at: cordons, taints, node selectors and required node affinity, and room for CPU,
memory and pods. Not looked at: affinity between pods, topology spread, host ports, volumes,
devices.

Words and rules: kubernetes, `pkg/scheduler/framework/plugins/{nodeunschedulable,tainttoleration,
nodeaffinity,noderesources}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from installer.core.objects import Object, conditions, dig
from installer.plan.footprint import requests_of
from installer.plan.quantity import quantity

CORDON = "node.kubernetes.io/unschedulable"
NO_CPU, NO_MEMORY, NO_PODS = "Insufficient cpu", "Insufficient memory", "Too many pods"
CORDONED = "node(s) were unschedulable"
UNMATCHED = "node(s) didn't match Pod's node affinity/selector"

_BLOCKING = ("NoSchedule", "NoExecute")
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Demand:
    """What one pod asks for. cpu: cores; memory: bytes."""

    cpu: Decimal = Decimal(0)
    memory: Decimal = Decimal(0)

    def __add__(self, other: Demand) -> Demand:
        return Demand(self.cpu + other.cpu, self.memory + other.memory)


@dataclass(frozen=True, slots=True)
class Room:
    """A node, and what is free on it. cpu: cores; memory: bytes; pods: slots.

    ready: its condition Ready is True.
    """

    name: str
    cpu: Decimal = Decimal(0)
    memory: Decimal = Decimal(0)
    pods: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, Any]] = ()
    unschedulable: bool = False
    ready: bool = True

    def without(self, demand: Demand, pods: int = 1) -> Room:
        """What is left after these pods."""
        return replace(
            self,
            cpu=self.cpu - demand.cpu,
            memory=self.memory - demand.memory,
            pods=self.pods - pods,
        )


def rooms(nodes: Iterable[Object], pods: Iterable[Object]) -> list[Room]:
    """What is free on each node: allocatable less what its pods that have not ended ask for."""
    used: dict[str, tuple[Demand, int]] = {}
    for pod in pods:
        node = bound_to(pod)
        if node:
            demand, count = used.get(node, (Demand(), 0))
            used[node] = (demand + demand_of(pod["spec"]), count + 1)
    found = []
    for node_object in nodes:
        room = room_of(node_object)
        demand, count = used.get(room.name, (Demand(), 0))
        found.append(room.without(demand, count))
    return found


def bound_to(pod: Object) -> str:
    """The node that a pod takes room of; empty for one that waits or has ended."""
    if dig(pod, "status", "phase") in _ENDED:
        return ""
    return str(dig(pod, "spec", "nodeName", default=""))


def room_of(node: Object) -> Room:
    """A node without pods."""
    allocatable = dig(node, "status", "allocatable", default={})
    return Room(
        str(dig(node, "metadata", "name", default="")),
        number(allocatable.get("cpu", "0")),
        number(allocatable.get("memory", "0")),
        int(number(allocatable.get("pods", "0"))),
        dig(node, "metadata", "labels", default={}),
        dig(node, "spec", "taints", default=[]),
        bool(dig(node, "spec", "unschedulable", default=False)),
        conditions(node).get("Ready", {}).get("status") == "True",
    )


def demand_of(spec: Mapping[str, Any]) -> Demand:
    """What the scheduler counts for a pod of this spec."""
    requests, _ = requests_of(spec)
    return Demand(requests["cpu"], requests["memory"])


@lru_cache(maxsize=4096)
def number(text: str) -> Decimal:
    """A quantity; 0 for one that cannot be read."""
    try:
        return quantity(text)
    except ValueError:
        return Decimal(0)


def mismatch(spec: Mapping[str, Any], room: Room) -> str:
    """Why a node is out of the question whatever is free on it; empty when it is not."""
    tolerations = spec.get("tolerations") or []
    if room.unschedulable and not tolerated({"key": CORDON, "effect": "NoSchedule"}, tolerations):
        return CORDONED
    taint = untolerated(tolerations, room.taints)
    if taint is not None:
        return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"
    return "" if matches_node(spec, room.name, room.labels) else UNMATCHED


def lacking(demand: Demand, room: Room) -> str:
    """What a node has too little of; empty when the pod fits."""
    if demand.cpu > room.cpu and demand.cpu:
        return NO_CPU
    if demand.memory > room.memory and demand.memory:
        return NO_MEMORY
    return NO_PODS if room.pods < 1 else ""


def told(refusals: Mapping[str, int], nodes: int) -> str:
    """`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`"""
    if not nodes:
        return "no nodes available to schedule pods"
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(refusals.items()))
    return f"0/{nodes} nodes are available: {why}."


def untolerated(
    tolerations: Sequence[Mapping[str, Any]], taints: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The first taint that keeps a pod away."""
    for taint in taints:
        if taint.get("effect") in _BLOCKING and not tolerated(taint, tolerations):
            return taint
    return None


def tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of the tolerations covers a taint."""
    for each in tolerations:
        if each.get("effect") and each["effect"] != taint.get("effect"):
            continue
        if each.get("key") and each["key"] != taint.get("key"):
            continue
        if each.get("operator") == "Exists":
            return True
        if each.get("key") and (each.get("value") or "") == (taint.get("value") or ""):
            return True
    return False


def matches_node(spec: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> bool:
    """Whether nodeSelector and required node affinity allow a node."""
    selector = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    terms = dig(
        spec,
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    )
    return terms is None or any(_term(term, name, labels) for term in terms)


def _term(term: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> bool:
    by_label = term.get("matchExpressions") or []
    by_field = term.get("matchFields") or []
    if not by_label and not by_field:
        return False  # an empty term matches nothing
    return all(_requirement(each, labels) for each in by_label) and all(
        _requirement(each, {"metadata.name": name}) for each in by_field
    )


def _requirement(each: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    value, wanted = values.get(each["key"]), each.get("values") or []
    operator = each.get("operator")
    if operator == "In":
        return value in wanted
    if operator == "NotIn":
        return value not in wanted
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    try:
        left, right = int(value or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right

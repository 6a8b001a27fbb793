"""Would the scheduler put a pod on a node?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from installer.core.objects import Object
from installer.plan.scheduling import (
    CORDONED,
    NO_CPU,
    NO_MEMORY,
    NO_PODS,
    UNMATCHED,
    Demand,
    Room,
    demand_of,
    lacking,
    mismatch,
    rooms,
    told,
)

LABELS = {"kubernetes.io/arch": "arm64", "disk": "ssd", "slots": "4"}
DEDICATED = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
TAINTED = "node(s) had untolerated taint {dedicated: gpu}"


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [*terms]}}
    return {"affinity": {"nodeAffinity": required}}


def expression(operator: str, *values: str, key: str = "disk") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": [*values]}]}


def on_node(name: str) -> dict[str, Any]:
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, ""),
        ({"nodeSelector": {"disk": "ssd"}}, ""),
        ({"nodeSelector": {"disk": "hdd"}}, UNMATCHED),
        (affinity(expression("In", "ssd", "nvme")), ""),
        (affinity(expression("In", "hdd")), UNMATCHED),
        (affinity(expression("In", "hdd"), expression("Exists")), ""),
        (affinity(expression("NotIn", "ssd")), UNMATCHED),
        (affinity(expression("NotIn", "x", key="absent")), ""),
        (affinity(expression("DoesNotExist", key="absent")), ""),
        (affinity(expression("Gt", "3", key="slots")), ""),
        (affinity(expression("Lt", "4", key="slots")), UNMATCHED),
        (affinity(expression("Gt", "3")), UNMATCHED),
        (affinity({}), UNMATCHED),
        (affinity(on_node("a")), ""),
        (affinity(on_node("b")), UNMATCHED),
    ],
)
def test_selectors_and_affinity_are_matched_as_kubernetes_does(
    spec: dict[str, Any], reason: str
) -> None:
    assert mismatch(spec, Room("a", labels=LABELS)) == reason


@pytest.mark.parametrize(
    ("tolerations", "reason"),
    [
        ([], TAINTED),
        ([{"operator": "Exists"}], ""),
        ([{"key": "dedicated", "operator": "Exists"}], ""),
        ([{"key": "dedicated", "value": "gpu"}], ""),
        ([{"key": "dedicated", "value": "cpu"}], TAINTED),
        ([{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}], TAINTED),
        ([{"key": "other", "operator": "Exists"}], TAINTED),
    ],
)
def test_a_taint_keeps_off_who_does_not_tolerate_it(
    tolerations: list[dict[str, str]], reason: str
) -> None:
    assert mismatch({"tolerations": tolerations}, Room("a", taints=[DEDICATED])) == reason


def test_a_taint_that_only_asks_keeps_nobody_off() -> None:
    soft = {**DEDICATED, "effect": "PreferNoSchedule"}
    assert mismatch({}, Room("a", taints=[soft])) == ""


def test_a_cordon_is_told_before_the_taint_that_comes_with_it() -> None:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    assert mismatch({}, Room("a", taints=[taint], unschedulable=True)) == CORDONED


@pytest.mark.parametrize(
    ("cpu", "memory", "reason"),
    [("1", "1", ""), ("1.001", "1", NO_CPU), ("1", "2", NO_MEMORY), ("0", "0", "")],
)
def test_a_node_lacks_what_is_asked_beyond_its_room(cpu: str, memory: str, reason: str) -> None:
    room = Room("a", Decimal(1), Decimal(1), pods=1)
    assert lacking(Demand(Decimal(cpu), Decimal(memory)), room) == reason


def test_a_full_node_takes_a_pod_that_asks_for_nothing_only_with_a_slot() -> None:
    assert lacking(Demand(), Room("a", Decimal(-1), Decimal(-1), pods=1)) == ""
    assert lacking(Demand(), Room("a", pods=0)) == NO_PODS


def pod(node: str, cpu: str, phase: str = "Running") -> Object:
    container = {"resources": {"limits": {"cpu": cpu}, "requests": {"memory": "1Gi"}}}
    return {"spec": {"nodeName": node, "containers": [container]}, "status": {"phase": phase}}


def test_what_pods_hold_until_they_end_is_not_free() -> None:
    node = {
        "metadata": {"name": "a"},
        "status": {
            "allocatable": {"cpu": "3500m", "memory": "4Gi", "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    pods = [pod("a", "1"), pod("a", "500m", "Pending"), pod("a", "1", "Succeeded"), pod("", "1")]
    (room,) = rooms([node], pods)
    assert (room.cpu, room.memory) == (Decimal(2), Decimal(2 * 2**30))
    assert (room.pods, room.ready) == (8, True)


def test_an_init_container_counts_where_it_asks_for_more() -> None:
    def container(cpu: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}}

    spec = {"initContainers": [container("2")], "containers": [container("500m")] * 2}
    assert demand_of(spec) == Demand(Decimal(2), Decimal(0))


def test_the_message_is_the_schedulers() -> None:
    assert told({"Insufficient cpu": 1, CORDONED: 2}, 3) == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
    )
    assert told({}, 0) == "no nodes available to schedule pods"

"""The shape of a sandbox's cluster: its simulated nodes one by one, instead of a number.

`sandbox up --shape FILE` reads YAML; README.md describes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from installer.catalog.structure import read_yaml, structure
from installer.core.errors import InvalidInput, Problem
from installer.plan.quantity import quantity

MOST_NODES = 100
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint as in a Node's spec."""

    key: str
    effect: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Allocatable:
    """What pods can have of a node, as Kubernetes quantities."""

    cpu: str = "64"
    memory: str = "128Gi"
    pods: str = "250"


@dataclass(frozen=True, slots=True)
class NodeShape:
    """One simulated node. What is empty is as it is without a shape.

    ready: False is a node whose kubelet says NotReady. external_ip: address of type ExternalIP.
    images: names of images that are on the node already.
    """

    name: str = ""
    architecture: str = "amd64"
    os: str = "linux"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True
    allocatable: Allocatable = field(default_factory=Allocatable)
    provider_id: str = ""
    kubelet_version: str = ""
    external_ip: str = ""
    images: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, as `nodes_of` reads it."""
        taints = [asdict(taint) for taint in self.taints]
        return {**asdict(self), "taints": taints, "images": list(self.images)}


@dataclass(frozen=True, slots=True)
class _File:
    nodes: tuple[NodeShape, ...]


def nodes_of(data: Any, file: str = "shape") -> tuple[NodeShape, ...]:
    """The nodes of decoded YAML `{nodes: […]}`. Raises InvalidInput with every problem."""
    problems: list[Problem] = []
    read = structure(_File, data, file, problems)
    if read is not None:
        problems.extend(_problems(read.nodes, file))
    if read is None or problems:
        raise InvalidInput(f"the cluster shape {file}", problems)
    return read.nodes


def read_shape(path: Path) -> tuple[NodeShape, ...]:
    """The nodes of a file. Raises InvalidInput with every problem."""
    problems: list[Problem] = []
    data = read_yaml(path, str(path), problems)
    if problems:
        raise InvalidInput(f"the cluster shape {path}", problems)
    return nodes_of(data, str(path))


def _problems(nodes: Sequence[NodeShape], file: str) -> list[Problem]:
    problems = []
    if not 1 <= len(nodes) <= MOST_NODES:
        wanted = f"1 to {MOST_NODES} nodes"
        problems.append(Problem(file, "nodes", f"{len(nodes)} nodes", wanted))
    names = [node.name for node in nodes if node.name]
    for index, node in enumerate(nodes):
        place = f"nodes[{index}]"
        if names.count(node.name) > 1:
            problems.append(Problem(file, f"{place}.name", "a name given twice", "unique names"))
        for taint in node.taints:
            if taint.effect not in _EFFECTS:
                found, wanted = repr(taint.effect), f"one of {', '.join(_EFFECTS)}"
                problems.append(Problem(file, f"{place}.taints", found, wanted))
        for resource in ("cpu", "memory", "pods"):
            try:
                quantity(getattr(node.allocatable, resource))
            except ValueError as error:
                where = f"{place}.allocatable.{resource}"
                problems.append(Problem(file, where, str(error), "a quantity"))
    return problems

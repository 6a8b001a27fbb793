"""The objects that all contenders apply, in the groups that the cluster itself makes necessary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from places import Place

from installer.catalog.sources import SourceOptions
from installer.core.cancel import Cancel
from installer.core.events import silent
from installer.core.objects import Object
from installer.operations.gates import Gate, await_gate
from installer.operations.install import InstallOptions, choose, prepare_first
from installer.operations.prepare import PlannedComponent

RELEASE = "kfserving-0.5.1"
_GROUPS = (
    ("namespaces and CRDs", ("namespaces", "crds")),
    ("accounts, configuration, workloads", ("setup", "workloads")),
    ("webhook configurations", ("webhooks",)),
    ("custom resources of own kinds", ("resources", "jobs")),
)
_DEADLINE = 300.0


@dataclass(frozen=True, slots=True)
class Group:
    """Objects that can be sent at once, when the gates of the groups before have opened."""

    title: str
    stages: tuple[str, ...]
    bodies: Sequence[Object]


@dataclass(frozen=True, slots=True)
class Applied:
    """A first apply by another.

    groups: seconds of sending each group. span: from the first request to the last answer, with
    the gates between groups. whole: with the gates after the last group too.
    """

    groups: Sequence[float]
    span: float
    whole: float

    @property
    def sending(self) -> float:
        """Seconds of sending, without the gates."""
        return sum(self.groups)

    def __str__(self) -> str:
        groups = " + ".join(f"{seconds:.2f}" for seconds in self.groups)
        return (
            f"{groups} = {self.sending:.2f} s, with gates {self.span:.2f} s, all {self.whole:.2f} s"
        )


@dataclass(frozen=True, slots=True)
class Stack:
    """The release as it is to be in the cluster: the bodies that our install sends."""

    planned: Sequence[PlannedComponent]
    groups: Sequence[Group]

    @property
    def objects(self) -> int:
        """How many objects it has."""
        return sum(len(group.bodies) for group in self.groups)

    def await_gates(self, place: Place, group: Group) -> None:
        """Return when the next group can be sent; the gates are those of our install."""
        cluster, cancel = place.cluster(), Cancel(_DEADLINE)
        for part in self.planned:
            for stage in group.stages:
                items = [item for item in part.wanted if item.stage == stage]
                if items:
                    gate = Gate(part.component.name, stage, items, part.wanted, {})
                    await_gate(cluster, gate, silent, cancel)
        cluster.close()


def read(place: Place, mirror: Path | str | None) -> Stack:
    """What the release comes to in an empty cluster; fills the cache of manifests."""
    sources = SourceOptions(mirror=str(mirror) if mirror else None)
    choice = choose(InstallOptions(RELEASE, sources=sources))
    cluster = place.cluster()
    planned = prepare_first(cluster, choice, silent, Cancel()).planned
    cluster.close()
    wanted = [item for part in planned for item in part.wanted]
    return Stack(
        planned,
        [
            Group(title, stages, [item.body for item in wanted if item.stage in stages])
            for title, stages in _GROUPS
        ],
    )

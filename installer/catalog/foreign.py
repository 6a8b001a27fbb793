"""How installations by others are recognised: versions/foreign.yaml as values.

Facts about other tools, kept apart from the code that applies them. The file is the packaged one
whatever catalog is used: it describes the world, not releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from installer.catalog.load import FOREIGN, packaged_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What belongs to one upstream project.

    component: its name in the catalog, empty where no release brings it.
    images: ends of the repository paths of its controllers' images.
    labels: on its workloads, each enough by itself.
    groups: API groups of its CRDs. essential: the CRD that its controllers are there for.
    webhooks: names of its webhooks, with `*`.
    """

    name: str
    title: str
    component: str = ""
    images: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    essential: str = ""
    webhooks: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerMark:
    """One mark that somebody leaves on what they install.

    Exactly one of label, annotation, owner_kind, manager and node_label (of any node) is set; value
    narrows a label or an annotation. title and remove may hold `{name}` and `{namespace}`.
    adopt: whether taking the objects over is safe; why: a clause where whoever it is would put
    theirs back. lets_go: an adoption makes them let go first (`plan.handover`).
    unless_image: end of the image of an operator that makes it unsafe.
    """

    name: str
    title: str
    adopt: bool
    remove: str
    label: str = ""
    annotation: str = ""
    value: str = ""
    namespace_mark: str = ""
    owner_kind: str = ""
    manager: str = ""
    node_label: str = ""
    why: str = ""
    lets_go: bool = False
    unless_image: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """The whole file."""

    projects: tuple[Project, ...]
    version_marks: tuple[str, ...]
    owners: tuple[OwnerMark, ...]

    def project(self, name: str) -> Project:
        """The project of that name. Raises StopIteration for one that the file does not have."""
        return next(p for p in self.projects if p.name == name)

    def of_component(self, component: str) -> Project | None:
        """The project that a component of the catalog is."""
        return next((p for p in self.projects if p.component == component), None)


@cache
def load_foreign() -> Foreign:
    """Read the packaged file. Raises InvalidInput with every problem."""
    return packaged_facts(Foreign, FOREIGN, "the catalog's list of other installers")

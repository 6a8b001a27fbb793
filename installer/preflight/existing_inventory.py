"""What of the stack is in a cluster already, who put it there, and how it is. Pure.

`existing_read` reads what this is made of. A project is recognised by its controllers' images and
labels, never by a namespace's name; its owner by the marks in versions/foreign.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from installer.catalog.foreign import Foreign, Project
from installer.cluster.readiness import readiness
from installer.core.objects import Object, ObjectId, Ref, containers, dig, ref_of
from installer.plan.handover import KNATIVE_SERVING, RELEASE_NAME, RELEASE_NAMESPACE
from installer.preflight.existing_owner import (
    OURS,
    Owner,
    ends_with,
    marked,
    owner_of,
    repository,
)

_TAG = re.compile(r":v?(\d+\.\d+[^@/]*)(?:@.*)?$")
_REVISION = "istio.io/rev"


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet of a project.

    unready: why it is not ready, empty when it is. images: the project's ends that it runs.
    """

    ref: Ref
    versions: tuple[str, ...]
    owner: Owner
    unready: str = ""
    revision: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Installation:
    """The controllers of one project in one namespace."""

    project: Project
    namespace: str
    workloads: tuple[Workload, ...]

    @property
    def ours(self) -> bool:
        """True when our ledger owns any of it."""
        return any(workload.owner.kind == "ours" for workload in self.workloads)

    @property
    def owner(self) -> Owner:
        """Whoever would put things back, before those who would not."""
        owners = [workload.owner for workload in self.workloads]
        return min(owners, key=lambda owner: (owner.adopt, not owner.comes_back))

    @property
    def versions(self) -> tuple[str, ...]:
        """Different versions of its workloads."""
        return tuple(sorted({v for workload in self.workloads for v in workload.versions}))

    @property
    def revision(self) -> str:
        """Revision of an Istio control plane, empty for others."""
        return self.workloads[0].revision

    def __str__(self) -> str:
        version = " and ".join(self.versions) or "of an unknown version"
        return f"{self.project.title} {version}"


@dataclass(frozen=True, slots=True)
class Definition:
    """A CRD, of which only metadata is read. dying: it is being deleted."""

    name: str
    owner: Owner
    dying: bool = False

    @property
    def group(self) -> str:
        """Its API group."""
        return self.name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything of the stack in a cluster. operators: namespaces that hold a KnativeServing."""

    installations: tuple[Installation, ...] = ()
    definitions: tuple[Definition, ...] = ()
    operators: tuple[str, ...] = ()

    def of(self, project: Project) -> list[Installation]:
        """The installations of a project."""
        return [found for found in self.installations if found.project.name == project.name]

    def definitions_of(self, project: Project) -> list[Definition]:
        """The CRDs of a project."""
        return [found for found in self.definitions if found.group in project.groups]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read. workloads: Deployments and StatefulSets; definitions: metadata of CRDs.

    settled: identities of what our ledger says we applied. operators: namespaces that hold a
    KnativeServing. releases: status of Helm releases by (namespace, name). node_labels: keys.
    """

    workloads: Sequence[Object]
    definitions: Sequence[Object]
    settled: Collection[ObjectId] = ()
    operators: tuple[str, ...] = ()
    releases: Mapping[tuple[str, str], str] = field(default_factory=dict)
    node_labels: frozenset[str] = frozenset()


def take_stock(seen: Seen, foreign: Foreign) -> Inventory:
    """The inventory of what was read."""
    images = frozenset(repository(i) for obj in seen.workloads for i in images_of(obj))
    found: dict[tuple[str, str], list[Workload]] = {}
    for obj in seen.workloads:
        for project in foreign.projects:
            if belongs(obj, project):
                workload = _workload(obj, project, seen, foreign, images)
                found.setdefault((project.name, workload.ref.namespace), []).append(workload)
    projects = {project.name: project for project in foreign.projects}
    groups = {group for project in foreign.projects for group in project.groups}
    definitions = [
        Definition(
            obj["metadata"]["name"],
            _owner(obj, seen, foreign, images),
            bool(obj["metadata"].get("deletionTimestamp")),
        )
        for obj in seen.definitions
        if str(obj["metadata"]["name"]).partition(".")[2] in groups
    ]
    installations = [
        Installation(projects[name], namespace, tuple(sorted(workloads, key=lambda w: w.ref)))
        for (name, namespace), workloads in sorted(found.items())
    ]
    return Inventory(tuple(installations), tuple(definitions), seen.operators)


def belongs(obj: Object, project: Project) -> bool:
    """Whether a workload is a controller of a project."""
    if any(ends_with(image, end) for image in images_of(obj) for end in project.images):
        return True
    labels = dig(obj, "metadata", "labels", default={})
    return any(labels.get(key) == value for key, value in project.labels.items())


def images_of(workload: Object) -> list[str]:
    """Images of a workload's containers."""
    pod_spec = dig(workload, "spec", "template", "spec", default={})
    return [str(container.get("image") or "") for container in containers(pod_spec)]


def _owner(obj: Object, seen: Seen, foreign: Foreign, images: Collection[str]) -> Owner:
    if ref_of(obj).identity in seen.settled:
        return OURS
    owner = owner_of(obj, foreign.owners, images, seen.node_labels)
    if owner.kind == "helm":
        return _with_release_state(owner, obj, seen)
    if not owner.comes_back and ref_of(obj).namespace in seen.operators:
        operator = next(mark for mark in foreign.owners if mark.owner_kind == KNATIVE_SERVING)
        texts = {"name": "knative-serving", "namespace": ref_of(obj).namespace}
        title, remove = operator.title.format(**texts), operator.remove.format(**texts)
        return Owner(operator.name, title, operator.adopt, operator.why, remove, operator.lets_go)
    return owner


def _with_release_state(owner: Owner, obj: Object, seen: Seen) -> Owner:
    name = marked(obj, RELEASE_NAME)
    namespace = marked(obj, RELEASE_NAMESPACE)
    status = seen.releases.get((namespace, name), "")
    if status in ("", "deployed"):
        return owner
    return replace(owner, title=f"{owner.title} ({status})")


def _workload(
    obj: Object, project: Project, seen: Seen, foreign: Foreign, images: Collection[str]
) -> Workload:
    state = readiness(obj)
    unready = "" if state.ready else f"{state.state}: {state.message or state.reason}"
    return Workload(
        ref_of(obj),
        _versions(obj, project, foreign.version_marks),
        _owner(obj, seen, foreign, images),
        unready,
        str(dig(obj, "metadata", "labels", _REVISION, default="")),
        tuple(end for end in project.images if any(ends_with(i, end) for i in images_of(obj))),
    )


def versions_of(workload: Object) -> list[str]:
    """Versions as its image tags have them, without a leading v."""
    return _tags(images_of(workload))


def _tags(images: Iterable[str]) -> list[str]:
    return sorted({match[1] for image in images if (match := _TAG.search(image))})


def _versions(obj: Object, project: Project, marks: Sequence[str]) -> tuple[str, ...]:
    """From image tags, else from labels: images pinned by digest carry no version."""
    own = [i for i in images_of(obj) if any(ends_with(i, end) for end in project.images)]
    tags = _tags(own)
    if tags:
        return tuple(tags)
    for key in marks:
        value = _version_in(obj, key) or _version_in(dig(obj, "spec", "template", default={}), key)
        if value:
            return (value,)
    return ()


def _version_in(obj: Mapping[str, Any], key: str) -> str:
    """A version in a label or annotation, without a leading v; empty for `unknown` and the like."""
    for place in ("labels", "annotations"):
        value = str(dig(obj, "metadata", place, key, default=""))
        if re.match(r"v?\d+\.\d+", value):
            return value.removeprefix("v")
    return ""

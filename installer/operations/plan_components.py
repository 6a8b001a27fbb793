"""The components of a plan: what is there, whose it is, what is wanted, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from installer.catalog.model import Component
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.objects import Object, ObjectId, Ref, containers, dig, ref_of
from installer.operations.prepare import PlannedComponent, Prepared

_TAG = re.compile(r":v?(\d+\.\d+(?:\.\d+)?[^@]*)")
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """installed: a version, empty when none is known. owner: ours, none, external, foreign.

    target: the version wanted, empty for what is external. why: a clause.
    """

    name: str
    installed: str
    owner: str
    target: str
    why: str

    def to_dict(self) -> dict[str, str]:
        """The JSON form."""
        return {slot: getattr(self, slot) for slot in self.__slots__}


def component_rows(
    prepared: Prepared,
    actions: Mapping[ObjectId, str],
    outside: Mapping[str, Sequence[tuple[Ref, Object]]],
) -> list[ComponentRow]:
    """One row per component of the release. actions: of every object, by identity; outside: the
    workloads of external components, by name."""
    rows = [_ours(prepared, part, actions) for part in prepared.planned]
    for component in prepared.external:
        found = [obj for _, obj in outside.get(component.name, ())]
        versions = sorted({v for obj in found for v in versions_of(obj)})
        why = "external" if found else f"external, and nothing runs in {component.namespace}"
        rows.append(ComponentRow(component.name, ", ".join(versions), "external", "", why))
    return rows


def workloads_of(cluster: Cluster, component: Component) -> list[tuple[Ref, Object]]:
    """The Deployments in a component's namespace; none where we may not look."""
    try:
        found = cluster.list("apps/v1", "Deployment", component.namespace).items
    except ApiError as error:
        if error.failure.kind == "forbidden":
            return []
        raise
    return [(ref_of(obj), obj) for obj in found]


def versions_of(workload: Object) -> list[str]:
    """Versions as image tags, without a leading v."""
    pod_spec = dig(workload, "spec", "template", "spec", default={})
    tags = (_TAG.search(str(c.get("image", "")).rpartition("/")[2]) for c in containers(pod_spec))
    return [match[1] for match in tags if match]


def _ours(
    prepared: Prepared, part: PlannedComponent, actions: Mapping[ObjectId, str]
) -> ComponentRow:
    component = part.component
    name, target = component.name, component.version
    record = prepared.ledger.components.get(name)
    mine = {item.ref.identity for item in part.wanted}
    there = [part.live[key] for key in mine if key in part.live]
    if record is not None:
        why = _why_ours(part, actions, record.version, record.state)
        return ComponentRow(name, record.version, "ours", target, why)
    workloads = [obj for obj in there if obj["kind"] in _WORKLOADS]
    if not any(obj["kind"] not in ("Namespace", "CustomResourceDefinition") for obj in there):
        left = f", {len(there)} of its namespaces and CRDs exist" if there else ""
        return ComponentRow(name, "", "none", target, f"not installed{left}")
    versions = sorted({v for obj in workloads for v in versions_of(obj)})
    why = f"{len(there)} of its {len(part.wanted)} objects exist and are not in our ledger"
    return ComponentRow(name, ", ".join(versions), "foreign", target, why)


def _why_ours(
    part: PlannedComponent, actions: Mapping[ObjectId, str], version: str, state: str
) -> str:
    differing = sum(
        1 for item in part.wanted if actions.get(item.ref.identity) not in ("unchanged", None)
    )
    said = "same version" if version == part.component.version else "another version"
    if state != "installed":
        said += ", the last run did not finish it"
    if not differing:
        return f"{said}, nothing differs"
    noun = "object differs" if differing == 1 else "objects differ"
    return f"{said}, {differing} {noun}"

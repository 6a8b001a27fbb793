"""Components that somebody else manages: looked at, reported, never written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from installer.catalog.model import Component
from installer.cluster.client import Cluster
from installer.cluster.readiness import readiness
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.core.objects import Object, containers, dig, ref_of
from installer.operations.prepare import Prepared

_TAG = re.compile(r":v?(\d+\.\d+(?:\.\d+)?[^@]*)")


def check_external(cluster: Cluster, prepared: Prepared, emit: Emit) -> None:
    """Raise ChecksFailed unless every external component is there, healthy, and serves the kinds
    that our objects use; its version is reported when it is not the release's."""
    for component in prepared.external:
        found = _workloads(cluster, component)
        if not found:
            raise ChecksFailed(
                f"{component.name} is declared external, but namespace {component.namespace} "
                "has no Deployment of it",
                kind="external-missing",
                object=f"Namespace {component.namespace}",
                remedy=f"install {component.name} {component.version}, or take it out of "
                "`external` in the settings",
            )
        _check_health(component, found)
        _tell_version(component, found, emit)
    _check_served(cluster, prepared)


def _workloads(cluster: Cluster, component: Component) -> Sequence[Object]:
    return cluster.list("apps/v1", "Deployment", component.namespace).items


def _check_health(component: Component, workloads: Sequence[Object]) -> None:
    for workload in workloads:
        state = readiness(workload)
        if state.state != "ready":
            raise ChecksFailed(
                f"{component.name} is declared external and not healthy: {ref_of(workload)} is "
                f"{state.state}: {state.message or state.reason}",
                kind="external-unhealthy",
                object=str(ref_of(workload)),
                remedy="repair it, then run again",
            )


def _tell_version(component: Component, workloads: Sequence[Object], emit: Emit) -> None:
    versions = sorted({v for workload in workloads for v in _versions(workload)})
    if component.version in versions:
        return
    emit(
        Event(
            "warning",
            {
                "message": f"external {component.name} runs {', '.join(versions) or 'an unknown '}"
                f"{'' if versions else 'version'}; the release was tested with "
                f"{component.version}",
                "object": f"Namespace {component.namespace}",
                "remedy": "",
            },
        )
    )


def _versions(workload: Object) -> list[str]:
    """Versions as image tags, without a leading v."""
    pod_spec = dig(workload, "spec", "template", "spec", default={})
    tags = (_TAG.search(str(c.get("image", "")).rpartition("/")[2]) for c in containers(pod_spec))
    return [match[1] for match in tags if match]


def _check_served(cluster: Cluster, prepared: Prepared) -> None:
    """Kinds that neither the server nor the release's own CRDs serve would fail half-way."""
    if not prepared.external:
        return
    brought = {
        (item.body["spec"]["group"], item.body["spec"]["names"]["kind"])
        for part in prepared.planned
        for item in part.wanted
        if item.ref.kind == "CustomResourceDefinition"
    }
    discovery = cluster.discovery()
    for part in prepared.planned:
        for item in part.wanted:
            ref = item.ref
            known = (ref.group, ref.kind) in brought
            if not known and discovery.find(ref.api_version, ref.kind) is None:
                raise ChecksFailed(
                    f"{ref} of {part.component.name} needs {ref.api_version}, which this "
                    "cluster does not serve",
                    kind="no-match",
                    object=str(ref),
                    remedy="bring the external component to a version that serves it",
                )

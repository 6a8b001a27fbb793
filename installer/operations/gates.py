"""What must hold after a stage before the next one begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from installer.catalog.model import WebhookProbe
from installer.cluster.client import Cluster
from installer.cluster.definitions import wait_established
from installer.cluster.pending import Pending
from installer.cluster.readiness import readiness
from installer.cluster.wait import wait_ready
from installer.cluster.webhooks import wait_answering
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref
from installer.plan.wanted import Wanted

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Gate:
    """A stage that was just applied, with the whole component around it.

    now: objects as the server last showed them; what was ready there is not awaited.
    probes: what the catalog says its webhooks are asked with.
    """

    component: str
    stage: str
    items: Sequence[Wanted]
    component_items: Sequence[Wanted]
    now: Mapping[Ref, Object]
    probes: Sequence[WebhookProbe] = ()

    def refs(self, *stages: str) -> list[Ref]:
        """References of the component's objects in these stages."""
        return [item.ref for item in self.component_items if item.stage in stages]

    def unready(self, *stages: str) -> list[Ref]:
        """Those of `refs` that are not known to be ready."""
        return [ref for ref in self.refs(*stages) if not _is_ready(self.now.get(ref))]


def await_gate(cluster: Cluster, gate: Gate, emit: Emit, cancel: Cancel) -> None:
    """Return when the stage's gate holds.

    Raises NotReady with the first cause when something failed or the limit of `cancel` passed.
    """

    def progress(pending: Sequence[Pending], total: int) -> None:
        emit(waiting(gate.component, gate.stage, pending, total))

    if gate.stage == "crds":
        refs = gate.unready("crds")
        wait_established(cluster, refs, deadline=cancel.left(), cancel=cancel, progress=progress)
        _await_served(cluster, gate, cancel)
    elif gate.stage in ("namespaces", "resources", "jobs"):
        refs = gate.unready(gate.stage)
        wait_ready(cluster, refs, deadline=cancel.left(), cancel=cancel, progress=progress)
    elif gate.stage == "workloads":
        # a Certificate is applied in `setup` but only matters once its pods are wanted
        refs = gate.unready("setup", "workloads")
        wait_ready(cluster, refs, deadline=cancel.left(), cancel=cancel, progress=progress)
    elif gate.stage == "webhooks":
        definitions = [ref for ref in gate.refs("crds") if ref.kind == "CustomResourceDefinition"]
        wait_answering(
            cluster,
            gate.refs("webhooks"),
            definitions,
            probes=gate.probes,
            deadline=cancel.left(),
            cancel=cancel,
            progress=progress,
            emit=emit,
        )


def _is_ready(obj: Object | None) -> bool:
    return bool(obj) and readiness(obj).ready


def _await_served(cluster: Cluster, gate: Gate, cancel: Cancel) -> None:
    """Discovery lags behind Established: ask again until every new kind is there."""
    kinds = [
        (f"{spec['group']}/{version}", spec["names"]["kind"])
        for item in gate.items
        if (spec := item.body.get("spec")) and "names" in spec
        for version in _served_versions(spec)
    ]
    delay = 0.05
    discovery = cluster.discovery()
    while True:
        discovery.forget({api_version for api_version, _ in kinds})
        discovery.prefetch({api_version for api_version, _ in kinds})
        missing = [key for key in kinds if discovery.find(*key) is None]
        if not missing:
            return
        if not cancel.left():
            api_version, kind = missing[0]
            raise NotReady(
                f"{kind} {api_version} is established and still not served",
                kind="not-served",
                object=f"{kind} {api_version}",
                remedy="look at the API server's log, then run the same command again",
            )
        cancel.sleep(delay, f"waiting until {missing[0][1]} {missing[0][0]} is served")
        delay = min(1.0, delay * 2)


def _served_versions(spec: dict[str, object]) -> list[str]:
    versions = spec.get("versions")
    if isinstance(versions, list) and versions:
        return [v["name"] for v in versions if v.get("served")]
    return [str(spec["version"])]  # apiextensions.k8s.io/v1beta1 allows a single version


def waiting(component: str, stage: str, pending: Sequence[Pending], total: int) -> Event:
    """The event `waiting` for what is not ready, most telling first."""
    return Event(
        "waiting",
        {
            "component": component,
            "stage": stage,
            "for": [
                {
                    "object": str(item.ref),
                    "state": item.readiness.state,
                    "reason": item.readiness.message or item.readiness.reason,
                }
                for item in pending[:_SHOWN]
            ],
            "pending": len(pending),
            "total": total,
        },
    )

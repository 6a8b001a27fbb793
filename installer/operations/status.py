"""`status`: what is installed, is it well, has it drifted. Reads the ledger and LISTs; no catalog,
no downloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster, Identity
from installer.cluster.identity import read_uid
from installer.cluster.ledger import ComponentRecord, Ledger, Run
from installer.cluster.lock import held_by
from installer.cluster.readiness import readiness
from installer.core.errors import InstallerError
from installer.core.objects import Object, ObjectId
from installer.operations.live import read_live
from installer.plan.drift import RAN_ONCE, Entry, seen_fingerprint

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


@dataclass(frozen=True, slots=True)
class ObjectProblem:
    """An object that is not well: reason is one word, message the sentence behind it."""

    object: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One component. ready of total counts its objects; drift its differing or missing ones."""

    name: str
    version: str
    state: str
    ready: int
    total: int
    workloads_ready: int
    workloads: int
    drift: int
    problems: tuple[ObjectProblem, ...]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The stack. state: as in the ledger, empty when nothing is installed by us.

    lost: components whose record in the ledger is gone. running: who is at work on it now.
    uid: of the namespace kube-system, which tells clusters apart; empty when we may not read it.
    """

    identity: Identity
    release: str
    state: str
    external: tuple[str, ...]
    last_run: Run | None
    lost: tuple[str, ...]
    running: str
    components: tuple[ComponentStatus, ...]
    uid: str = ""

    @property
    def drift(self) -> int:
        """Objects that differ from what was installed, or are gone."""
        return sum(component.drift for component in self.components)

    @property
    def healthy(self) -> bool:
        """True when everything recorded is there and ready."""
        ready = all(component.ready == component.total for component in self.components)
        return self.state == "installed" and not self.lost and ready

    def to_dict(self) -> dict[str, Any]:
        """The `-o json` form."""
        run = self.last_run
        return {
            "context": self.identity.context,
            "server": self.identity.server,
            "kubernetes": self.identity.git_version,
            "uid": self.uid,
            "release": self.release,
            "state": self.state,
            "healthy": self.healthy,
            "drift": self.drift,
            "external": list(self.external),
            "lost": list(self.lost),
            "running": self.running,
            "last_run": None if run is None else {s: getattr(run, s) for s in Run.__slots__},
            "components": [_component_to(component) for component in self.components],
        }


def status(cluster: Cluster) -> StatusReport:
    """Read the state of the stack; writes nothing."""
    identity = cluster.identity()
    ledger = ledgers.read(cluster)
    running = held_by(cluster) if _is_open(ledger) else ""
    if _is_open(ledger) and not running:
        ledger = ledgers.read(cluster)  # it may have ended since, and given the lock back
    live = read_live(cluster, [entry.ref for entry in ledger.owners().values()])
    return report(identity, ledger, live, running, _uid(cluster))


def _uid(cluster: Cluster) -> str:
    try:
        return read_uid(cluster.get)
    except InstallerError:
        return ""


def _is_open(ledger: Ledger) -> bool:
    """Whether the newest run has not noted its end."""
    return ledger.last_run is not None and not ledger.last_run.outcome


def report(
    identity: Identity,
    ledger: Ledger,
    live: Mapping[ObjectId, Object],
    running: str = "",
    uid: str = "",
) -> StatusReport:
    """Judge the objects of a ledger as found in `live`; running: who holds the lock, uid: of the
    cluster. Pure."""
    return StatusReport(
        identity,
        ledger.release,
        ledger.state,
        ledger.external,
        ledger.last_run,
        ledger.lost,
        running,
        tuple(_component(record, live) for record in ledger.components.values()),
        uid,
    )


def _component(record: ComponentRecord, live: Mapping[ObjectId, Object]) -> ComponentStatus:
    problems: list[ObjectProblem] = []
    ready = workloads = workloads_ready = drift = 0
    for identity, entry in sorted(record.entries.items()):
        found = live.get(identity)
        state = readiness(found)
        is_workload = entry.ref.kind in _WORKLOADS
        workloads += is_workload
        if found is None and _ran_once(entry):
            ready += 1
            workloads_ready += is_workload
            continue
        if state.state == "ready":
            ready += 1
            workloads_ready += is_workload
        else:
            reason = state.reason or state.state
            problems.append(ObjectProblem(str(entry.ref), reason, state.message))
        drift += _drifted(entry, found)
    return ComponentStatus(
        record.name,
        record.version,
        record.state,
        ready,
        len(record.entries),
        workloads_ready,
        workloads,
        drift,
        tuple(problems),
    )


def _ran_once(entry: Entry) -> bool:
    return entry.seen == RAN_ONCE


def _drifted(entry: Entry, found: Object | None) -> bool:
    if found is None or not entry.seen:
        return True
    return not _ran_once(entry) and entry.seen != seen_fingerprint(found)


def _component_to(component: ComponentStatus) -> dict[str, Any]:
    data = {slot: getattr(component, slot) for slot in ComponentStatus.__slots__}
    data["problems"] = [
        {"object": p.object, "reason": p.reason, "message": p.message} for p in component.problems
    ]
    return data

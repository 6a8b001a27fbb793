"""The ledger: what we installed and own, kept in the cluster itself.

One ConfigMap for the stack and one per component, in namespace `kserve-installer`. References
are written before their objects are applied, so that a killed run leaves nothing unowned;
fingerprints are settled after each stage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from installer.cluster.client import Cluster
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref, dig
from installer.plan.drift import MANAGER, Entry

NAMESPACE = "kserve-installer"
HOME = Ref("v1", "Namespace", "", NAMESPACE)
STACK = "ledger"
PREFIX = "ledger-"
FORMAT = 1
RUNS_KEPT = 10

_LABELS = {"app.kubernetes.io/managed-by": MANAGER}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command. times are RFC 3339; outcome is empty while it runs."""

    id: str
    command: str
    release: str
    started: str
    by: str
    finished: str = ""
    outcome: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ComponentRecord:
    """One component as installed. state: installing, installed, uninstalling."""

    name: str
    version: str
    state: str
    stages: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[tuple[str, str, str, str], Entry] = field(default_factory=dict)

    def with_entries(self, entries: Mapping[tuple[str, str, str, str], Entry]) -> ComponentRecord:
        """A copy in which these entries are added or replaced."""
        return replace(self, entries={**self.entries, **entries})

    def with_stage(self, stage: str, state: str) -> ComponentRecord:
        """A copy with one stage's state set: `applying` or `done`."""
        return replace(self, stages={**self.stages, stage: state})


@dataclass(frozen=True, slots=True)
class Ledger:
    """The stack as installed. state: empty (nothing), installing, installed, uninstalling."""

    release: str = ""
    state: str = ""
    settings: str = ""
    external: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    components: Mapping[str, ComponentRecord] = field(default_factory=dict)

    @property
    def last_run(self) -> Run | None:
        """The newest run, None when there was none."""
        return self.runs[-1] if self.runs else None

    def owners(self) -> dict[tuple[str, str, str, str], Entry]:
        """Every entry of every component by object identity."""
        return {k: e for c in self.components.values() for k, e in c.entries.items()}


def read(cluster: Cluster) -> Ledger:
    """The ledger of a cluster; an empty one when there is none."""
    found = cluster.list("v1", "ConfigMap", NAMESPACE, label_selector=_selector()).items
    by_name = {dig(item, "metadata", "name"): item for item in found}
    components = {}
    for name, item in sorted(by_name.items()):
        if name.startswith(PREFIX):
            record = _component_from(item)
            components[record.name] = record
    stack = by_name.get(STACK)
    if stack is None:
        return Ledger(components=components)
    data = _document(stack)
    return Ledger(
        release=data["release"],
        state=data["state"],
        settings=data["settings"],
        external=tuple(data["external"]),
        runs=tuple(Run(**run) for run in data["runs"]),
        components=components,
    )


def write_stack(cluster: Cluster, ledger: Ledger) -> None:
    """Write the stack's part: release, state, run history."""
    document = {
        "format": FORMAT,
        "release": ledger.release,
        "state": ledger.state,
        "settings": ledger.settings,
        "external": list(ledger.external),
        "runs": [_run_to(run) for run in ledger.runs[-RUNS_KEPT:]],
    }
    cluster.apply(_config_map(STACK, document), force=True)


def write_component(cluster: Cluster, record: ComponentRecord) -> None:
    """Write one component's part; components are written independently of each other."""
    document = {
        "format": FORMAT,
        "name": record.name,
        "version": record.version,
        "state": record.state,
        "stages": dict(record.stages),
        "entries": [
            [*_ref_to(entry.ref), entry.sent, entry.seen, entry.created]
            for _, entry in sorted(record.entries.items())
        ],
    }
    cluster.apply(_config_map(PREFIX + record.name, document), force=True)


def forget_component(cluster: Cluster, name: str) -> None:
    """Remove a component's part, after everything in it is gone."""
    cluster.delete(Ref("v1", "ConfigMap", NAMESPACE, PREFIX + name))


def create_home(cluster: Cluster) -> None:
    """Create the namespace of ledger and lock."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": _LABELS},
        },
        force=True,
    )


def is_our_home(namespace: Object) -> bool:
    """Whether the namespace of ledger and lock was made by us, and not by somebody before."""
    return all(dig(namespace, "metadata", "labels", key) == value for key, value in _LABELS.items())


def _selector() -> str:
    return ",".join(f"{key}={value}" for key, value in _LABELS.items())


def _config_map(name: str, document: dict[str, Any]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": _LABELS},
        "data": {"ledger.json": json.dumps(document, indent=1)},
    }


def _document(item: Object) -> dict[str, Any]:
    name = dig(item, "metadata", "name")
    try:
        data = json.loads(item["data"]["ledger.json"])
        if data["format"] > FORMAT:
            raise InstallerError(
                f"the ledger was written by a newer kserve-installer (format {data['format']})",
                kind="ledger",
                object=f"ConfigMap {NAMESPACE}/{name}",
                remedy="use that version, or a later one",
            )
        return dict(data)
    except (KeyError, TypeError, ValueError) as broken:
        raise InstallerError(
            f"the ledger cannot be read: {broken!r}",
            kind="ledger",
            object=f"ConfigMap {NAMESPACE}/{name}",
            remedy="restore it from a backup, or delete it and run install again: "
            "objects that exist are then taken over",
        ) from broken


def _component_from(item: Object) -> ComponentRecord:
    data = _document(item)
    entries = {}
    for api_version, kind, namespace, name, sent, seen, created in data["entries"]:
        ref = Ref(api_version, kind, namespace, name)
        entries[ref.identity] = Entry(ref, sent, seen, created)
    return ComponentRecord(data["name"], data["version"], data["state"], data["stages"], entries)


def _ref_to(ref: Ref) -> tuple[str, str, str, str]:
    return (ref.api_version, ref.kind, ref.namespace, ref.name)


def _run_to(run: Run) -> dict[str, str]:
    return {
        "id": run.id,
        "command": run.command,
        "release": run.release,
        "started": run.started,
        "by": run.by,
        "finished": run.finished,
        "outcome": run.outcome,
        "message": run.message,
    }

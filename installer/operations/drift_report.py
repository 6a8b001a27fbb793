"""`status --drift`: every field that differs from what was installed, and who made it so.

The release's manifests say what each field was to be; a dry-run of what we would send, against
what is there, tells the fields; managedFields tell who wrote them and when. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.events import Emit
from installer.core.objects import Object, ObjectId, Ref
from installer.operations.choice import InstallOptions, choose
from installer.operations.live import read_live
from installer.operations.planning import previews_of
from installer.operations.prepare import PlannedComponent, Prepared, prepare
from installer.operations.preview import Preview
from installer.plan.diff import ABSENT, Change, compare, path_text, speaks_of
from installer.plan.drift import RAN_ONCE, Entry, seen_fingerprint
from installer.plan.managers import Writer, fields_of_others, last_writer, writers_of
from installer.plan.masking import masked_pair
from installer.plan.wanted import Wanted

Origin = Literal["deleted", "edit", "added", "version", "unknown", "controller", "others", "server"]
"""Who made a difference.

deleted     somebody deleted the object
edit        a manager that is no controller of Kubernetes changed a field that we had set
added       a field that we never set, and a manager that is no controller did; an install leaves it
version     this installer, or the settings given, want it otherwise than when it was installed
unknown     a field that we set differs, and nobody is noted
controller  a controller of Kubernetes changed a field that we had set
others      a field that we never set, and a controller did
server      a field that the server fills in by itself, as a consequence of another
"""
EXPECTED: tuple[Origin, ...] = ("controller", "others", "server")
"""Origins of what an install leaves as it is, or what follows from another field."""
LEFT: tuple[Origin, ...] = ("added", *EXPECTED)
"""Origins of what an install would not change."""
_CONTROLLERS = (
    "kube-controller-manager",
    "cloud-controller-manager",
    "kube-scheduler",
    "kube-apiserver",
    "kubelet",
)
"""Kubernetes' own."""
_OF_THE_STACK = ("cainjector", "controller", "manager", "pilot-discovery", "webhook")
"""Field managers of the stack's controllers, as recorded on a cluster with kfserving-0.5.1:
cert-manager's and Knative's `controller` and `webhook`, KFServing's `manager`, istiod. What they
write beside our fields is their work; a field of ours that they change is still an edit."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, or a whole object where path is empty.

    live, installed: the values, masked for Secrets; ABSENT where there is none or it is unknown.
    manager, time: who made it and when (RFC 3339), empty where nobody is noted.
    """

    ref: Ref
    component: str
    origin: Origin
    path: str = ""
    live: Any = ABSENT
    installed: Any = ABSENT
    manager: str = ""
    time: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        values = {"live": self.live, "installed": self.installed}
        return {
            "object": self.ref.to_dict(),
            "component": self.component,
            "origin": self.origin,
            "path": self.path,
            **{name: value for name, value in values.items() if value is not ABSENT},
            "manager": self.manager,
            "time": self.time,
        }


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All differences.

    problem: why fields could not be told, empty when they could. note: what else to know.
    """

    differences: Sequence[Difference]
    problem: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "fields_known": not self.problem,
            "problem": self.problem,
            "note": self.note,
            "differences": [item.to_dict() for item in self.differences],
        }


def drift(
    cluster: Cluster, options: InstallOptions | None, emit: Emit, cancel: Cancel
) -> DriftReport:
    """What differs from what was installed.

    options: where to find the release's manifests, with the settings it was installed with; its
    release is not read, the ledger names it. Without manifests the objects are told, and who
    changed each last. Raises ApiError where the cluster cannot be asked.
    """
    ledger = ledgers.read(cluster)
    if not ledger.release:
        return DriftReport([])
    try:
        prepared = prepare(cluster, choose(_of(options, ledger.release)), emit, cancel)
    except ApiError:
        raise
    except InstallerError as error:
        return DriftReport(list(_objects_only(cluster, ledger)), _why_blind(error))
    note = ""
    if prepared.options.settings.digest() != ledger.settings:
        note = (
            "the settings are not those it was installed with (-f gives them), so that some of "
            "these differences are the settings'"
        )
    return DriftReport(list(_fields(cluster, prepared, cancel)), note=note)


def _of(options: InstallOptions | None, release: str) -> InstallOptions:
    return InstallOptions(release) if options is None else replace(options, release=release)


def _why_blind(error: InstallerError) -> str:
    cause = error.message.splitlines()[0].rstrip(":")
    return (
        f"fields cannot be told: {cause}; they need the release's manifests, from --mirror, "
        "--bundle or the network"
    )


def _objects_only(cluster: Cluster, ledger: Ledger) -> Iterator[Difference]:
    """Objects that are not as they were left, with who changed each last."""
    refs = [entry.ref for entry in ledger.owners().values()]
    live = read_live(cluster, refs, metadata_only=frozenset(ref.kind for ref in refs))
    for record in ledger.components.values():
        for identity, entry in sorted(record.entries.items()):
            found = live.get(identity)
            if entry.seen == RAN_ONCE:
                continue
            if found is None:
                yield Difference(entry.ref, record.name, "deleted")
            elif entry.seen != seen_fingerprint(found):
                writer = last_writer(found)
                yield _whole(entry.ref, record.name, writer)


def _whole(ref: Ref, component: str, writer: Writer | None) -> Difference:
    if writer is None or writer.ours:
        return Difference(ref, component, "unknown")
    origin = _origin_of(writer)
    return Difference(ref, component, origin, manager=writer.manager, time=writer.time)


def _fields(cluster: Cluster, prepared: Prepared, cancel: Cancel) -> Iterator[Difference]:
    previews = previews_of(cluster, prepared, cancel, "apply")
    owners = prepared.ledger.owners()
    for part in prepared.planned:
        yield from _of_component(part, owners, previews)
    for ref in prepared.prune:
        component = next(
            (r.name for r in prepared.ledger.components.values() if ref.identity in r.entries), ""
        )
        yield Difference(ref, component, "version")


def _of_component(
    part: PlannedComponent,
    owners: Mapping[ObjectId, Entry],
    previews: Mapping[ObjectId, Preview],
) -> Iterator[Difference]:
    name = part.component.name
    for item in part.wanted:
        identity = item.ref.identity
        entry = owners.get(identity)
        if part.decisions[identity] == "create":
            yield Difference(item.ref, name, "deleted" if entry and entry.seen else "version")
        preview = previews.get(identity)
        if preview is not None:
            yield from differences_of(item, preview, entry)
        yield from beside_ours(item, part.live.get(identity), preview)


def beside_ours(item: Wanted, live: Object | None, preview: Preview | None) -> Iterator[Difference]:
    """Fields beside ours, each with its owner, but those that the preview tells. Pure."""
    told = {change.where for change in preview.changes} if preview else set()
    for path, writer in fields_of_others(live or {}):
        where = path_text(path)
        if where not in told:
            quiet = writer.manager in (*_CONTROLLERS, *_OF_THE_STACK)
            yield Difference(
                item.ref,
                item.component,
                "others" if quiet else "added",
                where,
                manager=writer.manager,
                time=writer.time,
            )


def differences_of(item: Wanted, preview: Preview, entry: Entry | None) -> Iterator[Difference]:
    """The fields of one object in which live and wanted differ, with who made each. Pure."""
    before, after = masked_pair(preview.before, preview.after)
    if before is None or after is None:
        return
    changes = preview.changes if after is preview.after else compare(before, after)
    ours_moved = entry is None or entry.sent != item.digest
    for change in changes:
        writer = _maker(preview.before or {}, change)
        yield Difference(
            item.ref,
            item.component,
            _origin(item, preview, change, writer, ours_moved),
            change.where,
            change.old,
            change.new,
            writer.manager if writer else "",
            writer.time if writer else "",
        )


def _origin(
    item: Wanted, preview: Preview, change: Change, writer: Writer | None, ours_moved: bool
) -> Origin:
    if writer is not None:
        return _origin_of(writer)
    was_ours = any(found.ours for found in writers_of(preview.before or {}, change.path))
    if not was_ours and not speaks_of(item.body, change.path):
        return "server"
    return "version" if ours_moved else "unknown"


def _maker(before: Object, change: Change) -> Writer | None:
    others = [writer for writer in writers_of(before, change.path) if not writer.ours]
    return others[0] if others else None


def _origin_of(writer: Writer) -> Origin:
    return "controller" if writer.manager in _CONTROLLERS else "edit"

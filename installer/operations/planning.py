"""`plan`: the decisions of an install, explained object by object. Writes nothing.

The decisions are those of `prepare`, so that plan and install cannot disagree; dry-runs of what
is to be written tell which fields change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.readiness import readiness
from installer.core.cancel import Cancel
from installer.core.events import Emit
from installer.core.objects import Object, ObjectId, Ref
from installer.operations.choice import Choice
from installer.operations.plan_components import ComponentRow, component_rows, workloads_of
from installer.operations.plan_reasons import action_of, reason_of
from installer.operations.prepare import PlannedComponent, Prepared, check_installed, prepare
from installer.operations.preview import Missing, Preview, preview_all
from installer.plan.diff import ABSENT, Change, compare
from installer.plan.drift import Decision
from installer.plan.footprint import Footprint, footprint
from installer.plan.gating import WAITS, waits_for
from installer.plan.managers import writers_of
from installer.plan.masking import masked_pair
from installer.plan.wanted import Wanted

ACTIONS = ("create", "change", "recreate", "adopt", "delete", "unchanged", "external")
"""What can be meant for an object.

adopt      it exists and is not in our ledger; from now on it is
recreate   a field differs that cannot be changed in place
external   declared external in the settings; never written
"""
QUIET = ("unchanged", "external")
"""Actions that change nothing."""


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object. waits_for: a word of `plan.gating.WAITS`, or empty.

    before, after: to be shown, so Secrets are masked; None where the object is not there, and
    both None where nothing is to be seen. changes: between the two, by path; writers: who owns
    each in the cluster now, by place in `changes`. blind: its fields cannot be previewed. stops:
    other managers own fields of it that install does not take over, so that it ends there.
    """

    action: str
    ref: Ref
    component: str
    stage: str = ""
    reason: str = ""
    waits_for: str = ""
    before: Object | None = None
    after: Object | None = None
    changes: Sequence[Change] = ()
    writers: Sequence[str] = ()
    blind: bool = False
    stops: bool = False

    def to_dict(self, created: bool) -> dict[str, Any]:
        """The JSON form; created: a new object's whole body is one change, with an empty path."""
        changes = list(zip(self.changes, self.writers, strict=True))
        if created and self.before is None and self.after is not None:
            changes = [(Change((), ABSENT, self.after), "")]
        return {
            "action": self.action,
            "object": self.ref.to_dict(),
            "component": self.component,
            "stage": self.stage,
            "reason": self.reason,
            "waits_for": self.waits_for,
            "previewed": not self.blind,
            "stops": self.stops,
            "changes": [_change_to(change, writer) for change, writer in changes],
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What an install of the release would do here now."""

    prepared: Prepared
    components: Sequence[ComponentRow]
    objects: Sequence[ObjectRow]
    footprint: Footprint

    def count(self, action: str) -> int:
        """How many objects have this action."""
        return sum(1 for row in self.objects if row.action == action)

    @property
    def totals(self) -> dict[str, dict[str, int]]:
        """Objects by action, and by what is waited for."""
        waits = [row.waits_for for row in self.objects if row.waits_for]
        return {
            "actions": {action: self.count(action) for action in ACTIONS},
            "waits": {word: waits.count(word) for word in WAITS},
        }

    @property
    def unfinished(self) -> bool:
        """True when the ledger says that an install of this release began and did not end."""
        return self.prepared.ledger.state == "installing"

    @property
    def differs(self) -> bool:
        """True when an install would do more than look."""
        return self.unfinished or any(row.action not in QUIET for row in self.objects)

    def to_dict(self, created: bool = False) -> dict[str, Any]:
        """The JSON form; Secrets are masked. created: with the bodies of new objects."""
        identity = self.prepared.identity
        return {
            "release": self.prepared.release.name,
            "cluster": {
                "context": identity.context,
                "server": identity.server,
                "kubernetes": identity.git_version,
                "nodes": identity.nodes,
            },
            "let_go": [str(handover) for handover in self.prepared.handovers],
            "differs": self.differs,
            "unfinished": self.unfinished,
            "components": [row.to_dict() for row in self.components],
            "objects": [row.to_dict(created) for row in self.objects],
            "totals": self.totals,
            "footprint": self.footprint.to_dict(),
        }


def make_plan(cluster: Cluster, choice: Choice, emit: Emit, cancel: Cancel) -> Plan:
    """Decide and explain. Raises what `prepare` and `check_installed` raise."""
    prepared = prepare(cluster, choice, emit, cancel)
    check_installed(prepared.ledger, prepared.release)
    return explain(cluster, prepared, cancel)


def explain(cluster: Cluster, prepared: Prepared, cancel: Cancel) -> Plan:
    """A decided install, explained."""
    previews = previews_of(cluster, prepared, cancel, "create", "apply")
    outside = {c.name: workloads_of(cluster, c) for c in prepared.external}
    rows = [
        *(row for part in prepared.planned for row in _rows(prepared, part, previews)),
        *_deleted(cluster, prepared),
        *(
            ObjectRow("external", ref, name, reason="declared external; never written")
            for name, workloads in outside.items()
            for ref, _ in workloads
        ),
    ]
    actions = {row.ref.identity: row.action for row in rows}
    bodies = [item.body for part in prepared.planned for item in part.wanted]
    return Plan(
        prepared,
        component_rows(prepared, actions, outside),
        rows,
        footprint(bodies, _nodes(cluster)),
    )


def previews_of(
    cluster: Cluster, prepared: Prepared, cancel: Cancel, *decisions: Decision
) -> dict[ObjectId, Preview]:
    """Previews of the objects with one of these decisions."""
    items = [
        item
        for part in prepared.planned
        for item in part.wanted
        if part.decisions[item.ref.identity] in decisions
    ]
    live = {key: obj for part in prepared.planned for key, obj in part.live.items()}
    missing = missing_of(cluster, prepared, live)
    return preview_all(
        cluster,
        items,
        live,
        missing,
        forced=prepared.forced,
        former=prepared.former,
        cancel=cancel,
    )


def missing_of(cluster: Cluster, prepared: Prepared, live: Mapping[ObjectId, Object]) -> Missing:
    """Kinds and namespaces of the release that are not there yet."""
    wanted = [item for part in prepared.planned for item in part.wanted]
    brought = {
        (item.body["spec"]["group"], item.body["spec"]["names"]["kind"])
        for item in wanted
        if item.ref.kind == "CustomResourceDefinition"
    }
    discovery = cluster.discovery()
    kinds = {
        (item.ref.group, item.ref.kind)
        for item in wanted
        if (item.ref.group, item.ref.kind) in brought
        and discovery.find(item.ref.api_version, item.ref.kind) is None
    }
    absent = {
        item.ref.name
        for item in wanted
        if item.ref.kind == "Namespace" and item.ref.identity not in live
    }
    return Missing(kinds, absent)


def _rows(
    prepared: Prepared,
    part: PlannedComponent,
    previews: Mapping[ObjectId, Preview],
) -> Iterator[ObjectRow]:
    record = prepared.ledger.components.get(part.component.name)
    owners = prepared.ledger.owners()
    for item in part.wanted:
        preview = previews.get(item.ref.identity)
        if preview is None:
            yield ObjectRow("unchanged", item.ref, item.component, item.stage)
            continue
        entry = owners.get(item.ref.identity)
        since = record.version if record else ""
        action = action_of(item, preview, entry, part.component, since)
        reason = reason_of(action, item, preview, entry)
        yield _shown(item, preview, action, reason)


def _shown(item: Wanted, preview: Preview, action: str, reason: str) -> ObjectRow:
    before, after = masked_pair(preview.before, preview.after)
    changes = preview.changes
    if preview.before is not None and after is not preview.after and after and before:
        changes = compare(before, after)  # a Secret: the same fields with other words
    waits = waits_for(item.stage, readiness(item.body).ready) if action != "unchanged" else ""
    return ObjectRow(
        action,
        item.ref,
        item.component,
        item.stage,
        reason,
        waits,
        before,
        after,
        changes,
        [_writer(preview.before, change) for change in changes],
        bool(preview.blind),
        bool(preview.conflicts) and not preview.forced,
    )


def _writer(before: Object | None, change: Change) -> str:
    writers = [w for w in writers_of(before or {}, change.path) if not w.ours]
    return writers[0].manager if writers else ""


def _deleted(cluster: Cluster, prepared: Prepared) -> Iterator[ObjectRow]:
    """What the ledger owns and this release with these settings does not have."""
    owner = {
        identity: record.name
        for record in prepared.ledger.components.values()
        for identity in record.entries
    }
    for ref in prepared.prune:
        found = cluster.get(ref)
        component = owner.get(ref.identity, "")
        if found is None:
            reason = "is gone already; only the ledger still has it"
            yield ObjectRow("unchanged", ref, component, reason=reason)
            continue
        before, _ = masked_pair(found, None)
        reason = "is ours, and neither the release nor the settings want it any more"
        yield ObjectRow("delete", ref, component, reason=reason, before=before)


def _nodes(cluster: Cluster) -> list[Object] | None:
    try:
        return cluster.list("v1", "Node").items
    except ApiError as error:
        if error.failure.kind == "forbidden":
            return None
        raise


def _change_to(change: Change, writer: str) -> dict[str, Any]:
    found: dict[str, Any] = {"path": change.where}
    for name, value in (("old", change.old), ("new", change.new)):
        if value is not ABSENT:
            found[name] = value
    return {**found, "manager": writer} if writer else found

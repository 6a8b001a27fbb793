"""`upgrade plan`: where upgrades lead to from here, and what the way to one release takes.

Reads the cluster, the catalog, and those manifests that are at hand; unless it is told to, nothing
is fetched, so that a way of a dozen hops is shown at once. Objects are counted from one release to
the next; what the next hop writes object by object is for `plan` of that hop's release after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from installer.catalog.load import load
from installer.catalog.model import Catalog
from installer.catalog.resolve import find_release
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster, Identity
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.operations.downtime import expected_downtime
from installer.operations.hop_objects import (
    NOT_COUNTED,
    HopObjects,
    Uncounted,
    count_objects,
)
from installer.operations.recognise import Recognised, as_adopted, recognise
from installer.operations.upgrade import check_origin, no_way
from installer.operations.upgrade_hop import UpgradeOptions
from installer.operations.upgrade_steps import steps_of
from installer.plan.downtime import Expected
from installer.plan.hop import Hop, Path
from installer.plan.hop_notes import HopNotes, notes_of
from installer.plan.hops import path_of, reachable


@dataclass(frozen=True, slots=True)
class HopRow:
    """One hop with what there is to say about it. objects: how many it makes, changes and removes,
    or why that is not known."""

    hop: Hop
    notes: HopNotes
    steps: Sequence[tuple[str, str]]
    objects: HopObjects | Uncounted = NOT_COUNTED

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        hop = self.hop
        needed = hop.kubernetes
        return {
            "from": hop.origin,
            "to": hop.target,
            "components": [
                {**change.to_dict(), "external": change.name in hop.external}
                for change in hop.changes
            ],
            "stops": [dict(versions) for versions in hop.stops],
            "kubernetes": hop.window.to_dict(),
            "kubernetes_supported": None if hop.supported.empty else hop.supported.to_dict(),
            "kubernetes_upgrade": None
            if needed is None
            else {**needed.window.to_dict(), "gap": needed.gap},
            "skipped": [
                {"component": s.component, "minors": list(s.minors), "hard": s.hard}
                for s in hop.skipped
            ],
            "blocked": bool(hop.blocked),
            "objects": self.objects.to_dict() if isinstance(self.objects, HopObjects) else None,
            "not_counted": self.objects.why if isinstance(self.objects, Uncounted) else "",
            "steps": [{"step": name, "about": about} for name, about in self.steps],
            **self.notes.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """What can be gone to, and the way to the target; path None when no target was given.

    adopted: what others have installed, where the ledger knows of nothing.
    """

    identity: Identity
    ledger: Ledger
    reachable: Sequence[str]
    path: Path | None
    hops: Sequence[HopRow]
    serving: Sequence[Expected]
    adopted: Recognised | None = None

    @property
    def next_step(self) -> str:
        """`upgrade RELEASE`, `kubernetes` when Kubernetes comes first, or empty."""
        if self.path is None or not self.hops or (self.adopted and self.adopted.refused):
            return ""
        first = self.hops[0].hop
        if first.blocked:
            return ""
        return "kubernetes" if first.kubernetes else f"upgrade {self.path.target}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of `-o json`."""
        return {
            "installed": {
                "release": self.ledger.release,
                "state": self.ledger.state,
                "by_others": self.adopted is not None,
                "not_adopted": dict(self.adopted.refused) if self.adopted else {},
                "let_go": list(self.adopted.keepers) if self.adopted else [],
                "components": {r.name: r.version for r in self.ledger.components.values()},
                "upgrade": None
                if self.ledger.upgrade is None
                else {
                    "target": self.ledger.upgrade.target,
                    "hop": self.ledger.upgrade.hop,
                    "done": list(self.ledger.upgrade.done),
                },
            },
            "kubernetes": self.identity.git_version,
            "reachable": list(self.reachable),
            "target": self.path.target if self.path else "",
            "hops": [row.to_dict() for row in self.hops],
            "inference_services": [item.to_dict() for item in self.serving],
            "next": self.next_step,
        }


def plan_upgrade(
    cluster: Cluster, options: UpgradeOptions, cancel: Cancel, *, fetch: bool = False
) -> UpgradePlan:
    """Decide and explain. fetch: manifests that are not at hand, to count the objects of each hop.

    Raises what `find_way` raises but for Kubernetes: that is part of it."""
    target = options.install.release
    catalog = load(options.install.catalog)
    if target:
        find_release(catalog, target)
    identity = cluster.identity()
    ledger = ledgers.read(cluster)
    adopted = None
    if not ledger.release and options.install.adopt:
        adopted = recognise(cluster, identity, catalog, options.install)
        ledger = as_adopted(ledger, adopted.release)
    check_origin(catalog, ledger, target or _goal(ledger))
    path = None
    if target:
        external = options.install.settings.external
        path = path_of(catalog, ledger.release, target, identity.version, external)
        if path is None:
            raise no_way(catalog, ledger.release, target)
    cancel.check("planning the hops")
    hops = [row_of(catalog, hop) for hop in path.hops] if path else []
    each = [row.hop for row in hops]
    counted = count_objects(cluster, catalog, options.install, each, cancel, fetch=fetch)
    hops = [replace(row, objects=found) for row, found in zip(hops, counted, strict=True)]
    serving = expected_downtime(cluster, path.hops) if path and hops else []
    ways = reachable(catalog, ledger.release)
    return UpgradePlan(identity, ledger, ways, path, hops, serving, adopted)


def _goal(ledger: Ledger) -> str:
    return ledger.upgrade.target if ledger.upgrade else ledger.release


def row_of(catalog: Catalog, hop: Hop) -> HopRow:
    """A hop, explained."""
    steps = [(step.name, step.about) for step in steps_of(hop)]
    return HopRow(hop, notes_of(catalog, hop), steps)

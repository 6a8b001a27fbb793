"""Deleting what the ledger owns and a release no longer has."""

from __future__ import annotations

from collections.abc import Collection

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.ledger import ComponentRecord
from installer.core.events import Emit
from installer.core.objects import ObjectId
from installer.operations.prepare import Prepared
from installer.operations.tally import Tally
from installer.operations.telling import object_event
from installer.plan.pruning import in_order


def prune(
    cluster: Cluster,
    prepared: Prepared,
    tally: Tally,
    emit: Emit,
    keep: Collection[ObjectId] = (),
) -> None:
    """Delete `prepared.prune` without what is to be kept, in the order that breaks nothing, then
    forget it; also forget components that are external now or that the release does not have."""
    doomed = [ref for ref in in_order(prepared.prune) if ref.identity not in keep]
    if not doomed and not prepared.external:
        return
    records = ledgers.read(cluster).components
    for ref in doomed:
        if cluster.delete(ref):
            tally.count("deleted")
            emit(object_event("", "prune", "deleted", ref))
    gone = {ref.identity for ref in doomed}
    planned = {part.component.name for part in prepared.planned}
    for record in records.values():
        kept = {key: entry for key, entry in record.entries.items() if key not in gone}
        if record.name not in planned and not any(key in keep for key in kept):
            ledgers.forget_component(cluster, record.name)
        elif len(kept) != len(record.entries):
            ledgers.write_component(
                cluster,
                ComponentRecord(record.name, record.version, record.state, record.stages, kept),
            )

"""`--remove-stale-webhooks`: what is left of webhooks of the stack that nobody serves any more.

Done before anything else is asked of the cluster: what fails closed would refuse the install.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from installer.catalog.foreign import load_foreign
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster, Identity
from installer.cluster.errors import ApiError
from installer.core.events import Emit, Event
from installer.core.objects import ref_of
from installer.operations.choice import Choice
from installer.preflight.existing_read import configurations, inventory, reachable, settled
from installer.preflight.stale_webhooks import Stale, removable, stale_entries
from installer.preflight.world import Target, World

STAGE = "stale-webhooks"

Confirm = Callable[[Stale], bool]
"""Asked for each before it is deleted; it may raise to stop everything."""


def find_stale_webhooks(cluster: Cluster, identity: Identity, choice: Choice) -> Sequence[Stale]:
    """The configurations of the stack's components that may be removed: nobody is left to serve
    them, and our ledger does not own them. Those of others are never among them."""
    target = Target(choice.catalog, choice.release, choice.components)
    world = World(cluster, identity, ledgers.read(cluster), target)
    mine = settled(world)
    others = [item for item in configurations(world) if ref_of(item).identity not in mine]
    found = stale_entries(others, lambda *service: reachable(world, *service), load_foreign())
    running = [installation.project.name for installation in inventory(world).installations]
    return [stale for stale in found if removable(stale, running)]


def remove_stale_webhooks(
    cluster: Cluster, found: Sequence[Stale], confirm: Confirm, emit: Emit
) -> int:
    """Delete those that are confirmed, each only while it is the object that was looked at; how
    many were."""
    removed = 0
    for stale in found:
        if not confirm(stale):
            continue
        if _delete(cluster, stale):
            removed += 1
            fields = {"component": stale.project.component if stale.project else ""}
            about = {"stage": STAGE, "action": "deleted", "object": stale.ref.to_dict()}
            emit(Event("object", {**fields, **about}))
    return removed


def _delete(cluster: Cluster, stale: Stale) -> bool:
    try:
        return cluster.delete(stale.ref, uid=stale.uid)
    except ApiError as error:
        if error.failure.kind == "conflict":
            return False  # somebody made a new one meanwhile
        raise

"""What an uninstall would remove, and whether it may. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster, Identity
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref
from installer.core.words import plural
from installer.operations.live import read_live
from installer.operations.users import UserObjects, user_objects

SHOWN = 10
"""Objects that are named where many are told of."""


@dataclass(frozen=True, slots=True)
class UninstallOptions:
    """What the user allowed."""

    delete_inferenceservices: bool = False
    delete_custom_resources: bool = False


@dataclass(frozen=True, slots=True)
class PreparedUninstall:
    """A decided uninstall: nothing was deleted yet.

    home: the namespace of ledger and lock, where we made it.
    """

    options: UninstallOptions
    identity: Identity
    ledger: Ledger
    owned: Sequence[Ref]
    users: UserObjects
    home: Object | None

    @property
    def owns_nothing(self) -> bool:
        """True when the ledger is empty; its namespace may be there."""
        return not self.ledger.components and not self.ledger.state

    @property
    def nothing_to_do(self) -> bool:
        """True when this installer has nothing in the cluster, not even a namespace."""
        return self.owns_nothing and self.home is None

    @property
    def release(self) -> str:
        """The installed release, empty when none."""
        return self.ledger.release


def prepare_uninstall(
    cluster: Cluster, options: UninstallOptions, emit: Emit, cancel: Cancel
) -> PreparedUninstall:
    """Decide an uninstall. Raises ChecksFailed while users' objects would be lost."""
    identity = cluster.identity()
    ledger = ledgers.read(cluster)
    if ledger.lost:
        raise ChecksFailed(
            f"the ledger's record of {', '.join(ledger.lost)} is gone, so what belongs to it would "
            "stay behind",
            kind="ledger-lost",
            object=f"Namespace {ledgers.NAMESPACE}",
            remedy=f"`kserve-installer install {ledger.release}` writes it again; then uninstall",
        )
    owned = [entry.ref for entry in ledger.owners().values()]
    live = read_live(cluster, owned)
    existing = [ref for ref in owned if ref.identity in live]
    cancel.check("looking for custom resources")
    users = user_objects(cluster, ledger)
    refuse_losses(users, options)
    home = cluster.get(ledgers.HOME)
    ours = home if home is not None and ledgers.is_our_home(home) else None
    prepared = PreparedUninstall(options, identity, ledger, existing, users, ours)
    emit(
        Event(
            "planned",
            {
                "components": [
                    {
                        "name": record.name,
                        "version": record.version,
                        "objects": len(record.entries),
                    }
                    for record in ledger.components.values()
                ],
                "objects": len(existing),
                "create": 0,
                "change": 0,
                "unchanged": 0,
                "delete": len(existing) + len(users.inference) + len(users.others),
            },
        )
    )
    return prepared


def refuse_losses(users: UserObjects, options: UninstallOptions) -> None:
    """Raise ChecksFailed where objects of users would go that the user has not given up."""
    if users.inference and not options.delete_inferenceservices:
        raise ChecksFailed(
            f"{plural(len(users.inference), 'InferenceService')} would be lost: "
            f"{listed(users.inference)}",
            kind="inferenceservices-exist",
            remedy="delete or move them, or allow it with --delete-inferenceservices",
        )
    if users.others and not options.delete_custom_resources:
        raise ChecksFailed(
            f"{plural(len(users.others), 'custom resource')} of the kinds to be removed would be "
            f"lost: {listed(users.others)}",
            kind="custom-resources-exist",
            remedy="delete or move them, or allow it with --delete-custom-resources",
        )


def listed(refs: Sequence[Ref]) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(str(ref) for ref in refs[:SHOWN])
    more = f", and {len(refs) - SHOWN} more" if len(refs) > SHOWN else ""
    return shown + more

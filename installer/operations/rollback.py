"""`rollback`: back to the release before, with what cannot be undone said first."""

from __future__ import annotations

from installer.catalog.load import load
from installer.catalog.model import Catalog
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.ledger import Ledger
from installer.core.errors import ChecksFailed
from installer.operations.upgrade import Way, check_settings
from installer.operations.upgrade_hop import UpgradeOptions
from installer.plan.hop_notes import notes_of
from installer.plan.hops import Path, hop_of, way_back


def find_way_back(cluster: Cluster, options: UpgradeOptions) -> Way:
    """Decide a rollback: of the upgrade under way, else of the last one. Raises ChecksFailed."""
    catalog = load(options.install.catalog)
    ledger = ledgers.read(cluster)
    origin, target = _ends(ledger)
    for name in (origin, target):
        if name not in catalog.releases:
            raise ChecksFailed(
                f"the catalog does not know {name}",
                kind="unknown-release",
                remedy="use the catalog that it was installed from, or a later kserve-installer",
            )
    check_settings(ledger, options)
    now = {record.name: record.version for record in ledger.components.values()}
    path = Path(origin, target, (way_back(catalog, origin, target, now),))
    return Way("rollback", options, catalog, cluster.identity(), ledger, path)


def not_undone(catalog: Catalog, origin: str, target: str) -> tuple[str, ...]:
    """What stays as the later release has made it, as clauses."""
    return notes_of(catalog, hop_of(catalog, target, origin)).final


def _ends(ledger: Ledger) -> tuple[str, str]:
    """The release gone from and the one gone to."""
    under_way = ledger.upgrade
    if under_way is not None and under_way.command == "rollback":
        return under_way.origin, under_way.target
    if under_way is not None:
        return under_way.hop, under_way.origin
    if ledger.state != "installed" or not ledger.before:
        there = f"{ledger.release} is here" if ledger.release else "nothing is installed here"
        raise ChecksFailed(
            f"there is nothing to go back to: {there}, and the ledger knows of no upgrade to it",
            kind="no-way-back",
        )
    return ledger.release, ledger.before

"""`rollback`: back to the release before, with what cannot be undone said first."""

from __future__ import annotations

from collections.abc import Collection

from installer.catalog.load import load
from installer.catalog.manifests import load_objects
from installer.catalog.model import Catalog
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.ledger import Ledger
from installer.core.errors import ChecksFailed
from installer.core.events import silent
from installer.core.objects import dig
from installer.operations.upgrade import Way, check_settings
from installer.operations.upgrade_hop import UpgradeOptions
from installer.plan.hop import Path, Versions
from installer.plan.hop_notes import notes_of
from installer.plan.stops import hop_of, way_back
from installer.plan.stored import dead_end, versions_of


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
    stays = _staying(cluster, options, catalog, target, now)
    hop = way_back(catalog, origin, target, now, stays, options.install.settings.external)
    path = Path(origin, target, (hop,))
    return Way("rollback", options, catalog, cluster.identity(), ledger, path, stays)


def _staying(
    cluster: Cluster, options: UpgradeOptions, catalog: Catalog, target: str, now: Versions
) -> dict[str, str]:
    """Components that stay at their later version, with the reason: their objects are stored at a
    version that the earlier one does not have."""
    stored = {
        str(dig(crd, "metadata", "name")): crd
        for crd in cluster.list("apiextensions.k8s.io/v1", "CustomResourceDefinition").items
    }
    found: dict[str, str] = {}
    for ref in catalog.releases[target].components:
        if now.get(ref.name) in (None, ref.version):
            continue
        component = catalog.components[(ref.name, ref.version)]
        objects = load_objects(component, options.install.sources, silent, cluster.cancel)
        for obj in objects:
            live = stored.get(str(dig(obj, "metadata", "name")))
            if obj["kind"] != "CustomResourceDefinition" or live is None:
                continue
            held = dig(live, "status", "storedVersions", default=[])
            lost = dead_end(held, versions_of(live), [versions_of(obj)])
            if lost:
                found[ref.name] = (
                    f"{ref.name} stays at {now[ref.name]}: {live['metadata']['name']} is stored at "
                    f"{lost}, which {ref.version} does not have"
                )
                break
    return found


def not_undone(
    catalog: Catalog, origin: str, target: str, external: Collection[str] = ()
) -> tuple[str, ...]:
    """What stays as the later release has made it, as clauses. external: components that it has
    left alone."""
    return notes_of(catalog, hop_of(catalog, target, origin, external)).final


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

"""How many objects a hop makes, changes and removes: manifests compared with manifests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installer.catalog.model import Catalog
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.objects import ObjectId
from installer.operations.choice import Choice, InstallOptions
from installer.operations.prepare import wanted_all
from installer.plan.hop import Hop, Versions, components_at, stand
from installer.plan.pruning import KEPT
from installer.plan.transitions import must_be_recreated
from installer.plan.wanted import Wanted


@dataclass(frozen=True, slots=True)
class HopObjects:
    """Objects from one release's manifests to the next's. recreated: of those changed."""

    created: int
    changed: int
    recreated: int
    removed: int
    unchanged: int

    def to_dict(self) -> dict[str, Any]:
        """Numbers by name."""
        return {slot: getattr(self, slot) for slot in self.__slots__}


def count_objects(
    cluster: Cluster, catalog: Catalog, options: InstallOptions, hop: Hop, cancel: Cancel
) -> HopObjects:
    """Compare the hop's ends, with the settings given. Raises what loading sources raises."""
    before = _wanted(cluster, catalog, options, hop, hop.before, cancel)
    after = _wanted(cluster, catalog, options, hop, hop.stops[-1], cancel)
    both = before.keys() & after.keys()
    changed = [key for key in both if before[key].digest != after[key].digest]
    versions = hop.stops[-1]
    components = {c.name: c for c in components_at(catalog, catalog.releases[hop.target], versions)}
    gone = [key for key in before.keys() - after.keys() if before[key].ref.kind not in KEPT]
    return HopObjects(
        created=len(after.keys() - before.keys()),
        changed=len(changed),
        recreated=sum(
            must_be_recreated(after[k], components[after[k].component], before[k].body)
            for k in changed
        ),
        removed=len(gone),
        unchanged=len(both) - len(changed),
    )


def _wanted(
    cluster: Cluster,
    catalog: Catalog,
    options: InstallOptions,
    hop: Hop,
    versions: Versions,
    cancel: Cancel,
) -> dict[ObjectId, Wanted]:
    release = catalog.releases[hop.target if versions == hop.stops[-1] else hop.origin]
    stood = stand(release, versions)
    choice = Choice(options, catalog, stood, components_at(catalog, release, versions))
    found = wanted_all(cluster, choice, cancel)
    return {item.ref.identity: item for _, items in found for item in items}

"""What has to be at hand before a cluster without a network can be brought to a release. Pure."""

from __future__ import annotations

from installer.catalog.model import Catalog, Component
from installer.catalog.resolve import components_of
from installer.core.errors import UsageError
from installer.plan.hop import Hop, components_at
from installer.plan.hops import path_of, reachable


def contents(catalog: Catalog, target: str, origin: str = "") -> list[Component]:
    """Every component, once, that an install of `target` takes, or an upgrade to it from `origin`
    with every stop on the way; those of `origin` are among them, for the way back.

    Raises UsageError where no upgrade leads from origin to target.
    """
    if not origin:
        return list(components_of(catalog, catalog.releases[target]))
    path = path_of(catalog, origin, target, None)
    if path is None:
        ways = ", ".join(reachable(catalog, origin))
        raise UsageError(
            f"no upgrade leads from {origin} to {target}",
            kind="no-way",
            object=target,
            remedy=f"from {origin} there are ways to {ways}" if ways else "",
        )
    found = {(c.name, c.version): c for c in components_of(catalog, catalog.releases[origin])}
    for hop in path.hops:
        found.update(_of_hop(catalog, hop))
    return list(found.values())


def _of_hop(catalog: Catalog, hop: Hop) -> dict[tuple[str, str], Component]:
    release = catalog.releases[hop.target]
    return {
        (component.name, component.version): component
        for versions in hop.stops
        for component in components_at(catalog, release, versions)
    }

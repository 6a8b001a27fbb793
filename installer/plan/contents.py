"""What an upgrade brings, hop by hop, or an install: the components. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from installer.catalog.model import Catalog, Component
from installer.catalog.resolve import components_of, find_release
from installer.core.errors import UsageError
from installer.plan.hop import Hop, Versions, components_at
from installer.plan.hops import hops_between, reachable


def way(catalog: Catalog, origin: str, target: str) -> tuple[Hop, ...]:
    """The hops from origin to target, whatever Kubernetes. Raises UsageError where there is none,
    and for an origin that the catalog does not know."""
    start = find_release(catalog, origin).name
    hops = hops_between(catalog, start, target)
    if not hops:
        there = ", ".join(reachable(catalog, start)) or "nowhere"
        raise UsageError(
            f"no upgrade leads from {start} to {target}",
            kind="no-way",
            object=start,
            remedy=f"from {start} there are ways to: {there}",
        )
    return hops


def stands(catalog: Catalog, hop: Hop) -> Iterator[Sequence[Component]]:
    """The components at the hop's origin and at every stop."""
    origin, target = catalog.releases[hop.origin], catalog.releases[hop.target]
    ways: list[Versions] = [hop.before, *hop.stops]
    for versions in ways:
        yield components_at(catalog, target if versions is hop.stops[-1] else origin, versions)


def contents(catalog: Catalog, target: str, origin: str = "") -> list[Component]:
    """Every component, once, that an install of `target` takes, or an upgrade to it from `origin`
    with every stop on the way; those of `origin` are among them, for the way back.

    Raises UsageError where no upgrade leads from origin to target.
    """
    if not origin:
        return list(components_of(catalog, catalog.releases[target]))
    found = {
        (component.name, component.version): component
        for hop in way(catalog, origin, target)
        for components in stands(catalog, hop)
        for component in components
    }
    return list(found.values())

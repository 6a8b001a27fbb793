"""The stops of a hop: which versions of all components are applied one after the other. Pure.

Where a component may not go to the next release's version at once, the hop stops at versions
in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from installer.catalog.model import Catalog, Release
from installer.catalog.versions import version_of
from installer.plan.hop import ComponentChange, Hop, Skipped, Versions
from installer.plan.skip_rules import between, newest_of, rule_of
from installer.plan.windows import supported_window, window_of


def hop_of(catalog: Catalog, origin: str, target: str, external: Collection[str] = ()) -> Hop:
    """The hop between two releases of which one can follow the other at once.

    external: components that somebody else manages; they bound nothing.
    """
    return hop_between(catalog, catalog.releases[origin], catalog.releases[target], external)


def hop_between(
    catalog: Catalog, origin: Release, target: Release, external: Collection[str] = ()
) -> Hop:
    """The same, of releases."""
    before = {ref.name: ref.version for ref in origin.components}
    after = {ref.name: ref.version for ref in target.components}
    names = list(dict.fromkeys([*after, *before]))
    changes = [ComponentChange(n, before.get(n, ""), after.get(n, "")) for n in names]
    ways: dict[str, list[str]] = {}
    skipped: list[Skipped] = []
    for change in changes:
        if change.current and change.target:
            ways[change.name], passed = _way(catalog, change)
            skipped += passed
    stops = [*_stops(before, ways, _first(catalog, changes, ways)), after]
    components = [
        catalog.components[item]
        for versions in stops
        for item in versions.items()
        if item[0] not in external and (versions is after or item[1] != before.get(item[0]))
    ]
    hop = Hop(
        origin.name,
        target.name,
        tuple(changes),
        tuple(stops),
        window_of(components),
        supported_window(components, target.tested),
        tuple(skipped),
        groups=(origin.serving.group, target.serving.group),
    )
    return hop.leaving(external)


def _way(catalog: Catalog, change: ComponentChange) -> tuple[list[str], list[Skipped]]:
    """The versions that a component goes through in between, and those it cannot."""
    rule = rule_of(change.name)
    if rule is None:
        return [], []
    held = [version for name, version in catalog.components if name == change.name]
    found: list[str] = []
    missing: list[str] = []
    for minor in between(rule, change.current, change.target):
        version = newest_of(held, minor)
        if version:
            found.append(version)
        else:
            missing.append(f"{minor[0]}.{minor[1]}")
    if not missing:
        return found, []
    return found, [Skipped(change.name, tuple(missing), rule.hard, rule.origin)]


def _first(
    catalog: Catalog, changes: Sequence[ComponentChange], ways: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Targets of what is needed by the components that stop on the way: it goes ahead of them.

    net-istio 0.21 has objects that the CRDs of Istio 1.6 refuse, while a later Istio takes the
    objects of an earlier net-istio.
    """
    stopping = [c for c in changes if ways.get(c.name)]
    needed = {n for c in stopping for n in catalog.components[(c.name, c.target)].needs}
    return {
        c.name: c.target
        for c in changes
        if c.name in needed and c.current and c.target and not ways.get(c.name)
    }


def _stops(before: Versions, ways: Mapping[str, Sequence[str]], first: Versions) -> list[Versions]:
    """All components at each stop; one that has fewer versions in between waits at its last."""
    stops: list[Versions] = []
    for index in range(max(map(len, ways.values()), default=0)):
        moved = {n: way[min(index, len(way) - 1)] for n, way in ways.items() if way}
        stops.append({**before, **first, **moved})
    return stops


def way_back(
    catalog: Catalog,
    origin: str,
    target: str,
    now: Versions,
    staying: Collection[str] = (),
    external: Collection[str] = (),
) -> Hop:
    """The hop from a release to one that it was upgraded from. now: what is there, which is not the
    whole release where the upgrade has not ended. staying: components that cannot go back.
    external: as of `hop_of`.

    Through the same versions of what may not skip any; everything else, the controller above all,
    stays as it is until the last stop. What requests go through is pruned only after that. There
    are as many stops wherever it begins, so that their numbers mean the same to a later run.
    """
    there = hop_of(catalog, target, origin, external)
    after = {
        ref.name: now[ref.name] if ref.name in staying else ref.version
        for ref in catalog.releases[target].components
    }
    whole = there.stops[-1]
    here = {name: now.get(name, version) for name, version in whole.items()}
    bound = {name for name in whole if rule_of(name) is not None and name in after}
    moved = {c.name for c in there.changes if c.name in bound and _stops_for(there, c.name)}
    stops = [
        {**here, **{name: min(stop[name], here[name], key=version_of) for name in moved}}
        for stop in reversed(there.stops[:-1])
    ]
    changes = tuple(ComponentChange(c.name, c.target, after.get(c.name, "")) for c in there.changes)
    components = [catalog.components[item] for item in after.items() if item[0] not in external]
    return replace(
        there,
        origin=origin,
        target=target,
        changes=changes,
        stops=(*stops, after),
        window=window_of(components),
        supported=supported_window(components, catalog.releases[target].tested),
        groups=there.groups[::-1],
        back=True,
    )


def _stops_for(hop: Hop, name: str) -> bool:
    """Whether the component is at a version of its own at some stop."""
    ends = {(c.current, c.target) for c in hop.changes if c.name == name}
    return any(stop.get(name) not in end for stop in hop.stops for end in ends)

"""The way from one release to a later one: hops, the stops inside them, Kubernetes on the way.

A hop goes from a release to one that the catalog says can follow it. Where a component may not go
from its version to the next release's at once, the hop stops at versions in between. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from installer.catalog.model import Catalog, Component, Release
from installer.catalog.resolve import components_of, fits
from installer.core.kubernetes_version import KubernetesVersion
from installer.plan.skip_rules import between, newest_of, rule_of, version_of
from installer.plan.windows import Window, supported_window, window_of

Versions = Mapping[str, str]
"""Version by component name."""


@dataclass(frozen=True, slots=True)
class ComponentChange:
    """What a hop makes of one component; empty where it is not there before or after."""

    name: str
    current: str
    target: str

    @property
    def changes(self) -> bool:
        """Whether its version changes."""
        return self.current != self.target

    def to_dict(self) -> dict[str, str]:
        """{name, current, target}."""
        return {"name": self.name, "current": self.current, "target": self.target}


@dataclass(frozen=True, slots=True)
class Skipped:
    """Minor versions that a component passes over because the catalog does not hold them.

    hard: upstream supports no such step, so the hop cannot be run.
    """

    component: str
    minors: tuple[str, ...]
    hard: bool
    origin: str

    def __str__(self) -> str:
        return f"{self.component} {', '.join(self.minors)}"


@dataclass(frozen=True, slots=True)
class KubernetesUpgrade:
    """Kubernetes has to be upgraded before a hop: to `window`.

    gap: no version runs both the release before and the one after, so the hop should follow at
    once.
    """

    window: Window
    gap: bool = False

    def __str__(self) -> str:
        return f"upgrade Kubernetes to {self.window}"


@dataclass(frozen=True, slots=True)
class Hop:
    """One upgrade step from release to release.

    stops: versions of all components, one mapping for each time that components are applied; the
    last is the target release's own. window: Kubernetes versions the hop can be run on.
    supported: those that the projects of its components support; empty where there is none.
    kubernetes: the upgrade of Kubernetes that must come before it, if any. groups: API groups of
    InferenceServices before and after. back: a way back.
    """

    origin: str
    target: str
    changes: tuple[ComponentChange, ...]
    stops: tuple[Versions, ...]
    window: Window
    supported: Window
    skipped: tuple[Skipped, ...] = ()
    kubernetes: KubernetesUpgrade | None = None
    groups: tuple[str, str] = ("", "")
    back: bool = False

    @property
    def moves(self) -> bool:
        """Whether InferenceServices go to another API group."""
        return self.groups[0] != self.groups[1]

    @property
    def before(self) -> Versions:
        """The versions that it begins at."""
        return {change.name: change.current for change in self.changes if change.current}

    @property
    def blocked(self) -> tuple[Skipped, ...]:
        """What keeps this hop from being run at all."""
        return tuple(item for item in self.skipped if item.hard)


@dataclass(frozen=True, slots=True)
class Path:
    """Every hop from one release to another."""

    origin: str
    target: str
    hops: tuple[Hop, ...]


def reachable(catalog: Catalog, origin: str) -> list[str]:
    """Releases that upgrades lead to from this one, oldest first."""
    found = set(_parents(catalog, origin))
    return [name for name in catalog.releases if name in found and name != origin]


def is_downgrade(catalog: Catalog, origin: str, target: str) -> bool:
    """Whether the target is an earlier release than the origin."""
    names = list(catalog.releases)
    leads = origin in reachable(catalog, target)
    return leads or (target not in reachable(catalog, origin) and _before(names, target, origin))


def path_of(
    catalog: Catalog, origin: str, target: str, server: KubernetesVersion | None
) -> Path | None:
    """The way with the fewest hops; None when the catalog knows none.

    Releases that this Kubernetes is too new for are gone round where that is possible. server: None
    for any cluster; then no upgrade of Kubernetes is named.
    """
    names = _shortest(catalog, origin, target, server) or _shortest(catalog, origin, target, None)
    if names is None:
        return None
    releases = [catalog.releases[name] for name in names]
    hops = [_hop(catalog, one, two) for one, two in pairwise(releases)]
    if server is not None:
        hops = _with_kubernetes(catalog, hops, server)
    return Path(origin, target, tuple(hops))


def hops_between(catalog: Catalog, origin: str, target: str) -> tuple[Hop, ...]:
    """The way with the fewest hops, whatever Kubernetes; empty when the catalog knows none."""
    names = _shortest(catalog, origin, target, None) or []
    releases = [catalog.releases[name] for name in names]
    return tuple(_hop(catalog, one, two) for one, two in pairwise(releases))


def hop_of(catalog: Catalog, origin: str, target: str) -> Hop:
    """The hop between two releases of which one can follow the other at once."""
    return _hop(catalog, catalog.releases[origin], catalog.releases[target])


def way_back(
    catalog: Catalog, origin: str, target: str, now: Versions, staying: Collection[str] = ()
) -> Hop:
    """The hop from a release to one that it was upgraded from. now: what is there, which is not the
    whole release where the upgrade has not ended. staying: components that cannot go back.

    Through the same versions of what may not skip any; everything else, the controller above all,
    stays as it is until the last stop. What requests go through is pruned only after that. There
    are as many stops wherever it begins, so that their numbers mean the same to a later run.
    """
    there = _hop(catalog, catalog.releases[target], catalog.releases[origin])
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
    components = [catalog.components[item] for item in after.items()]
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


def stand(release: Release, versions: Versions) -> Release:
    """The release with its components at these versions; those it has none of are left out."""
    refs = [
        replace(ref, version=versions[ref.name])
        for ref in release.components
        if ref.name in versions
    ]
    return replace(release, components=tuple(refs))


def _parents(catalog: Catalog, origin: str, avoid: frozenset[str] = frozenset()) -> dict[str, str]:
    """Every release that can be reached, with the one before it on the shortest way."""
    found = {origin: ""}
    left = deque([origin])
    newest_first = list(reversed(list(catalog.releases.values())))
    while left:
        name = left.popleft()
        for release in newest_first:
            follows = name in release.reachable_from and release.name not in found
            if follows and release.name not in avoid:
                found[release.name] = name
                left.append(release.name)
    return found


def _shortest(
    catalog: Catalog, origin: str, target: str, server: KubernetesVersion | None
) -> list[str] | None:
    avoid = frozenset[str]()
    if server is not None:
        avoid = frozenset(
            name
            for name, release in catalog.releases.items()
            if window_of(components_of(catalog, release)).ends_before(server)
        )
    parents = _parents(catalog, origin, avoid)
    if target not in parents:
        return None
    names = [target]
    while names[-1] != origin:
        names.append(parents[names[-1]])
    return names[::-1]


def _hop(catalog: Catalog, origin: Release, target: Release) -> Hop:
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
        if versions is after or item[1] != before.get(item[0])
    ]
    return Hop(
        origin.name,
        target.name,
        tuple(changes),
        tuple(stops),
        window_of(components),
        supported_window(components, target.tested),
        tuple(skipped),
        groups=(origin.serving.group, target.serving.group),
    )


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


def _with_kubernetes(catalog: Catalog, hops: Sequence[Hop], server: KubernetesVersion) -> list[Hop]:
    """The hops with the upgrades of Kubernetes that must come between them, as few as possible.

    What is only not supported makes none necessary; but where one is, it goes no further than what
    is supported, for this hop and for as many after it as can be.
    """
    now = Window.exactly(server)
    done: list[Hop] = []
    for index, hop in enumerate(hops):
        both = now & hop.window
        if not both.empty:
            now = _within(both, hop.supported)
            done.append(hop)
            continue
        here = window_of(components_of(catalog, catalog.releases[hop.origin])) & hop.window
        now = _within(hop.window if here.empty else here, hop.supported)
        for later in hops[index + 1 :]:
            if (now & later.window).empty:
                break
            now = _within(now & later.window, later.supported)
        done.append(replace(hop, kubernetes=KubernetesUpgrade(now, gap=here.empty)))
    return done


def _within(window: Window, supported: Window) -> Window:
    """What of it is supported; all of it where nothing is."""
    both = window & supported
    return window if both.empty else both


def _before(names: Sequence[str], one: str, other: str) -> bool:
    return one in names and other in names and names.index(one) < names.index(other)


def unfit(catalog: Catalog, hop: Hop, server: KubernetesVersion) -> list[str]:
    """Why this Kubernetes does not suit the hop's target, as sentences; empty when it does."""
    return [str(reason) for reason in fits(catalog, catalog.releases[hop.target], server)]


def components_at(catalog: Catalog, release: Release, versions: Versions) -> tuple[Component, ...]:
    """The components of one stop, each after those it needs."""
    return components_of(catalog, stand(release, versions))

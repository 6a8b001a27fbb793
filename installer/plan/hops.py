"""The way from one release to a later one: hops, and Kubernetes on the way. Pure.

A hop goes from a release to one that the catalog says can follow it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

from installer.catalog.model import Catalog, Release
from installer.catalog.resolve import components_of
from installer.core.kubernetes_version import KubernetesVersion
from installer.plan.hop import Hop, KubernetesUpgrade, Path
from installer.plan.stops import hop_between
from installer.plan.windows import Window, window_of


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
    catalog: Catalog,
    origin: str,
    target: str,
    server: KubernetesVersion,
    external: Collection[str] = (),
) -> Path | None:
    """The way with the fewest hops; None when the catalog knows none.

    Releases that this Kubernetes is too new for are gone round where that is possible. external:
    components that somebody else manages; they bound nothing.
    """
    tight = frozenset(
        name
        for name, release in catalog.releases.items()
        if _window(catalog, release, external).ends_before(server)
    )
    names = _shortest(catalog, origin, target, tight) or _shortest(catalog, origin, target)
    if names is None:
        return None
    releases = [catalog.releases[name] for name in names]
    hops = [hop_between(catalog, one, two, external) for one, two in pairwise(releases)]
    return Path(origin, target, tuple(_with_kubernetes(catalog, hops, server, external)))


def _window(catalog: Catalog, release: Release, external: Collection[str]) -> Window:
    """Kubernetes versions that a release runs on, but for what somebody else manages."""
    return window_of(c for c in components_of(catalog, release) if c.name not in external)


def hops_between(catalog: Catalog, origin: str, target: str) -> tuple[Hop, ...]:
    """The way with the fewest hops, whatever Kubernetes; empty when the catalog knows none."""
    names = _shortest(catalog, origin, target) or []
    releases = [catalog.releases[name] for name in names]
    return tuple(hop_between(catalog, one, two) for one, two in pairwise(releases))


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
    catalog: Catalog, origin: str, target: str, avoid: frozenset[str] = frozenset()
) -> list[str] | None:
    parents = _parents(catalog, origin, avoid)
    if target not in parents:
        return None
    names = [target]
    while names[-1] != origin:
        names.append(parents[names[-1]])
    return names[::-1]


def _with_kubernetes(
    catalog: Catalog, hops: Sequence[Hop], server: KubernetesVersion, external: Collection[str]
) -> list[Hop]:
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
        here = _window(catalog, catalog.releases[hop.origin], external) & hop.window
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

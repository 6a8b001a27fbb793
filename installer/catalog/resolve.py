"""From a release's name to its components in order, and whether a cluster can run it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from installer.catalog.model import Bound, Catalog, Component, Range, Release
from installer.core.errors import UsageError
from installer.core.kubernetes_version import KubernetesVersion

_OFFERED = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a Kubernetes version is outside a release's range.

    component: what binds, as `Knative Serving 0.18.0`, or the release itself where its range is
    narrower than its components'. also: other components that the version does not suit either.
    """

    component: str
    bound: Bound
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        likewise = f" (likewise {', '.join(self.also)})" if self.also else ""
        return f"{self.component} {self.bound.reason}{likewise}"


def find_release(catalog: Catalog, name: str) -> Release:
    """The release of that name. Raises UsageError that offers the nearest names."""
    release = catalog.releases.get(name)
    if release is not None:
        return release
    known = list(catalog.releases)
    near = [other for other in known if name and name.lower() in other]
    near = near[-_OFFERED:] or difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    raise UsageError(f"no release {name!r}", kind="unknown-release", object=name, remedy=remedy)


def components_of(catalog: Catalog, release: Release) -> tuple[Component, ...]:
    """A release's components, each after those it needs; otherwise in the release's own order."""
    left = [catalog.components[(ref.name, ref.version)] for ref in release.components]
    done: list[Component] = []
    while left:
        names = {component.name for component in done}
        following = next(c for c in left if names.issuperset(c.needs))
        left.remove(following)
        done.append(following)
    return tuple(done)


def fits(
    catalog: Catalog,
    release: Release,
    server: KubernetesVersion,
    external: Collection[str] = (),
) -> list[Reason]:
    """Why the release cannot run on this Kubernetes; empty when it can.

    At most one reason for the minimum and one for the maximum, each naming the component that
    binds. Bounds of which upstream only warns are in `warnings`. external: components that somebody
    else manages: they bind nothing, and the release's own bounds, which sum all up, do not count.
    """
    components = [c for c in components_of(catalog, release) if c.name not in external]
    below = [(c, bound) for c in components if (bound := _hard(c.kubernetes.below(server)))]
    above = [(c, bound) for c in components if (bound := _hard(c.kubernetes.above(server)))]
    own = Range() if external else release.kubernetes
    return [
        *_binding(below, release, _hard(own.below(server)), lower=False),
        *_binding(above, release, _hard(own.above(server)), lower=True),
    ]


def warnings(
    catalog: Catalog,
    release: Release,
    server: KubernetesVersion,
    external: Collection[str] = (),
) -> list[Reason]:
    """Bounds that this Kubernetes is beyond and that upstream only warns of.

    A component's maximum is none where the release is known to run on this Kubernetes or a later
    one: KServe's own tests run on later ones than Istio's or cert-manager's project supports.
    """
    known = any(KubernetesVersion.parse(text).series >= server.series for text in release.tested)
    return [
        Reason(titled(component), bound)
        for component in components_of(catalog, release)
        if component.name not in external
        for bound in (
            component.kubernetes.below(server),
            None if known else component.kubernetes.above(server),
        )
        if bound and not bound.hard
    ]


def nearest_fit(catalog: Catalog, release: Release, server: KubernetesVersion) -> Release | None:
    """Another release that runs on this Kubernetes; None without one.

    First those that nobody warns of here, then those tested on the closest minor; of these the one
    the fewest releases away.
    """
    names = list(catalog.releases)
    here = names.index(release.name)
    suitable = [
        other
        for other in catalog.releases.values()
        if other.name != release.name and not fits(catalog, other, server)
    ]

    def distance(other: Release) -> tuple[int, int]:
        tested = [KubernetesVersion.parse(version).minor for version in other.tested]
        doubt = abs(server.minor - max(tested, default=0)) + 1
        away = abs(names.index(other.name) - here)
        return (doubt if warnings(catalog, other, server) else 0, away)

    return min(suitable, key=distance, default=None)


def titled(component: Component) -> str:
    """`Knative Serving 0.18.0`."""
    return f"{component.title} {component.version}"


def _hard(bound: Bound | None) -> Bound | None:
    return bound if bound and bound.hard else None


def _binding(
    beyond: Sequence[tuple[Component, Bound]], release: Release, own: Bound | None, *, lower: bool
) -> list[Reason]:
    """The reason that binds: of minimums the highest, of maximums the lowest (lower=True)."""
    if not beyond:
        return [Reason(release.title, own)] if own else []
    ordered = sorted(
        beyond, key=lambda pair: KubernetesVersion.parse(pair[1].version), reverse=not lower
    )
    (component, bound), *others = ordered
    return [Reason(titled(component), bound, tuple(titled(other) for other, _ in others))]

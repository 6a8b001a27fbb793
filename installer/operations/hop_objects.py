"""How many objects a hop makes, changes and removes: manifests compared with manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from installer.catalog.missing import SourcesMissing
from installer.catalog.model import Catalog, Release
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.errors import InvalidInput
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


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Why the objects of a hop are not known: a clause. fetchable: fetching manifests that are not
    at hand would tell."""

    why: str
    fetchable: bool = False


class _Unfit(ValueError):
    """Settings that name what a release does not have; the text is a clause."""


NOT_COUNTED = Uncounted("nobody has looked")


def count_objects(
    cluster: Cluster,
    catalog: Catalog,
    options: InstallOptions,
    hops: Sequence[Hop],
    cancel: Cancel,
    *,
    fetch: bool,
) -> list[HopObjects | Uncounted]:
    """Compare the ends of each hop, with the settings given.

    fetch: read from the network what is not at hand; without it such hops are not counted, nor are
    those with an end that the settings do not fit. Raises what else loading sources raises.
    """
    fetchable = options.sources.network or options.sources.web_mirror is not None
    if not fetch:
        options = replace(options, sources=replace(options.sources, offline=True))
    read: dict[tuple[str, tuple[tuple[str, str], ...]], dict[ObjectId, Wanted]] = {}

    def wanted(name: str, versions: Versions) -> dict[ObjectId, Wanted]:
        key = (name, tuple(sorted(versions.items())))
        found = read.get(key)  # where one hop ends, the next begins
        if found is None:
            try:
                found = _wanted(cluster, catalog, options, catalog.releases[name], versions, cancel)
            except InvalidInput as error:
                problems = "; ".join(map(str, error.problems))
                raise _Unfit(f"the settings do not fit {name}: {problems}") from error
        read.clear()
        read[key] = found
        return found

    counted: list[HopObjects | Uncounted] = []
    for hop in hops:
        cancel.check(f"counting the objects of the hop to {hop.target}")
        try:
            before, after = wanted(hop.origin, hop.before), wanted(hop.target, hop.stops[-1])
        except SourcesMissing as error:
            why = f"manifests of {', '.join(error.of)} are not at hand"
            counted.append(Uncounted(why, fetchable and not fetch))
            continue
        except _Unfit as error:
            counted.append(Uncounted(str(error)))
            continue
        counted.append(_compared(catalog, hop, before, after))
    return counted


def _compared(
    catalog: Catalog,
    hop: Hop,
    before: Mapping[ObjectId, Wanted],
    after: Mapping[ObjectId, Wanted],
) -> HopObjects:
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
    release: Release,
    versions: Versions,
    cancel: Cancel,
) -> dict[ObjectId, Wanted]:
    stood = stand(release, versions)
    choice = Choice(options, catalog, stood, components_at(catalog, release, versions))
    found = wanted_all(cluster, choice, cancel)
    return {item.ref.identity: item for _, items in found for item in items}

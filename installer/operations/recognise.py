"""Which release it is that somebody else has installed: by what runs, not by names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from installer.catalog.model import Catalog, ComponentRef, Release
from installer.catalog.resolve import components_of
from installer.cluster.client import Cluster, Identity
from installer.cluster.ledger import Ledger
from installer.core.errors import ChecksFailed
from installer.operations.choice import Choice, InstallOptions
from installer.operations.preflight import target_for
from installer.preflight.existing_inventory import Installation
from installer.preflight.existing_read import inventory
from installer.preflight.existing_verdicts import adoption_refused, version_refused
from installer.preflight.world import World

ALL = "all"
"""`--adopt all`: every component of the release that is recognised."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """release: its name. refused: why components cannot be taken over, by name, as clauses.
    keepers: whoever is made to let go of what is taken over, as titles."""

    release: str
    refused: Mapping[str, str]
    keepers: Sequence[str] = ()


def recognise(
    cluster: Cluster, identity: Identity, catalog: Catalog, options: InstallOptions
) -> Recognised:
    """The release whose controller runs here, over components that an install of it would leave or
    only patch: upstream's own install scripts bring earlier patch releases of some. What is
    external may be of any version.

    Raises ChecksFailed naming what runs where no release is that.
    """
    installations = _installations(cluster, identity, catalog, options)
    running: dict[str, set[str]] = {}
    for found in installations:
        running.setdefault(str(found.project.component), set()).update(found.versions)
    if not running:
        raise ChecksFailed(
            "nothing of the stack runs here, so there is nothing to adopt",
            kind="not-installed",
            remedy="`kserve-installer install RELEASE`",
        )
    external = options.settings.external
    release = release_of(catalog, running, external)
    parts = {c.name: c for c in components_of(catalog, catalog.releases[release])}
    adopted = set(adopting(options, catalog, release).adopt)
    refused = {
        name: f"{found}: {why}"
        for found in installations
        if (name := str(found.project.component)) in adopted
        and (why := adoption_refused(parts[name], found))
    }
    taken = (f.owner for f in installations if str(f.project.component) in adopted - refused.keys())
    keepers = {owner.title for owner in taken if owner.lets_go}
    return Recognised(release, refused, sorted(keepers))


def release_of(
    catalog: Catalog, running: Mapping[str, Collection[str]], external: Collection[str] = ()
) -> str:
    """The release that these versions are, by component. Raises ChecksFailed as `recognise`."""
    likely = _likely(catalog, running)
    fitting = [r.name for r in likely if not _unlike(catalog, r, running, external)]
    if len(fitting) != 1:
        raise _not_recognised(catalog, likely, running, external)
    return fitting[0]


def adopting(options: InstallOptions, catalog: Catalog, release: str) -> InstallOptions:
    """The install that takes a recognised release over."""
    names = tuple(
        ref.name
        for ref in catalog.releases[release].components
        if ref.name not in options.settings.external
    )
    adopt = names if ALL in options.adopt else options.adopt
    return replace(options, release=release, adopt=adopt)


def as_adopted(ledger: Ledger, release: str) -> Ledger:
    """What the ledger will say of it."""
    return replace(ledger, release=release, state="installed")


def _likely(catalog: Catalog, running: Mapping[str, Collection[str]]) -> list[Release]:
    """Releases whose own controller of InferenceServices runs; where there is none, those of which
    a candidate runs: upstream's scripts at several tags bring `0.9.0-rc0` for 0.9.0."""
    releases = catalog.releases.values()
    own = [(r, ref) for r in releases for ref in r.components if _own(ref, r)]
    exact = [r for r, ref in own if set(running.get(ref.name, ())) == {ref.version}]
    finals = {name: {v.partition("-rc")[0] for v in versions} for name, versions in running.items()}
    return exact or [r for r, ref in own if finals.get(ref.name) == {ref.version}]


def _own(ref: ComponentRef, release: Release) -> bool:
    return release.name == f"{ref.name}-{ref.version}"


def _unlike(
    catalog: Catalog,
    release: Release,
    running: Mapping[str, Collection[str]],
    external: Collection[str],
) -> list[str]:
    """Components that an install of the release would not simply take over, as clauses."""
    said = []
    for ref in release.components:
        have = sorted(running.get(ref.name, ()))
        if ref.name in external or _own(ref, release):
            continue
        if version_refused(catalog.components[(ref.name, ref.version)], have):
            said.append(f"{ref.name} {' and '.join(have) or 'that does not run'} to {ref.version}")
    return said


def _not_recognised(
    catalog: Catalog,
    likely: Sequence[Release],
    running: Mapping[str, Collection[str]],
    external: Collection[str],
) -> ChecksFailed:
    runs = ", ".join(f"{name} {' and '.join(sorted(v))}" for name, v in sorted(running.items()))
    if len(likely) == 1:
        unlike = _unlike(catalog, likely[0], running, external)
        return ChecksFailed(
            f"what runs here is {runs}, which is {likely[0].name} with other components",
            kind="not-recognised",
            remedy=f"bring {' and '.join(unlike)} by whatever installed it, or declare it "
            "`external` in the settings (-f)",
        )
    what = f"{', '.join(r.name for r in likely)} are of these" if likely else "no release is that"
    return ChecksFailed(
        f"what runs here is {runs}, and {what}",
        kind="not-recognised",
        remedy="`kserve-installer install RELEASE --adopt NAME,…` brings it to one first; see "
        "kserve-installer preflight --all-releases",
    )


def _installations(
    cluster: Cluster, identity: Identity, catalog: Catalog, options: InstallOptions
) -> list[Installation]:
    """What runs of the stack's components and is not ours."""
    release = next(iter(catalog.releases.values()))
    choice = Choice(options, catalog, release, components_of(catalog, release))
    world = World(cluster, identity, Ledger(), target_for(choice, (), ()))
    found = inventory(world).installations
    return [item for item in found if item.project.component and not item.ours]

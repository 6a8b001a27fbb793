"""Which release it is that somebody else has installed: by what runs, not by names."""

from __future__ import annotations

from dataclasses import replace

from installer.catalog.model import Catalog
from installer.catalog.resolve import components_of
from installer.cluster.client import Cluster, Identity
from installer.cluster.ledger import Ledger
from installer.core.errors import ChecksFailed
from installer.operations.preflight import target_for
from installer.operations.prepare import Choice, InstallOptions
from installer.preflight.existing_read import inventory
from installer.preflight.world import World

ALL = "all"
"""`--adopt all`: every component of the release that is recognised."""


def recognise(
    cluster: Cluster, identity: Identity, catalog: Catalog, options: InstallOptions
) -> str:
    """The release whose components run here, each at its version. Raises ChecksFailed naming what
    runs where no release is that, or several are."""
    running = _running(cluster, identity, catalog, options)
    fitting = [
        release.name
        for release in catalog.releases.values()
        if all(running.get(ref.name) == {ref.version} for ref in release.components)
    ]
    if len(fitting) == 1:
        return fitting[0]
    said = ", ".join(
        f"{name} {' and '.join(sorted(versions))}" for name, versions in sorted(running.items())
    )
    if not said:
        raise ChecksFailed(
            "nothing of the stack runs here, so there is nothing to adopt",
            kind="not-installed",
            remedy="`kserve-installer install RELEASE`",
        )
    what = f"{', '.join(fitting)} are all of these versions" if fitting else "no release is that"
    raise ChecksFailed(
        f"what runs here is {said}, and {what}",
        kind="not-recognised",
        remedy="`kserve-installer install RELEASE --adopt NAME,…` brings it to one first; see "
        "kserve-installer preflight --all-releases",
    )


def adopting(options: InstallOptions, catalog: Catalog, release: str) -> InstallOptions:
    """The install that takes a recognised release over."""
    names = tuple(ref.name for ref in catalog.releases[release].components)
    adopt = names if ALL in options.adopt else options.adopt
    return replace(options, release=release, adopt=adopt)


def as_adopted(ledger: Ledger, release: str) -> Ledger:
    """What the ledger will say of it."""
    return replace(ledger, release=release, state="installed")


def _running(
    cluster: Cluster, identity: Identity, catalog: Catalog, options: InstallOptions
) -> dict[str, set[str]]:
    """Versions that run by component."""
    release = next(iter(catalog.releases.values()))
    choice = Choice(options, catalog, release, components_of(catalog, release))
    world = World(cluster, identity, Ledger(), target_for(choice, (), ()))
    found: dict[str, set[str]] = {}
    for installation in inventory(world).installations:
        name = installation.project.component
        if name and not installation.ours:
            found.setdefault(name, set()).update(installation.versions)
    return found

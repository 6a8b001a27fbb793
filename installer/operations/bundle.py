"""`bundle` and `images`: what a machine or a cluster without a network needs. Asks no cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from installer.catalog.bundle import Contents
from installer.catalog.missing import WantedSource
from installer.catalog.model import Catalog, Component
from installer.catalog.resolve import components_of, find_release
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.plan.contents import contents


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a bundle holds. releases: those that can be installed from it. missing: sources of what
    was asked for that are not in it. damaged: files that are not what the catalog says."""

    releases: Sequence[str]
    missing: Sequence[WantedSource]
    damaged: Sequence[ChecksFailed]

    @property
    def complete(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.missing and not self.damaged


def wanted(catalog: Catalog, releases: Sequence[str], origin: str = "") -> list[Component]:
    """The components, once each, that these releases take; with `origin` those of every stop of
    the upgrades to them too. Raises UsageError for what the catalog does not know."""
    for name in (*releases, *([origin] if origin else [])):
        find_release(catalog, name)
    found = {
        (component.name, component.version): component
        for name in releases
        for component in contents(catalog, name, origin)
    }
    return list(found.values())


def inspect(
    file: str, catalog: Catalog, components: Sequence[Component], cancel: Cancel
) -> Inspection:
    """Read every file of a bundle, or of a mirror in a folder, that the catalog knows.

    components: those that must be in it. Raises UsageError for a file that is no bundle.
    """
    held = Contents(file)
    releases = [name for name in catalog.releases if _whole(catalog, name, held, cancel)]
    missing = [item for component in components for item in held.lacks(component)]
    return Inspection(releases, missing, held.damaged)


def _whole(catalog: Catalog, name: str, held: Contents, cancel: Cancel) -> bool:
    cancel.check(f"looking for the files of {name}")
    parts = components_of(catalog, catalog.releases[name])
    lacking = [item for component in parts for item in held.lacks(component)]
    return not lacking

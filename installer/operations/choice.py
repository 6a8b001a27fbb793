"""What an install is asked for, and the release with its components that this means.

Asks no cluster: what is wrong with a request by itself is told before one is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from installer.catalog.load import load, load_release
from installer.catalog.model import Catalog, Component, Release
from installer.catalog.resolve import components_of, find_release
from installer.catalog.sources import SourceOptions
from installer.core.errors import UsageError
from installer.plan.edits import Edits
from installer.plan.settings import Settings


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """What the user asked for. adopt: components of others that are to be taken over; edits: what
    is to stay of users' ConfigMaps then. flags: where settings and sources come from, as it was
    typed, for commands that are printed."""

    release: str
    settings: Settings = field(default_factory=Settings)
    sources: SourceOptions = field(default_factory=SourceOptions)
    take_ownership: bool = False
    adopt: tuple[str, ...] = ()
    edits: Edits = field(default_factory=dict)
    wait: bool = True
    catalog: Path | None = None
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A request that makes sense by itself, before any cluster was asked."""

    options: InstallOptions
    catalog: Catalog
    release: Release
    components: Sequence[Component]


def choose(options: InstallOptions) -> Choice:
    """Look the release up. Raises UsageError when it, or a component to adopt, is unknown;
    InvalidInput for the catalog and for settings that name no component of it."""
    # our own catalog was checked as a whole when it was made; another's is checked here
    catalog = load(options.catalog) if options.catalog else load_release(options.release)
    release = find_release(catalog, options.release)
    components = components_of(catalog, release)
    names = [component.name for component in components]
    options.settings.check_components(names)
    _check_adopt(options, names)
    return Choice(options, catalog, release, components)


def _check_adopt(options: InstallOptions, names: Sequence[str]) -> None:
    for name in options.adopt:
        if name not in names:
            raise UsageError(
                f"--adopt {name}: {options.release} has no component of that name",
                kind="unknown-component",
                remedy=f"its components are {', '.join(names)}",
            )
        if name in options.settings.external:
            raise UsageError(
                f"{name} cannot be adopted and external at once",
                kind="adopt-external",
                remedy=f"take {name} out of --adopt, or out of `external` in the settings",
            )

"""A hop: one upgrade from release to release, and what it is made of. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from installer.catalog.model import Catalog, Component, Release
from installer.catalog.resolve import components_of
from installer.plan.windows import Window

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
    InferenceServices before and after. back: a way back. external: components that are left alone,
    at whatever version they are: the versions here are those that the releases were tested with.
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
    external: tuple[str, ...] = ()

    @property
    def ours(self) -> tuple[ComponentChange, ...]:
        """The changes of what is not left alone."""
        return tuple(change for change in self.changes if change.name not in self.external)

    def leaving(self, external: Collection[str]) -> Hop:
        """The same hop where somebody else manages these components: what they pass over is no
        affair of the hop. Its windows are left as they are."""
        names = tuple(change.name for change in self.changes if change.name in external)
        skipped = tuple(item for item in self.skipped if item.component not in external)
        return replace(self, external=names, skipped=skipped)

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


def stand(release: Release, versions: Versions) -> Release:
    """The release with its components at these versions; those it has none of are left out."""
    refs = [
        replace(ref, version=versions[ref.name])
        for ref in release.components
        if ref.name in versions
    ]
    return replace(release, components=tuple(refs))


def components_at(catalog: Catalog, release: Release, versions: Versions) -> tuple[Component, ...]:
    """The components of one stop, each after those it needs."""
    return components_of(catalog, stand(release, versions))

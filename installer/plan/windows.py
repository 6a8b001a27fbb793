"""Ranges of Kubernetes versions, as hard bounds of components give them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from installer.catalog.model import Bound, Component
from installer.core.kubernetes_version import KubernetesVersion

_FIRST = KubernetesVersion(0, 0)
_LAST = KubernetesVersion(10**6, 0)


@dataclass(frozen=True, slots=True)
class Window:
    """Versions from `low` up to and without `below`."""

    low: KubernetesVersion = _FIRST
    below: KubernetesVersion = _LAST

    @classmethod
    def exactly(cls, version: KubernetesVersion) -> Window:
        """The one version."""
        return cls(version, KubernetesVersion(version.major, version.minor, version.patch + 1))

    @property
    def empty(self) -> bool:
        """Whether no version is in it."""
        return self.low >= self.below

    def __and__(self, other: Window) -> Window:
        return Window(max(self.low, other.low), min(self.below, other.below))

    def __contains__(self, version: KubernetesVersion) -> bool:
        return self.low <= version < self.below

    def ends_before(self, version: KubernetesVersion) -> bool:
        """Whether every version in it is lower."""
        return self.below <= version

    def __str__(self) -> str:
        """As people write it: `>= 1.20, < 1.22`."""
        ends = [f">= {_short(self.low)}"] if self.low != _FIRST else []
        ends += [f"< {_short(self.below)}"] if self.below != _LAST else []
        return ", ".join(ends) or "any version"

    def to_dict(self) -> dict[str, str]:
        """{min, below}, each without a bound left out."""
        found = {} if self.low == _FIRST else {"min": _short(self.low)}
        return found if self.below == _LAST else {**found, "below": _short(self.below)}


def window_of(components: Iterable[Component]) -> Window:
    """The versions that suit all of these; bounds of which upstream only warns do not count."""
    window = Window()
    for component in components:
        low, high = component.kubernetes.min, component.kubernetes.max
        if low and low.hard:
            window &= _from(low)
        if high and high.hard:
            window &= _up_to(high.version)
    return window


def supported_window(components: Iterable[Component], tested: Sequence[str] = ()) -> Window:
    """The versions that the projects of all of these support: bounds that only warn count too.

    tested: versions that the release is known to run on, `1.34.4`; a maximum that only warns and is
    lower than these is lower than what is known. It may be empty, since a release brings together
    what its components' projects never did.
    """
    parts = list(components)
    window = window_of(parts)
    ran = [_up_to(version) for version in tested]
    for component in parts:
        low, high = component.kubernetes.min, component.kubernetes.max
        if low:
            window &= _from(low)
        if high and not high.hard:
            window &= max([_up_to(high.version), *ran], key=lambda window: window.below)
    return window


def _from(bound: Bound) -> Window:
    return Window(low=KubernetesVersion.parse(bound.version))


def _up_to(version: str) -> Window:
    last = KubernetesVersion.parse(version)
    return Window(below=KubernetesVersion(last.major, last.minor + 1))


def _short(version: KubernetesVersion) -> str:
    short = f"{version.major}.{version.minor}"
    return f"{short}.{version.patch}" if version.patch else short

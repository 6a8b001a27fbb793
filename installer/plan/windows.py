"""Ranges of Kubernetes versions, as hard bounds of components give them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from installer.catalog.model import Component
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
            window &= Window(low=KubernetesVersion.parse(low.version))
        if high and high.hard:
            last = KubernetesVersion.parse(high.version)
            window &= Window(below=KubernetesVersion(last.major, last.minor + 1))
    return window


def _short(version: KubernetesVersion) -> str:
    short = f"{version.major}.{version.minor}"
    return f"{short}.{version.patch}" if version.patch else short

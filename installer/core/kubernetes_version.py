"""Kubernetes versions as servers report them, vendor suffixes included."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?\+?(.*)$")


@dataclass(frozen=True, slots=True, order=True)
class KubernetesVersion:
    """major.minor.patch; what a vendor appends (`-gke.300`, `+rke2r1`, `+`) does not order."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> KubernetesVersion:
        """Read `v1.20.2`, `1.27+`, `v1.20.2-gke.300`; ValueError with the text otherwise."""
        match = _FORM.match(text.strip())
        if not match:
            raise ValueError(f"{text!r} is not a Kubernetes version such as v1.20.2")
        return cls(int(match[1]), int(match[2]), int(match[3] or 0))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def series(self) -> tuple[int, int]:
        """(major, minor)."""
        return (self.major, self.minor)

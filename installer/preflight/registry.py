"""Every check, in the order it is shown."""

from __future__ import annotations

from installer.preflight import (
    apis,
    capacity,
    crds,
    existing,
    kubernetes,
    network,
    platform,
    policy,
    rights,
    surroundings,
)
from installer.preflight.check import CATEGORIES, Check

CHECKS: tuple[Check, ...] = (
    *kubernetes.CHECKS,
    *platform.CHECKS,
    *apis.CHECKS,
    *rights.CHECKS,
    *existing.CHECKS,
    *crds.CHECKS,
    *capacity.CHECKS,
    *network.CHECKS,
    *policy.CHECKS,
    *surroundings.CHECKS,
)


def by_category() -> dict[str, list[Check]]:
    """The checks of each category, both in order."""
    return {name: [c for c in CHECKS if c.category == name] for name in CATEGORIES}

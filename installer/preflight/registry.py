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
from installer.preflight.check import Check

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

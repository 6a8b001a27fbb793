"""How far a component may go at once, by its own upstream's word. Pure data and arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from installer.catalog.versions import version_of

_LAST_BEFORE_ONE = {"knative": 26}
"""Minor releases after which a project went on with 1.0: Knative 0.26, then 1.0."""


@dataclass(frozen=True, slots=True)
class SkipRule:
    """A component that goes one minor version at a time.

    train: components that share their minor versions and move together. hard: False where
    upstream asks for it and what an installer does works without; then a minor version that the
    catalog does not hold is passed over and said. origin: where upstream says so.
    """

    component: str
    train: str
    hard: bool
    origin: str


RULES = (
    SkipRule("knative-serving", "knative", True, "https://knative.dev/docs/install/upgrade"),
    SkipRule("net-istio", "knative", True, "https://knative.dev/docs/install/upgrade"),
    # a rule of `istioctl upgrade`, for the proxies of a mesh: here gateways are the only proxies,
    # and they are replaced together with istiod
    SkipRule("istio", "istio", False, "https://istio.io/v1.9/docs/setup/upgrade/in-place"),
)


_TAKEN_OVER_IN_A_STEP = ("istio", "cert-manager")
"""Components that an adoption may bring one minor version further, which is what upstream's own
scripts are behind; from 1.0 on, since before it a minor version may break anything. Others move in
hops, which do more than apply manifests. Source: https://istio.io/v1.9/docs/setup/upgrade/in-place,
https://cert-manager.io/docs/installation/upgrade: one minor version at a time."""


def taken_over_in_a_step(component: str, current: str, target: str) -> bool:
    """Whether an adoption may bring a component from one version to a later one."""
    have, want = version_of(current), version_of(target)
    if have[:2] == want[:2]:
        return have <= want
    step = have[0] == want[0] > 0 and have[1] + 1 == want[1]
    return step and component in _TAKEN_OVER_IN_A_STEP


def rule_of(component: str) -> SkipRule | None:
    """The rule of a component; None when any later version may follow any earlier one."""
    return next((rule for rule in RULES if rule.component == component), None)


def between(rule: SkipRule, current: str, target: str) -> list[tuple[int, int]]:
    """The (major, minor) that lie between two versions, in order; empty when none does."""
    major, minor, _ = version_of(current)
    end = version_of(target)[:2]
    last = _LAST_BEFORE_ONE.get(rule.train)
    if major != end[0] and last is None:
        return []  # nothing says which minor version is the last before the next major one
    found: list[tuple[int, int]] = []
    while (major, minor) < end:
        major, minor = (1, 0) if (major, minor) == (0, last) else (major, minor + 1)
        if (major, minor) < end:
            found.append((major, minor))
    return found


def newest_of(versions: Iterable[str], minor: tuple[int, int]) -> str:
    """The newest of these versions with that (major, minor); empty without one."""
    fitting = [version for version in versions if version_of(version)[:2] == minor]
    return max(fitting, key=version_of, default="")

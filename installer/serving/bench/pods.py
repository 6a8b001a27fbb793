"""Facts of the objects that are followed during a load test. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from installer.core.objects import Object, conditions, dig
from installer.plan.serving_kinds import LABELS


@dataclass(frozen=True, slots=True)
class PodFact:
    """A pod as far as scaling goes. ended: Succeeded, Failed or being deleted."""

    scheduled: bool
    ready: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class State:
    """What there was at one moment; None for what could not be seen.

    at: seconds since the load began. wanted: by the autoscaler. made: pods that are not ending.
    ending: pods that are. proxied: whether requests go through the activator.
    """

    at: float
    wanted: int | None = None
    made: int | None = None
    scheduled: int | None = None
    ready: int | None = None
    ending: int | None = None
    proxied: bool | None = None


def pod_fact(pod: Object) -> PodFact:
    """Of a Pod."""
    found = conditions(pod)
    ended = bool(dig(pod, "metadata", "deletionTimestamp")) or dig(pod, "status", "phase") in (
        "Succeeded",
        "Failed",
    )
    return PodFact(
        found.get("PodScheduled", {}).get("status") == "True",
        found.get("Ready", {}).get("status") == "True",
        ended,
    )


def belongs(obj: Object, name: str) -> bool:
    """Whether an object was made for the predictor of this InferenceService, by its labels."""
    labels: Mapping[str, str] = dig(obj, "metadata", "labels", default={})
    mine = any(labels.get(key) == name for key in LABELS)
    return mine and labels.get("component", "predictor") == "predictor"


def wanted_of(obj: Object) -> int | None:
    """Pods that a PodAutoscaler wants; None where it does not say (a revision not yet measured)."""
    value = dig(obj, "status", "desiredScale")
    return value if isinstance(value, int) and value >= 0 else None


def replicas_of(obj: Object) -> int:
    """Pods that a Deployment is to have."""
    return int(dig(obj, "spec", "replicas", default=1))


def counted(at: float, pods: Iterable[PodFact]) -> State:
    """The part of a state that pods tell."""
    known = list(pods)
    alive = [pod for pod in known if not pod.ended]
    return State(
        at,
        made=len(alive),
        scheduled=sum(pod.scheduled for pod in alive),
        ready=sum(pod.ready for pod in alive),
        ending=sum(pod.ended for pod in known),
    )

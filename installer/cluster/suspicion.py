"""When to stop waiting for a workload: judges what its pods and warnings show. Pure.

A Deployment says that it failed only after its progress deadline (600 s by default), a
StatefulSet never does; their pods tell within seconds. Trouble that a kubelet may overcome by
itself is tolerated for a while, since during an installation it often does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from installer.cluster.pods import Fault, fault_of
from installer.cluster.readiness import Readiness, is_final_refusal, readiness
from installer.core.objects import Object, Ref, dig, ref_of

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")

Owner = tuple[str, str, str]
"""(kind, namespace, name) of a workload."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for which trouble is tolerated, by its sort.

    image: pulls that back off without the registry having said that there is no such image.
    config: a container that cannot be created (a Secret or key that is missing). refused: pods
    that quota or policy keeps from being created. failed_pods: how many pods of one workload may
    end for good (be evicted, say) before it is given up.
    """

    image: float = 20.0
    config: float = 60.0
    refused: float = 10.0
    failed_pods: int = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """A waited object, reduced. missing: pods that its controller has not even created."""

    readiness: Readiness
    uid: str = ""
    missing: int = 0


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod, reduced. template: hash of the pod template that a Deployment made it from."""

    uid: str
    owner: Owner
    template: str
    fault: Fault | None
    ended: bool


@dataclass(frozen=True, slots=True)
class Warned:
    """The newest of one sort of Warning events about an object. when: RFC 3339 or empty."""

    about: Owner
    reason: str
    message: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A workload that will not become ready by itself. pod: uid of the guilty one, or empty."""

    owner: Owner
    trouble: str
    message: str
    pod: str = ""
    template: str = ""


def owner_of(ref: Ref) -> Owner:
    """The workload that a reference names."""
    return (ref.kind, ref.namespace, ref.name)


def see(obj: Object) -> Seen:
    """Reduce a waited object."""
    wanted = dig(obj, "spec", "replicas", default=0)
    wanted = dig(obj, "status", "desiredNumberScheduled", default=wanted)
    have = dig(obj, "status", "currentNumberScheduled") or dig(obj, "status", "replicas", default=0)
    if obj.get("kind") == "Job":
        wanted = 1
        have = dig(obj, "status", "active", default=0) + dig(obj, "status", "failed", default=0)
    missing = wanted - have if isinstance(wanted, int) and isinstance(have, int) else 0
    uid = str(dig(obj, "metadata", "uid", default=""))
    return Seen(readiness(obj), uid, max(0, missing))


def see_pod(pod: Object) -> PodSeen:
    """Reduce a pod; its owner is the workload above its ReplicaSet."""
    ref = ref_of({"apiVersion": "v1", "kind": "Pod", **pod})
    template = str(dig(pod, "metadata", "labels", "pod-template-hash", default=""))
    owner: Owner = ("Pod", ref.namespace, ref.name)
    for reference in dig(pod, "metadata", "ownerReferences", default=[]):
        if reference.get("controller"):
            kind, name = str(reference.get("kind")), str(reference.get("name"))
            owner = workload_of(kind, ref.namespace, name, template)
    deleting = bool(dig(pod, "metadata", "deletionTimestamp"))
    fault = None if deleting else fault_of(pod)
    ended = dig(pod, "status", "phase") in ("Failed", "Succeeded")
    return PodSeen(str(dig(pod, "metadata", "uid", default="")), owner, template, fault, ended)


def workload_of(kind: str, namespace: str, name: str, template: str = "") -> Owner:
    """The workload that users know: a Deployment's ReplicaSet is named NAME-HASH."""
    if kind == "ReplicaSet":
        suffix = f"-{template}" if template else "-" + name.rpartition("-")[2]
        return ("Deployment", namespace, name.removesuffix(suffix))
    return (kind, namespace, name)


def see_warning(event: Object) -> Warned:
    """Reduce a core/v1 Event of type Warning."""
    about = dig(event, "involvedObject", default={})
    owner = workload_of(
        str(about.get("kind", "")), str(about.get("namespace") or ""), str(about.get("name", ""))
    )
    when = event.get("lastTimestamp") or event.get("eventTime")
    when = when or dig(event, "metadata", "creationTimestamp", default="")
    message = " ".join(str(event.get("message") or "").split())
    return Warned(owner, str(event.get("reason") or ""), message, str(when))


_Since = Mapping[tuple[Any, ...], float]


@dataclass(slots=True)
class Suspicion:
    """Remembers since when each trouble has been there; `judge` says which is too much."""

    patience: Patience = field(default_factory=Patience)
    _since: dict[tuple[Any, ...], float] = field(default_factory=dict)

    def judge(
        self,
        now: float,
        waiting: Mapping[Owner, Seen],
        pods: Iterable[PodSeen],
        warnings: Iterable[Warned],
    ) -> list[Verdict]:
        """Verdicts on workloads that are not ready. now: seconds on any steady clock."""
        old, self._since = self._since, {}
        found = list(self._refusals(now, old, waiting, warnings))
        ended: dict[Owner, list[PodSeen]] = {}
        for pod in pods:
            if pod.fault is None or pod.owner not in waiting:
                continue
            if pod.ended:
                ended.setdefault(pod.owner, []).append(pod)
            elif self._too_much(now, old, pod, pod.fault):
                found.append(_verdict(pod, pod.fault))
        for owner, several in ended.items():
            # a Job counts its failures itself
            if owner[0] != "Job" and len(several) >= self.patience.failed_pods:
                fault = several[0].fault
                found += [_verdict(several[0], fault)] if fault else []
        return found

    def _refusals(
        self, now: float, old: _Since, waiting: Mapping[Owner, Seen], warnings: Iterable[Warned]
    ) -> Iterator[Verdict]:
        """Pods that are never created. A Deployment says so itself, and for as long as it is so;
        other workloads leave it at events."""
        told = {owner: seen.readiness for owner, seen in waiting.items()}
        refused = {o: r.message for o, r in told.items() if is_refusal(r)}
        for warning in warnings:
            seen = waiting.get(warning.about)
            told_by_itself = warning.about[0] == "Deployment"
            if warning.reason == "FailedCreate" and seen and seen.missing and not told_by_itself:
                refused.setdefault(warning.about, warning.message)
        for owner, message in refused.items():
            if is_final_refusal(message) and self._passed(
                now, old, (owner, "refused"), self.patience.refused
            ):
                yield Verdict(owner, "refused", message)

    def _too_much(self, now: float, old: _Since, pod: PodSeen, fault: Fault) -> bool:
        if pod.owner[0] == "Job" and fault.trouble == "crash":
            return False  # it fails by its own backoffLimit
        if fault.terminal:
            return True
        limit = {"image": self.patience.image, "config": self.patience.config}.get(fault.trouble)
        key = (pod.uid, fault.container, fault.trouble)
        return limit is not None and self._passed(now, old, key, limit)

    def _passed(self, now: float, old: _Since, key: tuple[Any, ...], limit: float) -> bool:
        """Whether the trouble has been there for longer than `limit` seconds."""
        since = self._since[key] = old.get(key, now)
        return now - since >= limit


def is_refusal(verdict: Readiness) -> bool:
    """A failure that may pass within moments, when quota is freed or a policy is put right."""
    return verdict.state == "failed" and verdict.reason == "FailedCreate"


def _verdict(pod: PodSeen, fault: Fault) -> Verdict:
    return Verdict(pod.owner, fault.trouble, fault.message, pod.uid, pod.template)

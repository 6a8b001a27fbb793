"""Why an object is not ready: from a workload down to its newest pods, containers and events.

`explain` is pure; `first_cause` reads what it needs from the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.pods import Fault, fault_of, pull_cause
from installer.cluster.readiness import is_final_refusal, readiness
from installer.cluster.suspicion import WORKLOADS
from installer.core.objects import Object, Ref, dig

T = TypeVar("T")

REVISION = "deployment.kubernetes.io/revision"
_AGAIN = "then run the same command again"


@dataclass(frozen=True, slots=True)
class Cause:
    """kind: kebab-case word for machines. message: a clause that reads after `OBJECT: `."""

    kind: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was read about one object. pods: of its newest template; warnings: oldest first."""

    obj: Object | None
    pods: Sequence[Object] = ()
    warnings: Sequence[Object] = ()


def first_cause(cluster: Cluster, ref: Ref) -> Cause | None:
    """Look for the cause in the cluster; None when nothing telling is found or readable."""
    return explain(ref, gather(cluster, ref))


def gather(cluster: Cluster, ref: Ref) -> Evidence:
    """Read an object with its pods and Warning events. What cannot be read is left out."""
    obj = _try(lambda: cluster.get(ref))
    pods: list[Object] = []
    makers = {str(dig(obj or {}, "metadata", "uid", default=""))}
    if obj is not None and ref.kind in WORKLOADS:
        if ref.kind == "Deployment":
            newest = newest_replica_set(cluster, ref)
            makers = {str(dig(newest, "metadata", "uid"))} if newest else makers
        listed = _try(lambda: cluster.list("v1", "Pod", ref.namespace).items) or []
        pods = [pod for pod in listed if _controller_uid(pod) in makers]
    about = makers | {str(dig(obj or {}, "metadata", "uid", default=""))}
    about |= {str(dig(pod, "metadata", "uid")) for pod in pods}
    return Evidence(obj, pods, _warnings(cluster, ref.namespace, about))


def newest_replica_set(cluster: Cluster, deployment: Ref) -> Object | None:
    """The ReplicaSet of a Deployment's present template: the one with the highest revision."""
    sets = _try(lambda: cluster.list("apps/v1", "ReplicaSet", deployment.namespace).items) or []
    mine = [
        item
        for item in sets
        for owner in dig(item, "metadata", "ownerReferences", default=[])
        if owner.get("kind") == "Deployment" and owner.get("name") == deployment.name
    ]
    return max(mine, key=_revision, default=None)


def _revision(replica_set: Object) -> int:
    text = dig(replica_set, "metadata", "annotations", REVISION, default="0")
    return int(text) if str(text).isdigit() else 0


def _controller_uid(obj: Object) -> str:
    for owner in dig(obj, "metadata", "ownerReferences", default=[]):
        if owner.get("controller"):
            return str(owner.get("uid"))
    return ""


def _warnings(cluster: Cluster, namespace: str, about: set[str]) -> list[Object]:
    """Warning events about these uids, oldest first. Cluster-wide objects' are in `default`."""
    place = namespace or "default"
    listed = _try(lambda: cluster.list("v1", "Event", place, field_selector="type=Warning").items)
    mine = [e for e in listed or [] if dig(e, "involvedObject", "uid") in about]
    return sorted(mine, key=_when)


def _when(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _try(read: Callable[[], T]) -> T | None:
    """A diagnosis must not fail for want of a right, or because the API server is busy."""
    try:
        return read()
    except ApiError:
        return None


def explain(ref: Ref, evidence: Evidence) -> Cause | None:
    """The most telling cause in the evidence; None when the object itself says all there is."""
    return (
        _from_pods(ref, evidence)
        or _from_refusals(ref, evidence)
        or _from_warnings(evidence)
        or _from_object(evidence)
    )


def _from_pods(ref: Ref, evidence: Evidence) -> Cause | None:
    found = [(pod, fault) for pod in evidence.pods if (fault := fault_of(pod))]
    found.sort(key=lambda pair: not pair[1].terminal)
    if not found:
        return None
    pod, fault = found[0]
    message = fault.message
    if fault.trouble == "image" and message.endswith(_image(fault, pod)):
        said = _pull_error(pod, evidence.warnings)
        message = f"{message}: {said}" if said else message
    return Cause(_KINDS[fault.trouble], message, remedy_for(ref, fault, _name(pod)))


def _image(fault: Fault, pod: Object) -> str:
    for status in dig(pod, "status", "initContainerStatuses", default=[]) + dig(
        pod, "status", "containerStatuses", default=[]
    ):
        if status.get("name") == fault.container:
            return str(status.get("image", ""))
    return ""


def _pull_error(pod: Object, warnings: Sequence[Object]) -> str:
    """Kubelets before 1.31 tell the cause of a failed pull only while it fails, and in events."""
    uid = dig(pod, "metadata", "uid")
    for event in reversed(warnings):
        text = str(event.get("message") or "")
        if dig(event, "involvedObject", "uid") == uid and text.startswith("Failed to pull image"):
            return pull_cause(text)
    return ""


_KINDS = {
    "image": "image-pull",
    "crash": "crash-loop",
    "config": "container-config",
    "evicted": "evicted",
    "unschedulable": "unschedulable",
    "failed": "pod-failed",
}


def remedy_for(ref: Ref, fault: Fault, pod: str) -> str:
    """What to do about a pod's fault."""
    if fault.trouble == "image":
        return f"make the image available to the nodes (registry, mirror, credentials), {_AGAIN}"
    if fault.trouble == "crash":
        previous = " --previous" if fault.restarts else ""
        return f"read why: kubectl logs -n {ref.namespace} {pod} -c {fault.container}{previous}"
    if fault.trouble == "config":
        return f"create what the container refers to, {_AGAIN}"
    if fault.trouble == "evicted":
        return f"free memory and disk on the nodes, {_AGAIN}"
    if fault.trouble == "unschedulable":
        return f"add nodes, or lower the requested resources in the settings, {_AGAIN}"
    return f"read why: kubectl describe pod -n {ref.namespace} {pod}"


def _name(obj: Object) -> str:
    return str(dig(obj, "metadata", "name", default=""))


def _from_refusals(ref: Ref, evidence: Evidence) -> Cause | None:
    """Pods that were never created: quota, policy, a ServiceAccount that is missing."""
    for event in reversed(evidence.warnings):
        if event.get("reason") == "FailedCreate" and not evidence.pods:
            return refusal(ref, str(event.get("message") or ""))
    return None


def refusal(ref: Ref, message: str) -> Cause:
    """The cause for a message of FailedCreate or ReplicaFailure."""
    text = " ".join(message.split()).removeprefix("Error creating: ")
    if "exceeded quota" in text:
        remedy = f"raise the ResourceQuota of namespace {ref.namespace}, {_AGAIN}"
        return Cause("quota", f"its pods are refused: {text}", remedy)
    remedy = f"allow these pods in namespace {ref.namespace}, {_AGAIN}"
    final = is_final_refusal(text)
    return Cause("pods-refused", f"its pods are refused: {text}", remedy if final else "")


# The first of these that has an event tells most.
_TELLING = (
    "FailedMount",
    "FailedAttachVolume",
    "FailedScheduling",
    "FailedCreatePodSandBox",
    "BackOff",
    "Unhealthy",
)


def _from_warnings(evidence: Evidence) -> Cause | None:
    newest = {str(e.get("reason")): e for e in evidence.warnings}
    reason = next((r for r in _TELLING if r in newest), None)
    if reason is None:
        reason = next(reversed(newest), None)
    if reason is None:
        return None
    text = " ".join(str(newest[reason].get("message") or "").split())
    return Cause("not-ready", f"{reason}: {text}" if text else reason)


def _from_object(evidence: Evidence) -> Cause | None:
    verdict = readiness(evidence.obj)
    message = verdict.message or verdict.reason
    return Cause("not-ready", message) if message else None

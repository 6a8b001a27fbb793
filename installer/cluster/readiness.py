"""Readiness of one object, from the object alone: a pure function.

Order of judgement, the same for every kind: absent, being deleted, not yet observed
(`status.observedGeneration` behind `metadata.generation`), failed, and only then progress. What
is not known to be ready is not ready: a kind whose controller reports through conditions is
`progressing` until the condition is there (the moment right after creation looks finished
otherwise).

Rules per kind, and where they come from:

- Deployment, StatefulSet, DaemonSet: `kubectl rollout status`; a Deployment's
  `ProgressDeadlineExceeded` and `ReplicaFailure` (quota, admission) are failures.
- ReplicaSet, Pod, Job, PersistentVolumeClaim, Namespace, CustomResourceDefinition, APIService:
  their API documentation and kstatus, save that a running Job and a failed Pod are not ready, and
  that a claim may stay Pending (its class may bind it only when a pod uses it).
- Service, HorizontalPodAutoscaler, PodDisruptionBudget, Ingress: ready when they exist. A load
  balancer's address depends on the cluster and is told as a note, not awaited.
- webhook configurations: CA bundle and rules filled (`installer.cluster.registrations`).
- cert-manager, Knative, KServe, Gateway API and unknown kinds of other groups: their `Ready`
  (or `Programmed`, `Available`) condition; see `installer.cluster.custom`.
"""

from __future__ import annotations

from typing import Any

from installer.cluster.custom import custom_rule
from installer.cluster.pods import fault_of
from installer.cluster.registrations import unfilled
from installer.cluster.verdicts import READY, Readiness, Rule, failed, progressing, said
from installer.core.objects import Object, conditions, dig

__all__ = ["Readiness", "is_final_refusal", "readiness"]


def readiness(obj: Object | None) -> Readiness:
    """Judge an object as the API server returned it; None means that it does not exist."""
    if obj is None:
        return Readiness("absent", "NotFound", "does not exist")
    if dig(obj, "metadata", "deletionTimestamp"):
        return Readiness("terminating", "Terminating", _terminating(obj))
    unobserved = _unobserved(obj)
    if unobserved is not None:
        return unobserved
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    kind = str(obj.get("kind", ""))
    rule = _RULES.get((group, kind))
    if rule is None and not _is_builtin(group):
        rule = custom_rule(group, kind)
    return rule(obj) if rule else READY


def _is_builtin(group: str) -> bool:
    """Groups of Kubernetes itself: no dot, or below k8s.io but for those made of CRDs."""
    if "." not in group:
        return True
    return group.endswith(".k8s.io") and group not in (
        "gateway.networking.k8s.io",
        "inference.networking.k8s.io",
        "inference.networking.x-k8s.io",
        "leaderworkerset.x-k8s.io",
    )


def _terminating(obj: Object) -> str:
    finalizers = list(dig(obj, "metadata", "finalizers", default=[]))
    finalizers += (
        dig(obj, "spec", "finalizers", default=[]) if obj.get("kind") == "Namespace" else []
    )
    return f"being deleted; finalizers: {', '.join(finalizers)}" if finalizers else "being deleted"


def _unobserved(obj: Object) -> Readiness | None:
    generation = dig(obj, "metadata", "generation")
    observed = dig(obj, "status", "observedGeneration")
    if isinstance(generation, int) and isinstance(observed, int) and observed < generation:
        return progressing("NotObserved", "its controller has not seen the last change yet")
    return None


def _number(obj: Object, *path: str, default: int = 0) -> int:
    value = dig(obj, *path, default=default)
    return value if isinstance(value, int) else default


def _namespace(obj: Object) -> Readiness:
    phase = dig(obj, "status", "phase", default="Active")
    return READY if phase == "Active" else Readiness("terminating", str(phase), "being deleted")


def _definition(obj: Object) -> Readiness:
    have = conditions(obj)
    if have.get("Terminating", {}).get("status") == "True":
        return Readiness("terminating", *said(have["Terminating"], "Terminating"))
    names = have.get("NamesAccepted", {})
    if names.get("status") == "False":
        return failed(*said(names, "NamesNotAccepted"))
    established = have.get("Established", {})
    if established.get("status") == "True" and names.get("status") == "True":
        return READY
    return progressing(*said(established, "Installing"))


def _refused(condition: dict[str, Any]) -> Readiness:
    """Its pods are not even created. Only some refusals are final: a missing ServiceAccount or a
    webhook that does not answer yet passes."""
    reason, message = said(condition, "ReplicaFailure")
    final = is_final_refusal(message)
    return failed(reason, message) if final else progressing(reason, message)


def is_final_refusal(message: str) -> bool:
    """Whether a refusal to create pods lasts until someone changes something."""
    return any(sign in message for sign in _FINAL_REFUSALS)


# Quota, Pod Security, admission policies, and pods that the API server finds invalid.
_FINAL_REFUSALS = ("exceeded quota", "violates PodSecurity", "denied the request", "is invalid:")


def _deployment(obj: Object) -> Readiness:
    have = conditions(obj)
    rollout = have.get("Progressing", {})
    if rollout.get("reason") == "ProgressDeadlineExceeded":
        return failed(*said(rollout))
    refused = have.get("ReplicaFailure", {})
    if refused.get("status") == "True":
        return _refused(refused)
    if dig(obj, "spec", "paused") is True:
        return progressing("Paused", "its rollout is paused")
    if _number(obj, "status", "observedGeneration") < _number(obj, "metadata", "generation"):
        return progressing("NotObserved", "its controller has not seen it yet")
    wanted = _number(obj, "spec", "replicas", default=1)
    updated = _number(obj, "status", "updatedReplicas")
    if updated < wanted:
        return progressing("Updating", f"{updated} of {wanted} pods are of the new template")
    old = _number(obj, "status", "replicas") - updated
    if old > 0:
        return progressing("Updating", f"{old} old pods are still to be ended")
    available = _number(obj, "status", "availableReplicas")
    if available < wanted:
        return progressing("Unavailable", f"{available} of {wanted} pods are available")
    return READY


def _stateful_set(obj: Object) -> Readiness:
    wanted = _number(obj, "spec", "replicas", default=1)
    if _number(obj, "status", "observedGeneration") < _number(obj, "metadata", "generation"):
        return progressing("NotObserved", "its controller has not seen it yet")
    ready = _number(obj, "status", "readyReplicas")
    if ready < wanted:
        return progressing("Unready", f"{ready} of {wanted} pods are ready")
    if dig(obj, "spec", "updateStrategy", "type") == "OnDelete":
        return READY
    partition = _number(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    updated = _number(obj, "status", "updatedReplicas")
    if partition:
        due = max(0, wanted - partition)
        if updated < due:
            return progressing("Updating", f"{updated} of {due} pods are of the new template")
        return READY
    if dig(obj, "status", "updateRevision") != dig(obj, "status", "currentRevision"):
        return progressing("Updating", f"{updated} of {wanted} pods are of the new template")
    return READY


def _daemon_set(obj: Object) -> Readiness:
    if _number(obj, "status", "observedGeneration") < _number(obj, "metadata", "generation"):
        return progressing("NotObserved", "its controller has not seen it yet")
    wanted = _number(obj, "status", "desiredNumberScheduled")
    updated = _number(obj, "status", "updatedNumberScheduled")
    if dig(obj, "spec", "updateStrategy", "type") != "OnDelete" and updated < wanted:
        return progressing("Updating", f"{updated} of {wanted} pods are of the new template")
    available = _number(obj, "status", "numberAvailable")
    if available < wanted:
        return progressing("Unavailable", f"{available} of {wanted} pods are available")
    return READY


def _replica_set(obj: Object) -> Readiness:
    refused = conditions(obj).get("ReplicaFailure", {})
    if refused.get("status") == "True":
        return _refused(refused)
    wanted = _number(obj, "spec", "replicas", default=1)
    available = _number(obj, "status", "availableReplicas")
    if _number(obj, "status", "observedGeneration") < _number(obj, "metadata", "generation"):
        return progressing("NotObserved", "its controller has not seen it yet")
    if available < wanted:
        return progressing("Unavailable", f"{available} of {wanted} pods are available")
    return READY


def _pod(obj: Object) -> Readiness:
    phase = dig(obj, "status", "phase", default="Pending")
    if phase == "Succeeded":
        return READY
    fault = fault_of(obj)
    if phase == "Failed":
        reason = str(dig(obj, "status", "reason", default=fault.reason if fault else "Failed"))
        return failed(reason, dig(obj, "status", "message", default=fault.message if fault else ""))
    if fault is not None and fault.terminal:
        return failed(fault.reason, fault.message)
    ready = conditions(obj).get("Ready", {})
    if ready.get("status") == "True":
        return READY
    if fault is not None:
        return progressing(fault.reason, fault.message)
    return progressing(*said(ready, str(phase)))


def _job(obj: Object) -> Readiness:
    have = conditions(obj)
    for end in ("Failed", "FailureTarget"):
        if have.get(end, {}).get("status") == "True":
            return failed(*said(have[end], "Failed"))
    if have.get("Complete", {}).get("status") == "True":
        return READY
    if dig(obj, "spec", "suspend") is True:
        return progressing("Suspended", "it is suspended")
    done, wanted = (
        _number(obj, "status", "succeeded"),
        _number(obj, "spec", "completions", default=1),
    )
    return progressing("Running", f"{done} of {wanted} pods have succeeded")


def _claim(obj: Object) -> Readiness:
    phase = dig(obj, "status", "phase", default="Pending")
    if phase == "Lost":
        return failed("Lost", "the volume that it was bound to is gone")
    if phase == "Bound":
        return READY
    return Readiness("ready", "Pending", "not bound yet; some storage classes bind on first use")


def _service(obj: Object) -> Readiness:
    if dig(obj, "spec", "type") == "LoadBalancer" and not dig(
        obj, "status", "loadBalancer", "ingress"
    ):
        return Readiness("ready", "NoAddress", "the cluster has given it no load balancer address")
    return READY


def _api_service(obj: Object) -> Readiness:
    if not dig(obj, "spec", "service"):
        return READY
    available = conditions(obj).get("Available", {})
    if available.get("status") == "True":
        return READY
    return progressing(*said(available, "Unavailable"))


def _registration(obj: Object) -> Readiness:
    lacking = unfilled(obj)
    return progressing("NotFilled", lacking) if lacking else READY


_RULES: dict[tuple[str, str], Rule] = {
    ("", "Namespace"): _namespace,
    ("", "Pod"): _pod,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Service"): _service,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("batch", "Job"): _job,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): _registration,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _registration,
}

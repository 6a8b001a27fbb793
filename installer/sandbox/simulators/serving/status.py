"""The status of each object in the chain, as pure functions of the objects below it.

Words, reasons and messages are those recorded on a real cluster, upstream's own slips included:
KFServing calls the routes' condition PredictorConfigurationReady and the configuration's
PredictorRouteReady, and an init container that failed leaves an empty message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.core.objects import Object, conditions, dig

QUEUED = ("Queued", "Requests to the target are being buffered as resources are provisioned.")
NO_TRAFFIC = ("NoTraffic", "The target is not receiving traffic.")
NOT_CONFIGURED = ("IngressNotConfigured", "Ingress has not yet been reconciled.")
WAITING = ("Uninitialized", "Waiting for load balancer to be ready")
UNHEALTHY = ("NoHealthyBackends", "K8s Service is not ready")
_INFO = "Info"

Condition = dict[str, Any]
_Said = tuple[bool | None, str, str]
"""Status, reason and message of a condition."""


def condition(
    kind: str, status: bool | None, reason: str = "", message: str = "", *, info: bool = False
) -> Condition:
    """A condition without its time; status None is Unknown."""
    found: Condition = {"type": kind, "status": "Unknown" if status is None else str(status)}
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    if info:
        found["severity"] = _INFO
    return found


def ordered(found: Iterable[Condition]) -> list[Condition]:
    """By type, as Knative writes them."""
    return sorted(found, key=lambda c: str(c["type"]))


def with_times(
    found: Sequence[Condition], before: Sequence[Mapping[str, Any]], now: str
) -> list[Condition]:
    """The same with lastTransitionTime: of before where nothing changed."""
    known = {old["type"]: old for old in before}
    result = []
    for new in found:
        old = known.get(new["type"], {})
        same = all(old.get(key) == new.get(key) for key in ("status", "reason", "message"))
        stamp = old.get("lastTransitionTime", now) if same else now
        result.append({**new, "lastTransitionTime": stamp})
    return result


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a Revision has come.

    state: `resolving` its image, `missing` when it has none, `deploying`, `unhealthy` when its
    container ends, `unavailable` when it cannot be started, `ready`.
    """

    state: str
    reason: str = ""
    message: str = ""


def timed_out(deployment: Object | None) -> bool:
    """Whether a Deployment has given up on progress."""
    progressing = conditions(deployment or {}).get("Progressing", {})
    return progressing.get("reason") == "ProgressDeadlineExceeded"


def outcome_of(deployment: Object | None, pods: Sequence[Object], container: str) -> Outcome:
    """How far a Revision's pods have come; container: the model's.

    knative/serving@v0.18.0: pkg/reconciler/revision/reconcile_resources.go looks at one pod, and
    at waiting containers only once the Deployment has given up.
    """
    if dig(deployment, "status", "availableReplicas", default=0):
        return Outcome("ready")
    for pod in pods:
        scheduled = conditions(pod).get("PodScheduled", {})
        if scheduled.get("status") == "False":
            said = scheduled.get("reason", ""), scheduled.get("message", "")
            return Outcome("unavailable", *said)
    failing = conditions(deployment or {}).get("ReplicaFailure", {})
    if failing.get("status") == "True" and not pods:
        return Outcome("unavailable", failing.get("reason", ""), failing.get("message", ""))
    if not timed_out(deployment):
        return Outcome("deploying")
    for pod in pods[:1]:
        for entry in dig(pod, "status", "containerStatuses", default=[]):
            if entry["name"] == container:
                return _of_container(entry)
    return Outcome("deploying")


def _of_container(entry: Mapping[str, Any]) -> Outcome:
    ended = dig(entry, "lastState", "terminated") or dig(entry, "state", "terminated")
    if ended:
        text = f"Container failed with: {ended.get('message', '')}"
        return Outcome("unhealthy", f"ExitCode{ended.get('exitCode', 0)}", text)
    waiting = dig(entry, "state", "waiting")
    if waiting:
        return Outcome("unavailable", waiting.get("reason", ""), waiting.get("message", ""))
    return Outcome("deploying")


def of_revision(outcome: Outcome, active: Mapping[str, Any] | None) -> list[Condition]:
    """Conditions of a Revision; active: the condition of its PodAutoscaler, None before that."""
    state, said = outcome.state, (outcome.reason, outcome.message)
    if state == "resolving":
        return ordered(
            [
                condition("ContainerHealthy", None),
                condition("Ready", None, "ResolvingDigests"),
                condition("ResourcesAvailable", None, "ResolvingDigests"),
            ]
        )
    if state == "missing":
        return ordered(
            [
                condition("ContainerHealthy", False, *said),
                condition("Ready", False, *said),
                condition("ResourcesAvailable", None, "ResolvingDigests"),
            ]
        )
    fine, pending, bad = (True, "", ""), (None, "Deploying", ""), (False, *said)
    told: dict[str, tuple[_Said, _Said, _Said]] = {
        "deploying": (pending, pending, pending),
        "unhealthy": (bad, bad, fine),
        "unavailable": (pending, bad, bad),
        "ready": (fine, fine, fine),
    }
    names = ("ContainerHealthy", "Ready", "ResourcesAvailable")
    result = [condition(name, *said) for name, said in zip(names, told[state], strict=True)]
    if active is None:
        result.append(condition("Active", None, "Deploying", info=True))
    else:
        result.append({**_plain(active, "Active"), "severity": _INFO})
    return ordered(result)


def _plain(found: Mapping[str, Any], kind: str) -> Condition:
    kept = {key: found[key] for key in ("status", "reason", "message") if found.get(key)}
    return {"type": kind, **kept}


def of_configuration(name: str, outcome: Outcome) -> Condition:
    """Condition Ready of a Configuration whose newest Revision is called `name`."""
    if outcome.state == "ready":
        return condition("Ready", True)
    if outcome.state in ("missing", "unhealthy", "unavailable"):
        said = f'Revision "{name}" failed with message: {outcome.message}.'
        return condition("Ready", False, "RevisionFailed", said)
    return condition("Ready", None)


def of_route(
    config: str, failed: bool, ready: bool, ingress: Mapping[str, Any] | None
) -> list[Condition]:
    """Conditions of a Route to one Configuration; ingress: condition Ready of its Ingress."""
    if not ready:
        told = (
            "does not have any ready Revision."
            if failed
            else ("is waiting for a Revision to become ready.")
        )
        said = ("RevisionMissing", f'Configuration "{config}" {told}')
        status = False if failed else None
        return ordered(
            [
                condition("AllTrafficAssigned", status, *said),
                condition("CertificateProvisioned", None),
                condition("IngressReady", None, *NOT_CONFIGURED),
                condition("Ready", status, *said),
            ]
        )
    if ingress is None:
        way = [condition(kind, None, *NOT_CONFIGURED) for kind in ("IngressReady", "Ready")]
    else:
        way = [_plain(ingress, kind) for kind in ("IngressReady", "Ready")]
    return ordered(
        [
            condition("AllTrafficAssigned", True),
            condition("CertificateProvisioned", True, "TLSNotEnabled", "autoTLS is not enabled"),
            *way,
        ]
    )


def of_service(configured: Mapping[str, Any], routed: Mapping[str, Any]) -> list[Condition]:
    """Conditions of a Knative Service from the Ready conditions of Configuration and Route."""
    worst = routed if routed.get("status") != "True" else configured
    return ordered(
        [
            _plain(configured, "ConfigurationsReady"),
            _plain(worst, "Ready"),
            _plain(routed, "RoutesReady"),
        ]
    )


def of_autoscaler(
    *, ready_pods: int, wanted: int, initialized: bool, private_ready: bool, idle: bool
) -> list[Condition]:
    """Conditions of a PodAutoscaler."""
    if idle:
        active = condition("Active", False, *NO_TRAFFIC)
    elif ready_pods and (wanted or not idle):
        active = condition("Active", True)
    else:
        active = condition("Active", None, *QUEUED)
    sks = (
        condition("SKSReady", True)
        if private_ready
        else condition("SKSReady", None, "NotReady", UNHEALTHY[1])
    )
    ready = _plain(active if active["status"] != "True" else sks, "Ready")
    return ordered(
        [active, ready, sks, condition("ScaleTargetInitialized", True if initialized else None)]
    )


def of_serverless_service(healthy: bool, proxied: bool) -> list[Condition]:
    """Conditions of a ServerlessService."""
    said = (True,) if healthy else (None, *UNHEALTHY)
    told = ("ActivatorEndpointsPopulated", "Revision is backed by Activator")
    return ordered(
        [
            condition(
                "ActivatorEndpointsPopulated", proxied, *(told if proxied else ()), info=True
            ),
            condition("EndpointsPopulated", *said),
            condition("Ready", *said),
        ]
    )


def of_ingress(loaded: bool) -> list[Condition]:
    """Conditions of an Ingress; loaded: its gateways have taken it up."""
    way = (True,) if loaded else (None, *WAITING)
    return ordered(
        [
            condition("LoadBalancerReady", *way),
            condition("NetworkConfigured", True),
            condition("Ready", *way),
        ]
    )


def of_inference_service(service: Object | None, routed: bool) -> list[Condition]:
    """Conditions of an InferenceService; routed: its own Service and VirtualService exist."""
    found = conditions(service or {})
    if not found:
        return []
    routes, ready = found.get("RoutesReady", {}), found.get("Ready", {})
    result = [
        # upstream has these two the wrong way round
        {**_plain(routes, "PredictorConfigurationReady"), "severity": _INFO},
        _plain(ready, "PredictorReady"),
        {**_plain(found.get("ConfigurationsReady", {}), "PredictorRouteReady"), "severity": _INFO},
    ]
    if routed:
        result.append(condition("IngressReady", True))
    result.append(_plain(ready, "Ready"))
    return ordered(result)


def of_raw(available: Mapping[str, Any]) -> list[Condition]:
    """Conditions of an InferenceService without Knative; available: of its Deployment.

    kserve/kserve@v0.15: inference_service_status.go, PropagateRawStatus; its Ingress is made once
    the predictor is ready (kube_ingress_reconciler.go).
    """
    predictor = _plain(available or {"status": "Unknown"}, "PredictorReady")
    if predictor["status"] == "True":
        # SetCondition takes over the Deployment's words only where something is not well
        predictor = condition("PredictorReady", True)
        way = condition("IngressReady", True)
    else:
        way = condition("IngressReady", False, "Predictor ingress not created")
    worst = predictor if predictor["status"] != "True" else way
    return ordered([way, predictor, _plain(worst, "Ready")])

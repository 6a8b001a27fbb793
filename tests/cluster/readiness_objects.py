"""Objects in all sorts of states, for the tests of readiness."""

from __future__ import annotations

from typing import Any

from installer.core.objects import Object

Case = tuple[str, Object | None, str, str]
"""(what it is, the object, the state it is in, the reason)"""


def an(api_version: str, kind: str, *, generation: int = 1, **parts: Any) -> Object:
    metadata = {"name": "it", "generation": generation, **parts.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def condition(type: str, status: str, reason: str = "", message: str = "") -> Object:
    return {"type": type, "status": status, "reason": reason, "message": message}


def deployment(*conditions: Object, spec: Object | None = None, **status: int) -> Object:
    have = {"observedGeneration": 1, "conditions": list(conditions), **status}
    return an("apps/v1", "Deployment", spec=spec or {"replicas": 2}, status=have)


def stateful_set(spec: Object, **status: Any) -> Object:
    status = {"observedGeneration": 1, **status}
    return an("apps/v1", "StatefulSet", spec=spec, status=status)


def daemon_set(**status: int) -> Object:
    return an("apps/v1", "DaemonSet", spec={}, status={"observedGeneration": 1, **status})


def job(*conditions: Object, **status: Any) -> Object:
    return an("batch/v1", "Job", spec={}, status={"conditions": list(conditions), **status})


def definition(*conditions: Object) -> Object:
    status = {"conditions": list(conditions)}
    return an("apiextensions.k8s.io/v1", "CustomResourceDefinition", spec={}, status=status)


def pod(*conditions: Object, containers: list[Object] | None = None, **status: Any) -> Object:
    have = {"phase": "Running", "conditions": list(conditions), **status}
    if containers is not None:
        have["containerStatuses"] = containers
    return an("v1", "Pod", spec={}, status=have)


def container(restarts: int = 0, last: Object | None = None, **state: Object) -> Object:
    return {
        "name": "c",
        "image": "example.com/a/b:1",
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


def waiting(
    reason: str, message: str = "", restarts: int = 0, last: Object | None = None
) -> Object:
    return container(restarts, last, waiting={"reason": reason, "message": message})


def custom(api_version: str, kind: str, *conditions: Object, **status: Any) -> Object:
    have = {**status, **({"conditions": list(conditions)} if conditions else {})}
    return an(api_version, kind, spec={}, **({"status": have} if have else {}))


def webhooks(ca: str, rules: list[Object] | None) -> Object:
    entry = {
        "name": "w.example.com",
        "clientConfig": {"service": {"name": "s", "namespace": "n"}, "caBundle": ca},
        **({"rules": rules} if rules is not None else {}),
    }
    kind = "ValidatingWebhookConfiguration"
    return an("admissionregistration.k8s.io/v1", kind, webhooks=[entry])


ESTABLISHED = condition("Established", "True", "InitialNamesAccepted")
NAMED = condition("NamesAccepted", "True", "NoConflicts")
CA = "LS0tLS1CRUdJTg=="
RULES = [{"apiGroups": ["x"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]
FULL = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
NEVER_SEEN: Object = {"replicas": 1}

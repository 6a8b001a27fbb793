"""Whether a ResourceQuota has room for what is to be created. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from installer.core.objects import Object, containers, dig, ref_of
from installer.plan.footprint import (
    footprint,
    least_replicas,
    limits_of,
    pod_spec_of,
    pods_of,
)
from installer.plan.quantity import quantity

_COUNTED = {
    # kind: resource names of a quota. Source: kubernetes.io, "Resource Quotas", object count quota
    "ConfigMap": ("configmaps", "count/configmaps"),
    "Secret": ("secrets", "count/secrets"),
    "Service": ("services", "count/services"),
    "Deployment": ("count/deployments.apps",),
    "StatefulSet": ("count/statefulsets.apps",),
    "Job": ("count/jobs.batch",),
    "PersistentVolumeClaim": ("persistentvolumeclaims", "count/persistentvolumeclaims"),
}

_CONSTRAINED = {
    # resource of a quota: where a container must state it, and under which name
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
"""Source: kubernetes, `pkg/quota/v1/evaluator/core/pods.go`, validationSet and Constraints."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One resource that is not enough; the numbers as a quota writes them."""

    resource: str
    hard: str
    used: str
    needed: str


def demand_of(bodies: Iterable[Object]) -> Mapping[str, Decimal]:
    """What creating these objects takes from a quota, by its resource names."""
    bodies = list(bodies)
    found: Counter[str] = Counter()
    for body in bodies:
        found.update(_COUNTED.get(body["kind"], ()))
        if body["kind"] == "Service":
            found.update(_service(body))
    total = footprint(bodies, None)
    demand = {name: Decimal(count) for name, count in found.items()}
    demand["pods"] = demand["count/pods"] = Decimal(total.pods)
    cpu, memory = Decimal(total.cpu) / 1000, Decimal(total.memory)
    demand["requests.cpu"] = demand["cpu"] = cpu
    demand["requests.memory"] = demand["memory"] = memory
    demand |= _limits(bodies)
    return demand


def _limits(bodies: Sequence[Object]) -> Mapping[str, Decimal]:
    least = least_replicas(bodies)
    found = {"limits.cpu": Decimal(0), "limits.memory": Decimal(0)}
    for body in bodies:
        spec = pod_spec_of(body)
        if spec is not None:
            pods = pods_of(body, least, 0)
            for name, value in limits_of(spec).items():
                found[f"limits.{name}"] += value * pods
    return found


def constrained(quota: Mapping[str, Any]) -> list[str]:
    """Resources of a quota that every container must state, else its pod is refused."""
    return [] if _scoped(quota) else sorted(set(_hard(quota)) & set(_CONSTRAINED))


def completed(body: Object, limit_ranges: Sequence[Mapping[str, Any]]) -> Object:
    """A copy with what the API server puts into containers before it counts their pod.

    limit_ranges: those of its namespace. Source: kubernetes, `SetDefaults_Pod` (a missing request
    is the limit), then `plugin/pkg/admission/limitranger`, mergeContainerResources.
    """
    defaults: dict[str, dict[str, Any]] = {"requests": {}, "limits": {}}
    for limit_range in limit_ranges:
        for item in dig(limit_range, "spec", "limits", default=[]):
            if item.get("type") == "Container":
                defaults["requests"] |= item.get("defaultRequest") or {}
                defaults["limits"] |= item.get("default") or {}
    copy = deepcopy(body)
    for container in containers(pod_spec_of(copy) or {}):
        stated = container.get("resources") or {}
        limits = stated.get("limits") or {}
        requests = {**defaults["requests"], **limits, **(stated.get("requests") or {})}
        limits = {**defaults["limits"], **limits}
        container["resources"] = {**stated, "requests": requests, "limits": limits}
    return copy


def silent(bodies: Iterable[Object], names: Sequence[str]) -> Mapping[str, list[str]]:
    """Workloads with a container that does not state a constrained resource, and which they miss.

    bodies: as `completed` gives them; names: as `constrained` gives them.
    """
    found: dict[str, list[str]] = {}
    for body in bodies:
        parts = [c.get("resources") or {} for c in containers(pod_spec_of(body) or {})]
        missed = []
        for name in names:
            place, key = _CONSTRAINED[name]
            if any(dig(part, place, key) is None for part in parts):
                missed.append(name)
        if missed:
            found[str(ref_of(body))] = missed
    return found


def _service(body: Object) -> Iterator[str]:
    kind = dig(body, "spec", "type", default="ClusterIP")
    if kind == "LoadBalancer":
        yield "services.loadbalancers"
    if kind in ("LoadBalancer", "NodePort"):
        yield from ["services.nodeports"] * len(dig(body, "spec", "ports", default=[]))


def shortfalls(quota: Mapping[str, Any], demand: Mapping[str, Decimal]) -> Iterator[Shortfall]:
    """What of a quota would be exceeded. A quota with scopes counts only some pods: left aside."""
    if _scoped(quota):
        return
    used = dig(quota, "status", "used", default={})
    for name, limit in _hard(quota).items():
        needed = demand.get(name, Decimal(0))
        taken = quantity(used.get(name, 0))
        if needed and taken + needed > quantity(limit):
            yield Shortfall(name, str(limit), str(used.get(name, 0)), _shown(name, needed))


def _scoped(quota: Mapping[str, Any]) -> bool:
    return bool(dig(quota, "spec", "scopes") or dig(quota, "spec", "scopeSelector"))


def _hard(quota: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = dig(quota, "status", "hard") or dig(
        quota, "spec", "hard", default={}
    )
    return found


def _shown(name: str, value: Decimal) -> str:
    if name.endswith("memory"):
        return f"{int(value) // 2**20}Mi"
    if name.endswith("cpu"):
        return f"{int(value * 1000)}m"
    return str(int(value))

"""Whether a ResourceQuota has room for what is to be created. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from installer.core.objects import Object, dig
from installer.plan.footprint import footprint
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
    return demand


def _service(body: Object) -> Iterator[str]:
    kind = dig(body, "spec", "type", default="ClusterIP")
    if kind == "LoadBalancer":
        yield "services.loadbalancers"
    if kind in ("LoadBalancer", "NodePort"):
        yield from ["services.nodeports"] * len(dig(body, "spec", "ports", default=[]))


def shortfalls(quota: Mapping[str, Any], demand: Mapping[str, Decimal]) -> Iterator[Shortfall]:
    """What of a quota would be exceeded. A quota with scopes counts only some pods: left aside."""
    if dig(quota, "spec", "scopes") or dig(quota, "spec", "scopeSelector"):
        return
    hard = dig(quota, "status", "hard") or dig(quota, "spec", "hard", default={})
    used = dig(quota, "status", "used", default={})
    for name, limit in hard.items():
        needed = demand.get(name, Decimal(0))
        taken = quantity(used.get(name, 0))
        if needed and taken + needed > quantity(limit):
            yield Shortfall(name, str(limit), str(used.get(name, 0)), _shown(name, needed))


def _shown(name: str, value: Decimal) -> str:
    if name.endswith("memory"):
        return f"{int(value) // 2**20}Mi"
    if name.endswith("cpu"):
        return f"{int(value * 1000)}m"
    return str(int(value))

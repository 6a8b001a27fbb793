"""Which pods a release brings that do not run yet, and what they ask for. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from installer.core.objects import Object, dig
from installer.plan import scheduling
from installer.plan.footprint import least_replicas, pod_spec_of, pods_of
from installer.plan.scheduling import demand_of
from installer.plan.settings import WORKLOADS
from installer.plan.wanted import Wanted
from installer.preflight.capacity_packing import Need
from installer.preflight.world import Part

PREDICTOR = "one predictor pod"

_CPU, _MEMORY, _QUEUE_CPU = "1", "2Gi", "25m"
"""Requests of a model server and of Knative's queue-proxy where nothing is configured.

Source: an InferenceService of KFServing 0.5.1 as recorded after defaulting (1 CPU, 2Gi; queue-proxy
25m); the same numbers in `inferenceService.resource` of KServe's inferenceservice-config.
"""
_DAEMON_TOLERATIONS = [
    # Source: kubernetes, `pkg/controller/daemon/util`, AddOrUpdateDaemonPodTolerations
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
    for name, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
]


def needs_of(parts: Sequence[Part], pods: Sequence[Object]) -> list[Need]:
    """The pods of each workload that are to run and are on no node yet.

    Those that an update starts before it ends the old ones are counted too.
    """
    there: dict[str, list[Object]] = {}
    for pod in pods:
        if scheduling.bound_to(pod):
            there.setdefault(dig(pod, "metadata", "namespace", default=""), []).append(pod)
    least = least_replicas(item.body for part in parts for item in part.wanted)
    found = (_need(part, item, least, there) for part in parts for item in part.wanted)
    return [need for need in found if need is not None]


def _need(
    part: Part,
    item: Wanted,
    least: Mapping[tuple[str, str, str], int],
    there: Mapping[str, list[Object]],
) -> Need | None:
    spec = pod_spec_of(item.body)
    decision = part.decisions[item.ref.identity]
    if spec is None:
        return None
    every = item.ref.kind == "DaemonSet"
    if every:
        more = [*(spec.get("tolerations") or []), *_DAEMON_TOLERATIONS]
        spec = {**spec, "tolerations": more}
    total = 0 if every else pods_of(item.body, least, 0)
    if every or item.ref.kind not in ("Deployment", "StatefulSet", "ReplicaSet"):
        if decision != "create":
            return None
        count = 0 if every else total
    else:
        running = sum(_selects(item.body, pod) for pod in there.get(item.ref.namespace, []))
        count = max(0, total - running)
        if decision == "apply" and item.ref.kind == "Deployment" and running:
            count += surge(item.body, part.live.get(item.ref.identity), total)
    if not count and not every:
        return None
    key = f"{item.ref.namespace}/{item.ref.name}" if item.ref.kind in WORKLOADS else ""
    return Need(str(item.ref), spec, count, key, total, every, demand_of(spec))


def _selects(body: Object, pod: Object) -> bool:
    wanted = dig(body, "spec", "selector", "matchLabels", default={})
    labels = dig(pod, "metadata", "labels", default={})
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def surge(body: Object, live: Object | None, replicas: int) -> int:
    """Pods that a rolling update of a Deployment starts in addition; 0 when none is due."""
    if live is None or _running(body) == _running(live):
        return 0
    if dig(body, "spec", "strategy", "type", default="RollingUpdate") != "RollingUpdate":
        return 0
    most = str(dig(body, "spec", "strategy", "rollingUpdate", "maxSurge", default="25%"))
    if most.endswith("%"):
        share = Decimal(most[:-1] or 0) * replicas / 100
        return int(share.to_integral_value(ROUND_CEILING))
    return int(most) if most.isdigit() else 0


def _running(body: Object) -> dict[str, Any]:
    """What a change of starts new pods, as far as this looks: images and requests."""
    spec = pod_spec_of(body) or {}
    containers = spec.get("containers") or []
    return {
        str(c.get("name")): (c.get("image"), demand_of({"containers": [c]})) for c in containers
    }


def predictor(wanted: Sequence[Wanted]) -> Need:
    """One pod of an InferenceService with the release's defaults."""
    serving = _data(wanted, "inferenceservice-config")
    own = _member(serving, "inferenceService").get("resource") or {}
    first = _member(serving, "storageInitializer")
    model = _container(own.get("cpuRequest") or _CPU, own.get("memoryRequest") or _MEMORY)
    spec: dict[str, Any] = {"containers": [model]}
    if first.get("cpuRequest"):
        spec["initContainers"] = [
            _container(first["cpuRequest"], first.get("memoryRequest") or "0")
        ]
    knative = _data(wanted, "config-deployment")
    if knative is not None and not _raw(serving):
        # The name until Knative 0.21 or so, and the name since.
        queue = knative.get("queueSidecarCPURequest") or knative.get("queue-sidecar-cpu-request")
        spec["containers"].append(_container(queue or _QUEUE_CPU, "0"))
    return Need(PREDICTOR, spec, 1, total=1, demand=demand_of(spec))


def _raw(serving: Mapping[str, Any] | None) -> bool:
    mode = _member(serving, "deploy").get("defaultDeploymentMode")
    return mode in ("RawDeployment", "Standard")


def _data(wanted: Sequence[Wanted], name: str) -> Mapping[str, Any] | None:
    found: Iterator[Wanted] = (
        item for item in wanted if item.ref.kind == "ConfigMap" and item.ref.name == name
    )
    item = next(found, None)
    return None if item is None else item.body.get("data") or {}


def _member(data: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    try:
        read = json.loads((data or {}).get(key) or "{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _container(cpu: str, memory: str) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}}

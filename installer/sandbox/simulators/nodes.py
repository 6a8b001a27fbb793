"""Simulated nodes: Node objects, their heartbeats, and a scheduler that binds pods to them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from installer.core.objects import Object, containers, dig
from installer.sandbox.simulators.api import MERGE, Refused, path_of
from installer.sandbox.simulators.events import Events
from installer.sandbox.simulators.world import World, now

SIMULATED = "kserve-installer/simulated"
"""Label and annotation of everything that pretends to be hardware."""

CPU, MEMORY, PODS = 64.0, 128.0 * 2**30, 250
HEARTBEAT = 10.0
_HEALTHY = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID"),
    "Ready": ("True", "KubeletReady"),
}
_UNITS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def node_name(sandbox: str, index: int) -> str:
    """Name of the node with that index, from 0."""
    return f"{sandbox}-node-{index + 1}"


def node_address(index: int) -> str:
    """Address of a node: data only, nothing ever dials it."""
    return f"172.30.{index // 250}.{index % 250 + 1}"


def quantity(text: object) -> float:
    """A Kubernetes quantity as a number; 0 for one that cannot be read."""
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text).strip())
    return float(match[1]) * _UNITS.get(match[2], 0.0) if match else 0.0


def node_object(name: str) -> Object:
    """The Node as the kubelet registers it."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        SIMULATED: "true",
    }
    metadata = {"name": name, "labels": labels, "annotations": {SIMULATED: "true"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}}


def node_status(name: str, index: int, kubernetes: str) -> dict[str, Any]:
    """The status of a healthy node."""
    stamp = now()
    room = {"cpu": f"{CPU:g}", "memory": f"{MEMORY / 2**30:g}Gi", "pods": str(PODS)}
    return {
        "addresses": [
            {"type": "InternalIP", "address": node_address(index)},
            {"type": "Hostname", "address": name},
        ],
        "capacity": room | {"ephemeral-storage": "500Gi"},
        "allocatable": room | {"ephemeral-storage": "450Gi"},
        "conditions": [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": "simulated",
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": stamp,
            }
            for kind, (status, reason) in _HEALTHY.items()
        ],
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "kubeletVersion": f"v{kubernetes}",
            "kubeProxyVersion": f"v{kubernetes}",
            "containerRuntimeVersion": "simulated://0",
            "kernelVersion": "simulated",
            "osImage": "simulated by kserve-installer",
            "machineID": name,
            "systemUUID": name,
            "bootID": name,
        },
    }


class Nodes:
    """Registers the nodes, keeps their leases fresh and binds pods."""

    def __init__(self, world: World, events: Events):
        self._world = world
        self._events = events
        context = world.context
        self.names = [node_name(context.name, i) for i in range(context.nodes)]
        self.addresses = {name: node_address(i) for i, name in enumerate(self.names)}
        self.cache = world.cache("v1", "nodes")

    def start(self) -> None:
        """Register and begin the heartbeats."""
        for index, name in enumerate(self.names):
            self._world.work.add(("node", name), self._registration(index, name))

    def _registration(self, index: int, name: str) -> Any:
        def beat() -> float | None:
            if self._world.paused("kubelet"):
                return 1.0
            api, path = self._world.api, path_of("v1", "nodes", name=name)
            if self.cache.get("", name) is None and api.get(path) is None:
                api.create(path_of("v1", "nodes"), node_object(name), "kubelet")
            known = self.cache.get("", name)
            ready = {c["type"]: c["status"] for c in dig(known, "status", "conditions", default=[])}
            if ready.get("Ready") != "True":
                status = node_status(name, index, self._world.context.kubernetes)
                api.patch(f"{path}/status", {"status": status}, "kubelet")
            self._renew(name)
            return HEARTBEAT

        return beat

    def _renew(self, name: str) -> None:
        # nodelifecycle calls a node lost after 40 s without a renewal of its lease.
        api, stamp = self._world.api, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        group, place = "coordination.k8s.io/v1", "kube-node-lease"
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": stamp}
        try:
            api.patch(path_of(group, "leases", place, name), {"spec": spec}, "kubelet", MERGE)
        except Refused as error:
            if error.code != 404:
                raise
            metadata = {"name": name, "namespace": place}
            body = {"apiVersion": group, "kind": "Lease", "metadata": metadata, "spec": spec}
            api.create(path_of(group, "leases", place), body, "kubelet")

    def bind(self, pod: Object) -> str:
        """Bind a pod to a node and name it; empty when none takes it (and the pod says so)."""
        failing = self._world.context.nodes == 0
        node, reason = ("", "no nodes available to schedule pods") if failing else self._choose(pod)
        metadata = pod["metadata"]
        path = path_of("v1", "pods", metadata["namespace"], metadata["name"])
        if not node:
            self._unschedulable(pod, path, reason)
            return ""
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        self._world.api.request("POST", f"{path}/binding", body=body, manager="kube-scheduler")
        if not self._world.instant:
            text = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
            self._events.about(pod, "Normal", "Scheduled", text, source="default-scheduler")
        return node

    def _unschedulable(self, pod: Object, path: str, message: str) -> None:
        for condition in dig(pod, "status", "conditions", default=[]):
            if condition["type"] == "PodScheduled" and condition.get("message") == message:
                return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": now(),
        }
        body = {"status": {"conditions": [condition]}}
        self._world.api.patch(f"{path}/status", body, "kube-scheduler")
        self._events.about(pod, "Warning", "FailedScheduling", message, source="default-scheduler")

    def _choose(self, pod: Object) -> tuple[str, str]:
        rules = (
            self._world.script.current().image_rule(c["image"]) for c in containers(pod["spec"])
        )
        total = len(self.names)
        if any(rule and rule.fail == "pending" for rule in rules):
            return "", f"0/{total} nodes are available: {total} Insufficient cpu."
        cpu, memory = demand(pod)
        used = {name: [0.0, 0.0, 0.0] for name in self.names}
        for other in self._world.pods.all():
            row = used.get(dig(other, "spec", "nodeName", default=""))
            if row and dig(other, "status", "phase") not in ("Succeeded", "Failed"):
                other_cpu, other_memory = demand(other)
                row[0], row[1], row[2] = row[0] + other_cpu, row[1] + other_memory, row[2] + 1
        refusals: dict[str, int] = {}
        fitting = []
        for name in self.names:
            reason = self._mismatch(pod, name) or _lacking(used[name], cpu, memory)
            if reason:
                refusals[reason] = refusals.get(reason, 0) + 1
            else:
                fitting.append((used[name][2], name))
        if fitting:
            return min(fitting)[1], ""
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(refusals.items()))
        return "", f"0/{total} nodes are available: {told}."

    def _mismatch(self, pod: Object, name: str) -> str:
        labels = dig(self.cache.get("", name), "metadata", "labels", default={})
        selector = pod["spec"].get("nodeSelector") or {}
        if any(labels.get(key) != value for key, value in selector.items()):
            return "node(s) didn't match Pod's node affinity"
        path = (
            "spec",
            "affinity",
            "nodeAffinity",
            "requiredDuringSchedulingIgnoredDuringExecution",
        )
        terms = dig(pod, *path, "nodeSelectorTerms", default=[])
        for term in terms:
            fields = term.get("matchFields") or []
            if all(name in f.get("values", []) for f in fields if f["key"] == "metadata.name"):
                return ""
        return "node(s) didn't match Pod's node affinity" if terms else ""


def demand(pod: Object) -> tuple[float, float]:
    """(CPUs, bytes) that a pod's containers ask for."""
    requests = [
        dig(c, "resources", "requests", default={}) for c in pod["spec"].get("containers") or []
    ]
    return (
        sum(quantity(r["cpu"]) for r in requests if "cpu" in r),
        sum(quantity(r["memory"]) for r in requests if "memory" in r),
    )


def _lacking(used: list[float], cpu: float, memory: float) -> str:
    if used[0] + cpu > CPU:
        return "Insufficient cpu"
    if used[1] + memory > MEMORY:
        return "Insufficient memory"
    return "Too many pods" if used[2] + 1 > PODS else ""

"""Simulated nodes: Node objects, their heartbeats, and a scheduler that binds pods to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from installer.core.kubernetes_version import KubernetesVersion
from installer.core.objects import Object, conditions, containers, dig
from installer.plan import scheduling
from installer.plan.scheduling import Room
from installer.sandbox.shape import NodeShape
from installer.sandbox.simulators.api import MERGE, Refused, path_of
from installer.sandbox.simulators.events import Events
from installer.sandbox.simulators.port_forward import KUBELET_PORT
from installer.sandbox.simulators.world import World, now

SIMULATED = "kserve-installer/simulated"
"""Label and annotation of everything that pretends to be hardware."""

NOT_READY = "node.kubernetes.io/not-ready"
"""Taint that admission gives every new node, and that ends when the node is ready."""

HEARTBEAT = 10.0
_HEALTHY = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID"),
    "Ready": ("True", "KubeletReady"),
}
_IMAGE_BYTES = 100_000_000


def node_name(sandbox: str, index: int) -> str:
    """Name of the node with that index, from 0."""
    return f"{sandbox}-node-{index + 1}"


def node_address(sandbox: int, index: int) -> str:
    """Address of a node: loopback, of this sandbox alone, so that its node ports can be dialled.

    sandbox: its gateway's port, which no other sandbox on this machine has.
    """
    return f"127.{sandbox >> 8}.{sandbox & 255}.{index % 253 + 1}"


def pod_network_address(index: int) -> str:
    """Address of the pods in a node's network: data only, as Endpoints must not be loopback."""
    return f"172.30.{index // 250}.{index % 250 + 1}"


def node_object(name: str, shape: NodeShape) -> Object:
    """The Node as the kubelet registers it."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": shape.os,
        "kubernetes.io/arch": shape.architecture,
        "beta.kubernetes.io/os": shape.os,
        "beta.kubernetes.io/arch": shape.architecture,
        SIMULATED: "true",
    }
    metadata = {
        "name": name,
        "labels": {**labels, **shape.labels},
        "annotations": {SIMULATED: "true", **shape.annotations},
    }
    spec: dict[str, Any] = {}
    if shape.taints:
        spec["taints"] = [
            {"key": t.key, "value": t.value, "effect": t.effect} for t in shape.taints
        ]
    if shape.unschedulable:
        spec["unschedulable"] = True
    if shape.provider_id:
        spec["providerID"] = shape.provider_id
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def node_status(name: str, address: str, kubernetes: str, shape: NodeShape) -> dict[str, Any]:
    """The status of a node, healthy unless its shape says otherwise."""
    room = {
        "cpu": shape.allocatable.cpu,
        "memory": shape.allocatable.memory,
        "pods": shape.allocatable.pods,
    }
    addresses = [
        {"type": "InternalIP", "address": address},
        {"type": "Hostname", "address": name},
    ]
    if shape.external_ip:
        addresses.append({"type": "ExternalIP", "address": shape.external_ip})
    version = shape.kubelet_version or f"v{kubernetes}"
    return {
        "addresses": addresses,
        "capacity": room | {"ephemeral-storage": "500Gi"},
        "allocatable": room | {"ephemeral-storage": "450Gi"},
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
        "conditions": _conditions(shape.ready),
        "images": [{"names": [name], "sizeBytes": _IMAGE_BYTES} for name in shape.images],
        "nodeInfo": {
            "architecture": shape.architecture,
            "operatingSystem": shape.os,
            "kubeletVersion": version,
            "kubeProxyVersion": version,
            "containerRuntimeVersion": "simulated://0",
            "kernelVersion": "simulated",
            "osImage": "simulated by kserve-installer",
            "machineID": name,
            "systemUUID": name,
            "bootID": name,
        },
    }


def _conditions(ready: bool) -> list[dict[str, str]]:
    wanted = _HEALTHY if ready else {**_HEALTHY, "Ready": ("False", "KubeletNotReady")}
    stamp = now()
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "simulated",
            "lastHeartbeatTime": stamp,
            "lastTransitionTime": stamp,
        }
        for kind, (status, reason) in wanted.items()
    ]


class Nodes:
    """Registers the nodes, keeps their leases fresh and binds pods."""

    def __init__(self, world: World, events: Events):
        self._world = world
        self._events = events
        context = world.context
        self._shapes = context.shape or (NodeShape(),) * context.nodes
        self.names = [
            shape.name or node_name(context.name, i) for i, shape in enumerate(self._shapes)
        ]
        port = context.gateway_port
        self.addresses = {name: node_address(port, i) for i, name in enumerate(self.names)}
        self.pod_addresses = {name: pod_network_address(i) for i, name in enumerate(self.names)}
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
            shape = self._shapes[index]
            if self.cache.get("", name) is None and api.get(path) is None:
                api.create(path_of("v1", "nodes"), node_object(name, shape), "kubelet")
            known = self.cache.get("", name) or {}
            if conditions(known).get("Ready", {}).get("status") != str(shape.ready):
                kubernetes = self._world.context.kubernetes
                status = node_status(name, self.addresses[name], kubernetes, shape)
                api.patch(f"{path}/status", {"status": status}, "kubelet")
            if shape.ready:
                self._clear(name)
            self._renew(name)
            return HEARTBEAT

        return beat

    def _clear(self, name: str) -> None:
        # nodelifecycle does this; it does not run in a sandbox (see control_plane).
        api, path = self._world.api, path_of("v1", "nodes", name=name)
        known = self.cache.get("", name) or api.get(path)
        taints = dig(known, "spec", "taints", default=[])
        rest = [taint for taint in taints if taint["key"] != NOT_READY]
        if len(rest) < len(taints):
            api.patch(path, {"spec": {"taints": rest or None}}, "kube-controller-manager", MERGE)

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
        spec, old = pod["spec"], self._world.context.kubernetes
        demand = scheduling.demand_of(spec)
        refusals: dict[str, int] = {}
        fitting = []
        for room, pods in self._rooms():
            reason = scheduling.mismatch(spec, room) or scheduling.lacking(demand, room)
            if reason:
                words = in_words_of(old, reason)
                refusals[words] = refusals.get(words, 0) + 1
            else:
                fitting.append((pods, room.name))
        return (min(fitting)[1], "") if fitting else ("", scheduling.told(refusals, total))

    def _rooms(self) -> Sequence[tuple[Room, int]]:
        """What is free on each node, and how many pods it has."""
        pods = self._world.pods.all()
        counts = dict.fromkeys(self.names, 0)
        for pod in pods:
            node = scheduling.bound_to(pod)
            if node in counts:
                counts[node] += 1
        # Before the cache has it, a node is as its shape says.
        nodes = [
            self.cache.get("", name)
            or {**node_object(name, shape), "status": node_status(name, "", "", shape)}
            for name, shape in zip(self.names, self._shapes, strict=True)
        ]
        return [(room, counts[room.name]) for room in scheduling.rooms(nodes, pods)]


def in_words_of(kubernetes: str, reason: str) -> str:
    """A scheduler's reason as the scheduler of that version says it.

    Source: messages of 1.20 to 1.23 and of 1.24 and later, as users report them.
    """
    version = KubernetesVersion.parse(kubernetes)
    if version < KubernetesVersion(1, 24) and reason.startswith("node(s) had untolerated taint "):
        taint = reason.removeprefix("node(s) had untolerated taint ")
        return f"node(s) had taint {taint}, that the pod didn't tolerate"
    if version < KubernetesVersion(1, 22) and reason == scheduling.UNMATCHED:
        return reason.removesuffix("/selector")
    return reason

"""What a set of objects asks of the nodes: CPU, memory, pods, images. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from installer.core.objects import Object, containers, dig
from installer.plan.quantity import quantity

_REPLICATED = ("Deployment", "StatefulSet", "ReplicaSet")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that pods use. on_nodes: how many nodes say that they have it, None when unknown.

    A node names at most 50 images in its status, so that 0 means "not known to be there".
    """

    name: str
    on_nodes: int | None = None


@dataclass(frozen=True, slots=True)
class Footprint:
    """Requests of all pods together. cpu: millicores; memory: bytes.

    without_requests: pods with a container that asks for nothing, which therefore does not count.
    """

    cpu: int
    memory: int
    pods: int
    without_requests: int
    images: tuple[Image, ...]

    @property
    def to_pull(self) -> list[str]:
        """Images that no node is known to have."""
        return [image.name for image in self.images if not image.on_nodes]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "cpu_millicores": self.cpu,
            "memory_bytes": self.memory,
            "pods": self.pods,
            "pods_without_requests": self.without_requests,
            "images": [{"name": i.name, "on_nodes": i.on_nodes} for i in self.images],
        }


def footprint(bodies: Sequence[Object], nodes: Sequence[Mapping[str, Any]] | None) -> Footprint:
    """Of the objects as they are to be sent; nodes: as the server lists them, None when unknown.

    Replicas that an autoscaler of the same objects raises are counted raised; a DaemonSet counts
    one pod per node. Sidecars that are injected later are not known here.
    """
    least = least_replicas(bodies)
    cpu = memory = Decimal(0)
    pods = bare = 0
    names: dict[str, None] = {}
    for body in bodies:
        template = pod_spec_of(body)
        if template is None:
            continue
        count = pods_of(body, least, len(nodes or []))
        requested, complete = requests_of(template)
        cpu += requested["cpu"] * count
        memory += requested["memory"] * count
        pods += count
        bare += 0 if complete else count
        names |= dict.fromkeys(str(c["image"]) for c in containers(template) if c.get("image"))
    there = None if nodes is None else _images_on(nodes)
    images = [
        Image(name, None if there is None else there.get(_canonical(name), 0))
        for name in sorted(names)
    ]
    return Footprint(_ceil(cpu * 1000), _ceil(memory), pods, bare, tuple(images))


def pod_spec_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pod spec in an object of any kind that has one."""
    paths: dict[str, tuple[str, ...]] = {
        "Pod": ("spec",),
        "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    }
    kinds = (*_REPLICATED, "DaemonSet", "Job")
    kind = str(body.get("kind"))
    path = paths.get(kind) or (("spec", "template", "spec") if kind in kinds else None)
    found: dict[str, Any] | None = dig(body, *path) if path else None
    return found


def requests_of(pod_spec: Mapping[str, Any]) -> tuple[dict[str, Decimal], bool]:
    """What the scheduler counts for one pod: the sum of its containers, or an init container that
    asks for more; a missing request is the limit. False: a container asks for nothing.

    Source: kubernetes, `pkg/api/v1/resource/helpers.go`, PodRequestsAndLimits.
    """
    found = {}
    complete = True
    for name in ("cpu", "memory"):
        running = [_request(c, name) for c in pod_spec.get("containers") or []]
        first = [_request(c, name) for c in pod_spec.get("initContainers") or []]
        complete = complete and None not in running
        most = max([value or Decimal(0) for value in first], default=Decimal(0))
        overhead = dig(pod_spec, "overhead", name)
        total = max(sum((value or Decimal(0) for value in running), Decimal(0)), most)
        found[name] = total + (quantity(overhead) if overhead is not None else 0)
    return found, complete


def limits_of(pod_spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a quota on limits counts for one pod: as requests, of limits that are set.

    Source: kubernetes, `pkg/quota/v1/evaluator/core/pods.go`, PodUsageFunc.
    """
    found = {}
    for name in ("cpu", "memory"):
        running = [_limit(c, name) for c in pod_spec.get("containers") or []]
        first = [_limit(c, name) for c in pod_spec.get("initContainers") or []]
        total = max([sum(running, Decimal(0)), *first])
        overhead = dig(pod_spec, "overhead", name)
        found[name] = total + (quantity(overhead) if total and overhead is not None else 0)
    return found


def _limit(container: Mapping[str, Any], name: str) -> Decimal:
    return quantity(dig(container, "resources", "limits", name, default=0))


def _request(container: Mapping[str, Any], name: str) -> Decimal | None:
    for part in ("requests", "limits"):
        value = dig(container, "resources", part, name)
        if value is not None:
            return quantity(value)
    return None


def pods_of(body: Object, least: Mapping[tuple[str, str, str], int], nodes: int) -> int:
    """How many pods a workload has; least: as `least_replicas` gives it."""
    kind = body["kind"]
    if kind == "DaemonSet":
        return nodes
    if kind == "CronJob":
        return 0  # none until its time has come
    if kind == "Job":
        return int(dig(body, "spec", "parallelism", default=1))
    if kind in _REPLICATED:
        replicas = int(dig(body, "spec", "replicas", default=1))
        key = (kind, dig(body, "metadata", "namespace", default=""), body["metadata"]["name"])
        return max(replicas, least.get(key, 0)) if replicas else 0
    return 1


def least_replicas(bodies: Iterable[Object]) -> dict[tuple[str, str, str], int]:
    """Least replicas by (kind, namespace, name) of what a HorizontalPodAutoscaler scales."""
    return {
        (
            dig(body, "spec", "scaleTargetRef", "kind", default=""),
            dig(body, "metadata", "namespace", default=""),
            dig(body, "spec", "scaleTargetRef", "name", default=""),
        ): int(dig(body, "spec", "minReplicas", default=1))
        for body in bodies
        if body["kind"] == "HorizontalPodAutoscaler"
    }


def _images_on(nodes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """On how many nodes each image is, by canonical name."""
    found: dict[str, int] = {}
    for node in nodes:
        listed = dig(node, "status", "images", default=[])
        names = {_canonical(str(name)) for image in listed for name in image.get("names") or []}
        for name in names:
            found[name] = found.get(name, 0) + 1
    return found


def _canonical(image: str) -> str:
    """Registry, repository and tag in full; a digest makes the tag moot."""
    name, _, digest = image.partition("@")
    head, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in head and ":" not in head and head != "localhost":
        name = f"docker.io/{name}"
    if ":" not in name.rpartition("/")[2]:
        name += "" if digest else ":latest"
    elif digest:
        name = name.rpartition(":")[0]
    return f"{name}@{digest}" if digest else name


def _ceil(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_CEILING))

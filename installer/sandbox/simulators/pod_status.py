"""What a kubelet writes into a pod's status, as pure functions of the pod and of its run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from installer.core.objects import Object, conditions

State = dict[str, Any]
"""One of waiting, running or terminated, as in a container status."""


@dataclass(slots=True)
class ContainerRun:
    """How far one container has come. `last` is the state before the latest restart."""

    state: State
    ready: bool = False
    restarts: int = 0
    last: State = field(default_factory=dict)


@dataclass(slots=True)
class PodRun:
    """How far one pod has come on its node."""

    ip: str
    host_ip: str
    started_at: str
    init: dict[str, ContainerRun] = field(default_factory=dict)
    containers: dict[str, ContainerRun] = field(default_factory=dict)


def waiting(reason: str, message: str = "") -> State:
    """A waiting state."""
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def running(stamp: str) -> State:
    """A running state since `stamp`."""
    return {"running": {"startedAt": stamp}}


def terminated(
    code: int, reason: str, stamp: str, container_id: str = "", message: str = ""
) -> State:
    """A terminated state."""
    body = {
        "exitCode": code,
        "reason": reason,
        "startedAt": stamp,
        "finishedAt": stamp,
        "containerID": container_id,
    }
    return {"terminated": body | ({"message": message} if message else {})}


def container_id(pod: Object, name: str, restarts: int) -> str:
    """A stable made-up identifier, distinct for each restart."""
    text = f"{pod['metadata']['uid']}/{name}/{restarts}"
    return "containerd://" + hashlib.sha256(text.encode()).hexdigest()


def normal_image(image: str) -> str:
    """The image name as containerd reports it: with registry, and `library/` for short names."""
    first = image.split("/")[0]
    if "/" not in image:
        return "docker.io/library/" + image
    if "." in first or ":" in first or first == "localhost":
        return image
    return "docker.io/" + image


def image_id(image: str) -> str:
    """`repository@sha256:…`: the digest in the name, or a made-up one."""
    name = normal_image(image)
    repository, _, digest = name.partition("@")
    if not digest:
        head, _, tail = repository.rpartition("/")
        repository = f"{head}/{tail.split(':')[0]}"
        digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    return f"{repository}@{digest}"


def container_status(pod: Object, spec: Object, run: ContainerRun) -> dict[str, Any]:
    """One entry of containerStatuses or initContainerStatuses."""
    image, name = spec["image"], spec["name"]
    status: dict[str, Any] = {
        "name": name,
        "image": image,
        "imageID": "",
        "lastState": run.last,
        "ready": run.ready,
        "restartCount": run.restarts,
        "started": "running" in run.state,
        "state": run.state,
    }
    if "running" in run.state or "terminated" in run.state or run.last:
        status["image"] = normal_image(image)
        status["imageID"] = image_id(image)
        status["containerID"] = container_id(pod, name, run.restarts)
    return status


def pod_status(pod: Object, run: PodRun, now: str) -> dict[str, Any]:
    """The whole status for a strategic merge patch: phase, conditions, addresses, containers."""
    spec = pod["spec"]
    init = [(c, run.init[c["name"]]) for c in spec.get("initContainers") or []]
    main = [(c, run.containers[c["name"]]) for c in spec["containers"]]
    phase = _phase(init, main)
    status: dict[str, Any] = {
        "phase": phase,
        "conditions": _conditions(pod, init, main, phase, now),
        "hostIP": run.host_ip,
        "startTime": run.started_at,
        "containerStatuses": [container_status(pod, c, r) for c, r in main],
    }
    if init:
        entries = [container_status(pod, c, r) for c, r in init]
        for entry in entries:
            del entry["started"]
        status["initContainerStatuses"] = entries
    if run.ip:
        status["podIP"] = run.ip
        status["podIPs"] = [{"ip": run.ip}]
    return status


Runs = list[tuple[Object, ContainerRun]]


def _phase(init: Runs, main: Runs) -> str:
    if any("terminated" not in r.state for _, r in init):
        return "Pending"
    if all("terminated" in r.state for _, r in main):
        failed = any(r.state["terminated"]["exitCode"] for _, r in main)
        return "Failed" if failed else "Succeeded"
    if all(r.last or "waiting" not in r.state for _, r in main):
        return "Running"
    return "Pending"


def _conditions(pod: Object, init: Runs, main: Runs, phase: str, now: str) -> list[State]:
    unready = [c["name"] for c, r in main if not r.ready]
    undone = [c["name"] for c, r in init if "terminated" not in r.state]
    if phase == "Succeeded":
        ready: State = {"status": "False", "reason": "PodCompleted"}
        initialized: State = {"status": "True", "reason": "PodCompleted"}
    else:
        ready = _unless(unready, "ContainersNotReady", "containers with unready status")
        initialized = _unless(
            undone, "ContainersNotInitialized", "containers with incomplete status"
        )
    known = conditions(pod)
    wanted = {"Initialized": initialized, "Ready": ready, "ContainersReady": ready}
    result = []
    for kind, condition in wanted.items():
        entry = {"type": kind, "lastProbeTime": None, "lastTransitionTime": now} | condition
        entry.setdefault("reason", None)
        entry.setdefault("message", None)
        before = known.get(kind)
        if before and before["status"] == entry["status"]:
            entry["lastTransitionTime"] = before["lastTransitionTime"]
        result.append(entry)
    return result


def _unless(names: list[str], reason: str, text: str) -> State:
    if not names:
        return {"status": "True"}
    return {"status": "False", "reason": reason, "message": f"{text}: [{' '.join(names)}]"}

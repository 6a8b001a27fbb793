"""The simulated kubelet: takes every pod from Pending to where the script wants it.

A pod goes through the stages `mount` (Secrets and ConfigMaps are there), `pull`, `start`, `ready`
and `done`; each stage writes the status a kubelet would write and says how long the next takes.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field

from installer.core.objects import Object, conditions, containers, dig
from installer.sandbox.script import ImageRule
from installer.sandbox.simulators.api import STRATEGIC, path_of
from installer.sandbox.simulators.events import Events
from installer.sandbox.simulators.mounts import SECRET, Needed, needed
from installer.sandbox.simulators.nodes import Nodes
from installer.sandbox.simulators.pod_status import (
    ContainerRun,
    PodRun,
    container_id,
    pod_status,
    running,
    terminated,
    waiting,
)
from installer.sandbox.simulators.world import World, container_statuses, now

PULL, START, READY, STOP = 1.5, 0.3, 0.5, 1.0
"""Seconds that these took when recorded, where nothing more exact is known."""

BACK_OFF = (10, 20, 40, 80, 160, 300)
"""Seconds between restarts of a crashing container, as kubelets wait."""

INSTANT_BACK_OFF = 1.0
"""Seconds between restarts when delays are zero: fast, but not a busy loop."""


@dataclass(slots=True)
class Life:
    """One pod on its node. `told` are the events already reported, `due` when its stage is due."""

    run: PodRun
    stage: str = "mount"
    due: float = 0.0
    told: set[str] = field(default_factory=set)
    rules: tuple[ImageRule | None, ...] = ()


class Kubelet:
    """Drives the status of all pods of all simulated nodes."""

    def __init__(self, world: World, nodes: Nodes, events: Events):
        self._world = world
        self._nodes = nodes
        self._events = events
        self._lives: dict[str, Life] = {}
        self._failures: dict[ImageRule, int] = {}
        self._lock = threading.Lock()
        self._addresses = (f"10.244.{i // 254}.{i % 254 + 1}" for i in itertools.count(1))
        world.pods.subscribe(self._changed)
        world.secrets.subscribe(self._source_changed)
        world.config_maps.subscribe(self._source_changed)
        world.on_script("kubelet", self._look_again)

    def _changed(self, kind: str, pod: Object) -> None:
        if kind == "deleted":
            self._lives.pop(pod["metadata"]["uid"], None)
        else:
            self._queue(pod)

    def _queue(self, pod: Object) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        self._world.work.add(("pod", namespace, name), lambda: self._step(namespace, name))

    def _source_changed(self, kind: str, _: Object) -> None:
        if kind != "deleted" and any(life.stage == "mount" for life in list(self._lives.values())):
            for pod in self._world.pods.all():
                life = self._lives.get(pod["metadata"]["uid"])
                if life and life.stage == "mount":
                    self._queue(pod)

    def _look_again(self) -> None:
        for pod in self._world.pods.all():
            self._queue(pod)

    def _step(self, namespace: str, name: str) -> float | None:
        pod = self._world.pods.get(namespace, name)
        if pod is None or self._world.paused("kubelet"):
            return None
        if pod["metadata"].get("deletionTimestamp"):
            return self._finish(pod)
        if dig(pod, "status", "phase") in ("Succeeded", "Failed"):
            return None
        node = dig(pod, "spec", "nodeName") or self._bind(pod)
        if not node:
            return 1.0
        life = self._lives.get(pod["metadata"]["uid"])
        if life is None:
            life = self._lives[pod["metadata"]["uid"]] = self._begin(pod, node)
        self._follow_script(pod, life)
        wait: float | None = max(0.0, life.due - time.monotonic())
        while wait == 0.0:
            wait = _STAGES[life.stage](self, pod, life)
            # A change of the pod brings us here again at once: the wait must survive that.
            life.due = time.monotonic() + (wait or 0.0)
        return wait

    def _bind(self, pod: Object) -> str:
        if dig(pod, "spec", "schedulerName", default="default-scheduler") != "default-scheduler":
            return ""
        return "" if self._world.paused("scheduler") else self._nodes.bind(pod)

    def _begin(self, pod: Object, node: str) -> Life:
        status = pod.get("status") or {}
        host = self._nodes.addresses.get(node, "")
        rules = self._rules(pod)
        if status.get("podIP") and status.get("phase") == "Running":
            # A pod of an earlier simulator process: it goes on as it is.
            entries = {s["name"]: s for s in container_statuses(pod)}
            entries |= {s["name"]: s for s in status.get("initContainerStatuses") or []}
            run = PodRun(status["podIP"], host, status.get("startTime") or now())
            for key, runs in (("initContainers", run.init), ("containers", run.containers)):
                for container in pod["spec"].get(key) or []:
                    entry = entries[container["name"]]
                    runs[container["name"]] = ContainerRun(
                        entry["state"], entry["ready"], entry["restartCount"], entry["lastState"]
                    )
            ready = conditions(pod).get("Ready", {}).get("status") == "True"
            return Life(run, "done" if ready else "ready", rules=rules)
        run = PodRun("", host, now())
        creating = waiting(
            "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
        )
        for container in pod["spec"].get("initContainers") or []:
            run.init[container["name"]] = ContainerRun(waiting("PodInitializing"))
        for container in pod["spec"]["containers"]:
            run.containers[container["name"]] = ContainerRun(creating)
        return Life(run, rules=rules)

    def _rules(self, pod: Object) -> tuple[ImageRule | None, ...]:
        script = self._world.script.current()
        return tuple(script.image_rule(c["image"]) for c in containers(pod["spec"]))

    def _follow_script(self, pod: Object, life: Life) -> None:
        rules = self._rules(pod)
        if rules == life.rules:
            return
        life.rules = rules
        life.due = 0.0
        failing = any(rule and rule.fail for rule in rules)
        if life.stage not in ("mount", "pull", "start") and (failing or life.stage != "done"):
            life.stage = "pull"

    def _fails(self, life: Life, *kinds: str) -> ImageRule | None:
        """The rule by which the pod fails now in one of the ways; counts one failure."""
        for rule in life.rules:
            if rule and rule.fail in kinds and (found := self._counted(rule)):
                return found
        return None

    def _counted(self, rule: ImageRule) -> ImageRule | None:
        with self._lock:
            done = self._failures.get(rule, 0)
            if rule.count is not None and done >= rule.count:
                return None
            self._failures[rule] = done + 1
            return rule

    def _seconds(self, life: Life, name: str, recorded: float) -> float:
        scripted = [getattr(rule, name) for rule in life.rules if rule]
        told = [seconds for seconds in scripted if seconds is not None]
        return max(told) if told else self._world.delay(recorded)

    def _write(self, pod: Object, life: Life) -> None:
        metadata = pod["metadata"]
        status = pod_status(pod, life.run, now())
        path = path_of("v1", "pods", metadata["namespace"], metadata["name"]) + "/status"
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        self._world.pods.put(self._world.api.patch(path, body, "kubelet", STRATEGIC))

    def _tell(self, pod: Object, life: Life, kind: str, reason: str, message: str) -> None:
        if kind == "Normal" and self._world.instant and reason != "BackOff":
            return
        if f"{reason} {message}" not in life.told:
            life.told.add(f"{reason} {message}")
            node = dig(pod, "spec", "nodeName", default="")
            self._events.about(pod, kind, reason, message, source="kubelet", host=node)

    def _mount(self, pod: Object, life: Life) -> float | None:
        rule = self._fails(life, "evicted")
        if rule:
            return self._evict(pod, life, rule)
        missing = [n for n in needed(pod) if not self._present(pod, n)]
        if not missing:
            life.stage = "pull"
            life.run.ip = self._address(pod)
            return 0.0
        for lack in missing:
            if lack.container:
                runs = life.run.containers | life.run.init
                runs[lack.container].state = waiting("CreateContainerConfigError", lack.text)
            self._tell(pod, life, "Warning", "FailedMount" if lack.volume else "Failed", lack.text)
        self._write(pod, life)
        return None

    def _present(self, pod: Object, need: Needed) -> bool:
        cache = self._world.secrets if need.kind == SECRET else self._world.config_maps
        return cache.get(pod["metadata"]["namespace"], need.name) is not None

    def _address(self, pod: Object) -> str:
        if pod["spec"].get("hostNetwork"):
            return self._nodes.pod_addresses[pod["spec"]["nodeName"]]
        used = {dig(other, "status", "podIP") for other in self._world.pods.all()}
        with self._lock:
            return next(address for address in self._addresses if address not in used)

    def _evict(self, pod: Object, life: Life, rule: ImageRule) -> float | None:
        message = rule.message or "The node was low on resource: memory."
        metadata = pod["metadata"]
        body = {
            "metadata": {"uid": metadata["uid"]},
            "status": {"phase": "Failed", "reason": "Evicted", "message": message},
        }
        path = path_of("v1", "pods", metadata["namespace"], metadata["name"]) + "/status"
        self._world.api.patch(path, body, "kubelet", STRATEGIC)
        self._tell(pod, life, "Warning", "Evicted", message)
        life.stage = "done"
        return None

    def _pull(self, pod: Object, life: Life) -> float | None:
        rule = self._fails(life, "ErrImagePull")
        if rule:
            return self._pull_failed(pod, life, rule)
        for container in containers(pod["spec"]):
            self._tell(pod, life, "Normal", "Pulling", f'Pulling image "{container["image"]}"')
        life.stage = "start"
        seconds = self._seconds(life, "pull_seconds", PULL)
        seconds += self._seconds(life, "start_seconds", START)
        if seconds:
            self._write(pod, life)
        return seconds

    def _pull_failed(self, pod: Object, life: Life, rule: ImageRule) -> float:
        name, image = next(
            (c["name"], c["image"]) for c in containers(pod["spec"]) if rule.match in c["image"]
        )
        run = (life.run.init | life.run.containers)[name]
        code = "Unknown" if _minor(self._world) < 24 else "NotFound"
        cause = rule.message or (
            f'rpc error: code = {code} desc = failed to pull and unpack image "{image}": '
            f'failed to resolve reference "{image}": {image}: not found'
        )
        if "ErrImagePull" not in str(run.state) and "ImagePullBackOff" not in str(run.state):
            run.state = waiting("ErrImagePull", cause)
            self._tell(pod, life, "Warning", "Failed", f'Failed to pull image "{image}": {cause}')
            self._tell(pod, life, "Warning", "Failed", "Error: ErrImagePull")
            self._write(pod, life)
            return self._world.delay(0.8) or 0.1
        text = f'Back-off pulling image "{image}"'
        if _minor(self._world) >= 32:
            text += f": ErrImagePull: {cause}"
        if run.state != waiting("ImagePullBackOff", text):
            run.state = waiting("ImagePullBackOff", text)
            self._tell(pod, life, "Warning", "Failed", "Error: ImagePullBackOff")
            self._tell(pod, life, "Normal", "BackOff", text)
            self._write(pod, life)
        return self._world.delay(10) or INSTANT_BACK_OFF

    def _start(self, pod: Object, life: Life) -> float | None:
        stamp = now()
        rule = self._fails(life, "crash")
        for name, run in life.run.init.items():
            if rule and rule.match in _image(pod, "initContainers", name):
                return self._back_off(pod, life, rule, name, run)
            run.state = terminated(0, "Completed", stamp, container_id(pod, name, run.restarts))
            run.ready = True
        for name, run in life.run.containers.items():
            run.state = running(stamp)
            self._tell(pod, life, "Normal", "Created", f"Created container {name}")
            self._tell(pod, life, "Normal", "Started", f"Started container {name}")
        if rule:
            return self._crash(pod, life, rule)
        life.stage = "ready"
        seconds = self._seconds(life, "ready_seconds", _probe_seconds(pod))
        if seconds or any(rule and rule.fail == "never-ready" for rule in life.rules):
            self._write(pod, life)
        return seconds

    def _crash(self, pod: Object, life: Life, rule: ImageRule) -> float | None:
        name = next(c["name"] for c in pod["spec"]["containers"] if rule.match in c["image"])
        for other_name, other in life.run.containers.items():
            other.ready = other_name != name
        if pod["spec"].get("restartPolicy") == "Never":
            restarts = life.run.containers[name].restarts
            ended = terminated(
                rule.exit_code, "Error", now(), container_id(pod, name, restarts), rule.message
            )
            for other in life.run.containers.values():
                other.state, other.ready = ended, False
            self._write(pod, life)
            life.stage = "done"
            return None
        return self._back_off(pod, life, rule, name, life.run.containers[name])

    def _back_off(
        self, pod: Object, life: Life, rule: ImageRule, name: str, run: ContainerRun
    ) -> float:
        """A container has ended with an error: it is started again, ever later."""
        run.ready = False
        run.last = terminated(
            rule.exit_code, "Error", now(), container_id(pod, name, run.restarts), rule.message
        )
        wait = BACK_OFF[min(run.restarts, len(BACK_OFF) - 1)]
        told = f"{wait // 60}m{wait % 60}s" if wait >= 60 else f"{wait}s"
        metadata = pod["metadata"]
        place = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        run.restarts += 1
        run.state = waiting(
            "CrashLoopBackOff", f"back-off {told} restarting failed container={name} pod={place}"
        )
        self._tell(pod, life, "Warning", "BackOff", "Back-off restarting failed container")
        self._write(pod, life)
        life.stage = "start"
        return self._world.delay(wait) or INSTANT_BACK_OFF

    def _ready(self, pod: Object, life: Life) -> float | None:
        if pod["spec"].get("restartPolicy", "Always") != "Always":
            stamp = now()
            for name, run in life.run.containers.items():
                run.state = terminated(0, "Completed", stamp, container_id(pod, name, run.restarts))
                run.ready = False
        elif self._fails(life, "never-ready"):
            self._tell(pod, life, "Warning", "Unhealthy", "Readiness probe failed: ")
            return None
        else:
            for run in life.run.containers.values():
                run.ready = True
        self._write(pod, life)
        life.stage = "done"
        return None

    def _done(self, _pod: Object, _life: Life) -> float | None:
        return None

    def _finish(self, pod: Object) -> float | None:
        metadata = pod["metadata"]
        if metadata["uid"] not in self._lives and not dig(pod, "spec", "nodeName"):
            return None
        life = self._lives.get(metadata["uid"])
        if life and life.stage != "stopping":
            life.stage = "stopping"
            life.due = time.monotonic() + self._world.delay(STOP)
        if life and life.due > time.monotonic():
            return life.due - time.monotonic()
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": metadata["uid"]},
        }
        path = path_of("v1", "pods", metadata["namespace"], metadata["name"])
        self._world.api.request("DELETE", path, body=body)
        return None


_STAGES = {
    "mount": Kubelet._mount,
    "pull": Kubelet._pull,
    "start": Kubelet._start,
    "ready": Kubelet._ready,
    "done": Kubelet._done,
    "stopping": Kubelet._done,
}


def _image(pod: Object, kind: str, name: str) -> str:
    return str(next(c["image"] for c in pod["spec"][kind] if c["name"] == name))


def _probe_seconds(pod: Object) -> float:
    delays = [READY]
    for container in pod["spec"]["containers"]:
        probe = container.get("readinessProbe")
        if probe:
            period = probe.get("periodSeconds") or 10
            delays.append((probe.get("initialDelaySeconds") or 0) + min(period / 2, 2.0))
    return max(delays)


def _minor(world: World) -> int:
    return int(world.context.kubernetes.split(".")[1])

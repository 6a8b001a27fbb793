"""What every simulator shares: the API server, what is known of the cluster, the script, work."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from datetime import UTC, datetime

from installer.core.objects import Object, dig
from installer.sandbox.context import SimulatorContext
from installer.sandbox.script import ScriptFile
from installer.sandbox.simulators.api import Api, path_of
from installer.sandbox.simulators.cache import Cache
from installer.sandbox.simulators.roles import role_of
from installer.sandbox.simulators.work import Job, Work

ADMISSION = "admissionregistration.k8s.io/v1"
CONFIGURATIONS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")


class World:
    """The sandbox as the simulators see it."""

    def __init__(self, context: SimulatorContext, api: Api):
        self.context = context
        self.api = api
        self.script = ScriptFile(context.script)
        self.work = Work(8)
        self._caches: dict[str, Cache] = {}
        self._interested: list[tuple[Hashable, Job]] = []
        self.namespaces = self.cache("v1", "namespaces")
        self.pods = self.cache("v1", "pods")
        self.secrets = self.cache("v1", "secrets")
        self.config_maps = self.cache("v1", "configmaps", metadata_only=True)
        self.services = self.cache("v1", "services")
        self.endpoints = self.cache("v1", "endpoints")
        self.crds = self.cache(
            "apiextensions.k8s.io/v1", "customresourcedefinitions", metadata_only=True
        )
        self.mutating = self.cache(ADMISSION, CONFIGURATIONS[0])
        self.validating = self.cache(ADMISSION, CONFIGURATIONS[1])

    def cache(
        self, api_version: str, plural: str, *older: str, metadata_only: bool = False
    ) -> Cache:
        """The cache of a kind, made on first use; call before `start`.

        older: versions to use instead while the server does not serve the first.
        """
        path, *others = (path_of(version, plural) for version in (api_version, *older))
        if path not in self._caches:
            self._caches[path] = Cache(self.api, path, *others, metadata_only=metadata_only)
        return self._caches[path]

    def start(self) -> None:
        """Start caches and work."""
        self.work.start()
        for cache in self._caches.values():
            cache.start()

    def stop(self) -> None:
        """Stop caches and work."""
        self.work.stop()
        for cache in self._caches.values():
            cache.stop()

    def reconcile(self, name: str, job: Job, *causes: Cache, part: str = "") -> None:
        """Run `job` as controller `name`: on every change of the caches and of the script.

        Nothing runs while the script lists `name` as paused. Parts of one controller run side by
        side.
        """
        key = (name, part)

        def unless_paused() -> float | None:
            return None if self.paused(name) else job()

        for cause in causes:
            cause.subscribe(lambda _kind, _obj: self.work.add(key, unless_paused))
        self._interested.append((key, unless_paused))

    def on_script(self, key: Hashable, job: Job) -> None:
        """Run `job` whenever the script changes."""
        self._interested.append((key, job))

    def script_changed(self) -> None:
        """Let everything that depends on the script look again."""
        for key, job in self._interested:
            self.work.add(key, job)

    @property
    def instant(self) -> bool:
        """Whether delays are zero now."""
        return self.script.current().instant(self.context.instant)

    def paused(self, name: str) -> bool:
        """Whether the script pauses a controller."""
        return name in self.script.current().paused

    def delay(self, recorded: float) -> float:
        """Seconds to take for something the real controller took `recorded` seconds for."""
        return 0.0 if self.instant else recorded

    def running(self, role: str) -> list[Object]:
        """Pods of a controller whose containers run, oldest first."""
        found = [
            pod
            for pod in self.pods.all()
            if role_of(pod) == role
            and dig(pod, "status", "phase") == "Running"
            and not pod["metadata"].get("deletionTimestamp")
            and all("running" in c.get("state", {}) for c in container_statuses(pod))
        ]
        return sorted(found, key=lambda pod: str(dig(pod, "status", "startTime", default="")))

    def services_of(self, pod: Object) -> list[Object]:
        """Services whose selector matches the pod."""
        labels = pod["metadata"].get("labels") or {}
        namespace = pod["metadata"]["namespace"]
        return [
            service
            for service in self.services.all()
            if service["metadata"]["namespace"] == namespace
            and (selector := dig(service, "spec", "selector"))
            and all(labels.get(key) == value for key, value in selector.items())
        ]

    def configurations_of(self, services: list[Object]) -> list[tuple[str, Object]]:
        """(plural, webhook configuration) of those that call one of the services."""
        names = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in services}
        return [
            (plural, configuration)
            for plural, cache in zip(CONFIGURATIONS, (self.mutating, self.validating), strict=True)
            for configuration in cache.all()
            if any(_service_of(hook) in names for hook in configuration.get("webhooks") or [])
        ]

    def replace_configuration(self, plural: str, body: Object, manager: str) -> None:
        """PUT a webhook configuration and remember the answer."""
        path = path_of(ADMISSION, plural, name=body["metadata"]["name"])
        done = self.api.replace(path, body, manager)
        (self.mutating if plural == CONFIGURATIONS[0] else self.validating).put(done)

    def follow_script(self, stopped: threading.Event, every: float = 0.1) -> None:
        """Until `stopped`: notice changes of the script file."""
        seen = self.script.current()
        while not stopped.wait(every):
            now = self.script.current()
            if now is not seen:
                seen = now
                self.script_changed()


def _service_of(hook: Object) -> tuple[str, str]:
    service = dig(hook, "clientConfig", "service", default={})
    return service.get("namespace", ""), service.get("name", "")


def container_statuses(pod: Object) -> list[Object]:
    """status.containerStatuses, empty when absent."""
    found: list[Object] = dig(pod, "status", "containerStatuses", default=[])
    return found


def ran(pod: Object) -> float:
    """Seconds since the last of the pod's containers started."""
    started = (dig(s, "state", "running", "startedAt", default="") for s in container_statuses(pod))
    return seconds_since(max(started, default=""))


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(stamp: str) -> float:
    """Seconds since a Kubernetes timestamp; 0 for one that cannot be read."""
    try:
        then = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return max(0.0, time.time() - then.timestamp())

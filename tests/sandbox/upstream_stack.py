"""Applies upstream's manifests of the KFServing 0.5.1 stack to a sandbox, plainly.

Neither the installer nor its client takes part, so that the simulators are tested alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from installer.core.objects import Object, conditions, containers, dig
from installer.sandbox.options import SandboxInfo
from installer.sandbox.simulators.api import Api, Refused, path_of

_OPERATOR = "raw.githubusercontent.com/knative/operator/v0.19.4/cmd/operator/kodata"
_KNATIVE = f"{_OPERATOR}/knative-serving/0.18.3"
FILES = (
    "rendered/istio/1.6.2/kfserving-quick-install.yaml",
    f"{_KNATIVE}/1-serving-crds.yaml",
    f"{_KNATIVE}/2-serving-core.yaml",
    f"{_KNATIVE}/4-net-istio.yaml",
    "github.com/jetstack/cert-manager/releases/download/v0.15.1/cert-manager.yaml",
    "raw.githubusercontent.com/kserve/kserve/v0.5.1/install/v0.5.1/kfserving.yaml",
)
_FIRST = {"Namespace": 0, "CustomResourceDefinition": 1, "Deployment": 3, "StatefulSet": 3}
_LATE = {"Issuer": 4, "Certificate": 4, "Gateway": 5, "Image": 5, "EnvoyFilter": 5}
_WEBHOOKS = 4

SECONDS = 90.0
"""How long anything may take on a busy machine before a test gives up."""


def eventually(check: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """The first truthy answer of `check`; fails with `what` when there is none in time."""
    end = time.monotonic() + seconds
    while not (answer := check()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return answer


def pod(name: str, image: str, **more: Any) -> Object:
    """A pod in namespace `probe`."""
    spec = {"containers": [{"name": "main", "image": image}], **more}
    metadata = {"name": name, "namespace": "probe"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def waiting_reason(found: Object | None) -> str:
    """Why its first container waits."""
    status = dig(found, "status", "containerStatuses", 0, "state", "waiting", default={})
    return str(status.get("reason", ""))


def is_ready(found: Object | None) -> bool:
    """Whether its condition Ready is True."""
    return conditions(found or {}).get("Ready", {}).get("status") == "True"


class Stack:
    """A sandbox, its API server, and what is to be applied to it."""

    def __init__(self, info: SandboxInfo, api: Api, upstream: Path):
        self.info = info
        self.api = api
        self._upstream = upstream
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def install(self) -> None:
        """Apply everything, and return when all workloads are ready."""
        for file in FILES:
            text = (self._upstream / file).read_text()
            objects = [o for o in yaml.load_all(text, Loader=yaml.CSafeLoader) if o]
            self._apply_all([_plain(o) for o in objects if not o["kind"].endswith("List")])
            eventually(self.ready, f"workloads of {file}")

    def ready(self) -> bool:
        """Whether every Deployment and StatefulSet has all its replicas ready."""
        found: list[Object] = []
        for plural in ("deployments", "statefulsets"):
            found += self.api.request("GET", path_of("apps/v1", plural))["items"]
        return all(
            dig(o, "status", "readyReplicas", default=0) == o["spec"].get("replicas", 1)
            and dig(o, "status", "observedGeneration") == o["metadata"]["generation"]
            for o in found
        )

    def path(self, obj: Object, name: str = "") -> str:
        """The path of an object's collection, or of the object `name` in it."""
        key = obj["apiVersion"], obj["kind"]
        if key not in self._plurals:
            root = path_of(obj["apiVersion"], "").rstrip("/")
            for resource in self.api.request("GET", root)["resources"]:
                if "/" not in resource["name"]:
                    kind = obj["apiVersion"], resource["kind"]
                    self._plurals[kind] = resource["name"], resource["namespaced"]
        plural, namespaced = self._plurals[key]
        namespace = obj["metadata"].get("namespace", "default") if namespaced else ""
        return path_of(obj["apiVersion"], plural, namespace, name)

    def apply(self, obj: Object) -> None:
        """Server-side apply, again and again while webhooks or kinds are not there yet."""

        def applied() -> bool:
            try:
                self.api.request(
                    "PATCH",
                    self.path(obj, obj["metadata"]["name"]),
                    body=obj,
                    content_type="application/apply-patch+yaml",
                    query={"fieldManager": "test", "force": "true"},
                )
            except KeyError:
                return False
            except Refused as error:
                if error.code not in (404, 409, 500, 504):
                    raise
                return False
            return True

        eventually(applied, f"{obj['kind']} {obj['metadata']['name']}")

    def _apply_all(self, objects: list[Object]) -> None:
        namespaces = {dig(o, "metadata", "namespace") for o in objects} - {None}
        body: Object = {"apiVersion": "v1", "kind": "Namespace"}
        missing = [body | {"metadata": {"name": name}} for name in sorted(namespaces)]
        for rank in range(6):
            batch = [o for o in objects if _rank(o) == rank]
            self._parallel(batch)
            if rank == 0:
                for namespace in missing:
                    self.api.create(path_of("v1", "namespaces"), namespace, "test")

    def _parallel(self, objects: Iterable[Object]) -> None:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(self.apply, objects))


def _rank(obj: Object) -> int:
    kind = obj["kind"]
    if kind.endswith("WebhookConfiguration"):
        return _WEBHOOKS
    return _FIRST.get(kind, _LATE.get(kind, 2))


def _plain(obj: Object) -> Object:
    """What an installer does before sending: protocols filled in, caBundles left to others."""
    spec = obj.get("spec") or {}
    ports = list(spec.get("ports") or []) if obj["kind"] == "Service" else []
    for container in containers(dig(spec, "template", "spec", default={})):
        ports += container.get("ports") or []
    for port in ports:
        port.setdefault("protocol", "TCP")
    for hook in obj.get("webhooks") or []:
        hook["clientConfig"].pop("caBundle", None)
    conversion = spec.get("conversion") or {}
    for config in (
        conversion.get("webhookClientConfig"),
        dig(conversion, "webhook", "clientConfig"),
    ):
        if config:
            config.pop("caBundle", None)
    return obj

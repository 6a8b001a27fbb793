"""The pod webhook of KFServing and KServe: a container that fetches the model before it starts."""

from __future__ import annotations

import copy
import json
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.api import path_of
from installer.sandbox.simulators.world import World

MODELS = "/mnt/models"
VOLUME = {
    "serving.kubeflow.org": "kfserving-provision-location",
    "serving.kserve.io": "kserve-provision-location",
}
_HOMES = {"serving.kubeflow.org": "kfserving-system", "serving.kserve.io": "kserve"}
_NAME = "storage-initializer"
# kserve/kserve@v0.5.1: install/v0.5.1/kfserving.yaml, inferenceservice-config, storageInitializer
_IMAGE = "gcr.io/kfserving/storage-initializer:v0.5.1"
_LEAST = {"cpu": "100m", "memory": "100Mi"}
_MOST = {"cpu": "1", "memory": "1Gi"}


class StorageInitializer:
    """Adds the init container where the pod's annotation names something to fetch."""

    def __init__(self, world: World) -> None:
        self._world = world

    def inject(self, pod: Object) -> Object:
        """The pod as the webhook changes it; itself when there is nothing to do."""
        annotations = pod["metadata"].get("annotations") or {}
        for group, volume in VOLUME.items():
            uri = annotations.get(f"internal.{group}/storage-initializer-sourceuri")
            known = pod["spec"].get("initContainers") or []
            if uri and not any(container["name"] == _NAME for container in known):
                return self._injected(pod, group, volume, uri)
        return pod

    def _injected(self, pod: Object, group: str, volume: str, uri: str) -> Object:
        result = copy.deepcopy(pod)
        spec = result["spec"]
        config = self._config(_HOMES[group])
        mount = {"name": volume, "mountPath": MODELS}
        container = {
            "name": _NAME,
            "image": config.get("image") or _IMAGE,
            "args": [uri, MODELS],
            "resources": {
                "requests": _told(config, "Request", _LEAST),
                "limits": _told(config, "Limit", _MOST),
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [mount],
        }
        spec["initContainers"] = [*(spec.get("initContainers") or []), container]
        spec["volumes"] = [*(spec.get("volumes") or []), {"name": volume, "emptyDir": {}}]
        model = spec["containers"][0]
        mounts = model.get("volumeMounts") or []
        model["volumeMounts"] = [*mounts, {**mount, "readOnly": True}]
        return result

    def _config(self, home: str) -> dict[str, Any]:
        place = home, "inferenceservice-config"
        if self._world.config_maps.get(*place) is None:
            return {}
        found = self._world.api.get(path_of("v1", "configmaps", *place))
        try:
            decoded = json.loads(dig(found, "data", "storageInitializer", default="{}"))
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}


def _told(config: dict[str, Any], kind: str, default: dict[str, str]) -> dict[str, str]:
    return {key: str(config.get(f"{key}{kind}") or value) for key, value in default.items()}

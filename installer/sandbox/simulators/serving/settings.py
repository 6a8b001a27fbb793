"""What the simulated controllers are configured with, read from the ConfigMaps in the cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, dig
from installer.plan.edits import default_domains
from installer.sandbox.simulators.api import path_of
from installer.sandbox.simulators.roles import image_version
from installer.sandbox.simulators.serving.base_forms import CLUSTER, labels_of
from installer.sandbox.simulators.serving.dialect import KUBEFLOW, Dialect, dialect_of
from installer.sandbox.simulators.world import World

SERVING = "knative-serving"
_DEFAULT_DOMAIN = "example.com"
_CLUSTER_SINCE = (1, 8)
"""From then on the default domain is the cluster's (kserve/kserve#2596)."""
_LABELS = ("app.kubernetes.io/version", "serving.knative.dev/release")
_ANY_CRD = "serverlessservices.networking.internal.knative.dev"
_QUEUE = "gcr.io/knative-releases/knative.dev/serving/cmd/queue"


class Settings:
    """Reads ConfigMaps when asked, again only when they have changed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}

    def data(self, namespace: str, name: str) -> dict[str, str]:
        """Data of a ConfigMap, empty when there is none."""
        seen = self._world.config_maps.get(namespace, name)
        if seen is None:
            return {}
        version = seen["metadata"]["resourceVersion"]
        known = self._known.get((namespace, name))
        if known is None or known[0] != version:
            found = self._world.api.get(path_of("v1", "configmaps", namespace, name))
            known = version, dict(dig(found, "data", default={}))
            self._known[namespace, name] = known
        return known[1]

    def dialect(self, group: str, manager: Object | None) -> Dialect:
        """How the controller in pod `manager` names things."""
        part = "kfserving-controller" if group == KUBEFLOW else "kserve-controller"
        version = image_version(manager, part) if manager else (99, 0)
        return dialect_of(group, version)

    def inference(self, dialect: Dialect, entry: str) -> Mapping[str, Any]:
        """An entry of inferenceservice-config, which is JSON in a string."""
        text = self.data(dialect.home, "inferenceservice-config").get(entry, "")
        try:
            found = json.loads(text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def knative(self) -> tuple[int, int]:
        """(major, minor) of Knative Serving, as its CRDs are labelled; (0, 0) when they are not."""
        labels = labels_of(self._world.crds.get("", _ANY_CRD) or {"metadata": {}})
        for label in _LABELS:
            found = re.match(r"v?(\d+)\.(\d+)", labels.get(label, ""))
            if found:
                return int(found[1]), int(found[2])
        return 0, 0

    @property
    def domain(self) -> str:
        """The domain of Routes; `CLUSTER` for Routes that pods alone can use.

        Domains for Routes with certain labels are not simulated.
        """
        domains = default_domains(self.data(SERVING, "config-domain"))
        default = CLUSTER if self.knative >= _CLUSTER_SINCE else _DEFAULT_DOMAIN
        return domains[0] if domains else default

    @property
    def autoscaler(self) -> dict[str, str]:
        """config-autoscaler."""
        return self.data(SERVING, "config-autoscaler")

    @property
    def queue_image(self) -> str:
        """The image of queue-proxy."""
        data = self.data(SERVING, "config-deployment")
        return data.get("queueSidecarImage") or data.get("queue-sidecar-image") or _QUEUE

    def resolves(self, image: str) -> bool:
        """Whether Knative looks the image's digest up."""
        data = self.data(SERVING, "config-deployment")
        skipped = data.get("registriesSkippingTagResolving") or data.get(
            "registries-skipping-tag-resolving", "kind.local,ko.local,dev.local"
        )
        return image.split("/")[0] not in skipped.split(",") and "@" not in image

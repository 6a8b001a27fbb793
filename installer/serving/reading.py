"""Reads the scene of a trace: one LIST for each kind and namespace, in parallel.

What may not be read is noted with the server's reason, and never taken for missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.errors import InstallerError
from installer.core.objects import Object, dig
from installer.serving.gateways import SYSTEM, Gateways, read_gateways
from installer.serving.inference_service import InferenceService
from installer.serving.scene import Scene

_PARALLEL = 8
Versions = tuple[str, ...]

_OWN: tuple[tuple[str, Versions], ...] = (
    ("Service", ("v1",)),
    ("Endpoints", ("v1",)),
    ("Pod", ("v1",)),
    ("Deployment", ("apps/v1",)),
    ("ReplicaSet", ("apps/v1",)),
    ("Ingress", ("networking.k8s.io/v1", "networking.k8s.io/v1beta1")),
    (
        "HorizontalPodAutoscaler",
        ("autoscaling/v2", "autoscaling/v2beta2", "autoscaling/v1"),
    ),
    ("Service", ("serving.knative.dev/v1",)),
    ("Configuration", ("serving.knative.dev/v1",)),
    ("Revision", ("serving.knative.dev/v1",)),
    ("Route", ("serving.knative.dev/v1",)),
    ("PodAutoscaler", ("autoscaling.internal.knative.dev/v1alpha1",)),
    ("Metric", ("autoscaling.internal.knative.dev/v1alpha1",)),
    ("ServerlessService", ("networking.internal.knative.dev/v1alpha1",)),
    ("Ingress", ("networking.internal.knative.dev/v1alpha1",)),
    ("Image", ("caching.internal.knative.dev/v1alpha1",)),
    ("VirtualService", ("networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")),
    ("HTTPRoute", ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1")),
    ("InferenceGraph", ("serving.kserve.io/v1alpha1",)),
)
"""What the controllers of the catalog's releases make for an InferenceService, each at the first
version that is served (recorded for KFServing 0.5.1; kserve@v0.20.0: config/rbac/role.yaml)."""
_GATEWAYS: tuple[tuple[str, Versions], ...] = (
    ("Service", ("v1",)),
    ("Endpoints", ("v1",)),
    ("Pod", ("v1",)),
)
_GATEWAY_VERSIONS = ("networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")


def read_scene(cluster: Cluster, service: InferenceService) -> Scene:
    """Everything around an InferenceService.

    Raises ApiError for failures other than missing rights and kinds that are not served.
    """
    reader = _Reader(cluster)
    gateways = reader.gateways()
    places = (
        {use.service.namespace for use in gateways.outside + gateways.inside} if gateways else ()
    )
    wanted = [(kind, versions, service.ref.namespace) for kind, versions in _OWN]
    for place in sorted({*places, SYSTEM} - {service.ref.namespace}):
        wanted += [(kind, versions, place) for kind, versions in _GATEWAYS]
    wanted.append(("Gateway", _GATEWAY_VERSIONS, ""))
    objects = reader.read(wanted)
    return Scene.of(service, objects, unseen=reader.unseen, gateways=gateways)


@dataclass(slots=True)
class _Reader:
    cluster: Cluster
    unseen: dict[tuple[str, str], str] = field(default_factory=dict)

    def gateways(self) -> Gateways | None:
        try:
            return read_gateways(self.cluster)
        except ApiError as error:
            if error.failure.kind != "forbidden":
                raise
            self.unseen["ConfigMap", SYSTEM] = error.message
        except InstallerError as error:
            self.unseen["ConfigMap", SYSTEM] = error.message
        return None

    def read(self, wanted: Sequence[tuple[str, Versions, str]]) -> list[Object]:
        discovery = self.cluster.discovery()
        discovery.prefetch(version for _, versions, _ in wanted for version in versions)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return [obj for page in pool.map(self._list, wanted) for obj in page]

    def _list(self, wanted: tuple[str, Versions, str]) -> list[Object]:
        kind, versions, namespace = wanted
        discovery = self.cluster.discovery()
        version = next((v for v in versions if discovery.find(v, kind) is not None), None)
        if version is None:
            return []
        try:
            return [
                obj
                for obj in self.cluster.list(version, kind, namespace).items
                if dig(obj, "metadata", "name")
            ]
        except ApiError as error:
            if error.failure.kind == "forbidden":
                self.unseen[kind, namespace] = error.message
                return []
            raise

"""Starts the serving plane and brings every change to the InferenceService it concerns."""

from __future__ import annotations

from collections.abc import Sequence

from installer.core.objects import Object, dig
from installer.sandbox.simulators import roles
from installer.sandbox.simulators.cache import Handler
from installer.sandbox.simulators.events import Events
from installer.sandbox.simulators.serving.base_forms import KNATIVE, SERVING_V1, labels_of
from installer.sandbox.simulators.serving.chain import FINALIZED, Chain
from installer.sandbox.simulators.serving.dialect import KSERVE, KUBEFLOW
from installer.sandbox.simulators.serving.gateway import Gateway
from installer.sandbox.simulators.serving.raw import RawDeployments
from installer.sandbox.simulators.serving.revisions import Revisions
from installer.sandbox.simulators.serving.routes import INGRESS, ISTIO, Routes
from installer.sandbox.simulators.serving.scaling import Scaling
from installer.sandbox.simulators.serving.settings import SERVING, Settings
from installer.sandbox.simulators.serving.traffic import Key, Traffic
from installer.sandbox.simulators.serving.world import Objects
from installer.sandbox.simulators.world import World

_GROUPS = (KUBEFLOW, KSERVE)
_CONTROLLERS = (
    roles.KFSERVING,
    roles.KNATIVE_CONTROLLER,
    roles.KNATIVE_AUTOSCALER,
    roles.ACTIVATOR,
    roles.NET_ISTIO,
)
_SHARED = (ISTIO, SERVING)
"""Namespaces in which a change may concern every InferenceService."""

_FOLLOWED = (
    ("apps/v1", "Deployment"),
    (SERVING_V1, "Service"),
    (SERVING_V1, "Configuration"),
    (SERVING_V1, "Revision"),
    (SERVING_V1, "Route"),
    ("networking.internal.knative.dev/v1alpha1", "Ingress"),
    ("networking.istio.io/v1beta1", "VirtualService"),
    ("v1", "Service"),
    ("v1", "Endpoints"),
)


class ServingPlane:
    """Controllers, autoscaler and gateway of one sandbox; nodes: their addresses."""

    def __init__(self, world: World, events: Events, nodes: Sequence[str]) -> None:
        self._world = world
        self._nodes = nodes
        self._objects = Objects(world)
        traffic, settings = Traffic(), Settings(world)
        scaling = Scaling(self._objects, settings, traffic, self._scaled)
        self._chain = Chain(
            self._objects,
            settings,
            Revisions(self._objects, settings, scaling),
            Routes(self._objects, settings),
            RawDeployments(self._objects, settings),
            events,
        )
        self.gateway = Gateway(self._objects, traffic)
        for group in _GROUPS:
            cache = self._objects.of(f"{group}/v1beta1", "InferenceService")
            cache.subscribe(self._own(group))
        for version, kind in _FOLLOWED:
            self._objects.of(version, kind).subscribe(self._part_changed)
        for version, kind in FINALIZED:
            self._objects.of(version, kind).subscribe(self._going)
        self._objects.of("networking.istio.io/v1beta1", "Gateway").subscribe(self._all_changed)
        world.services.subscribe(self._node_ports)
        world.config_maps.subscribe(self._shared_changed)
        world.pods.subscribe(self._pod_changed)
        world.on_script("serving", self._everything)

    def start(self) -> None:
        """Open the gateway's port."""
        self.gateway.serve("127.0.0.1", self._world.context.gateway_port)

    def stop(self) -> None:
        """Close it."""
        self.gateway.stop()

    def _node_ports(self, _event: str, service: Object) -> None:
        """Listen on the ingress gateway's node ports, as kube-proxy would on every node."""
        metadata = service["metadata"]
        if (metadata["namespace"], metadata["name"]) != (ISTIO, INGRESS):
            return
        for port in dig(service, "spec", "ports", default=[]):
            if port["port"] == 80 and port.get("nodePort"):
                for address in self._nodes:
                    self.gateway.serve(address, port["nodePort"])

    def _own(self, group: str) -> Handler:
        def changed(event: str, obj: Object) -> None:
            if event != "deleted":
                self._queue(group, obj["metadata"]["namespace"], obj["metadata"]["name"])

        return changed

    def _queue(self, group: str, namespace: str, name: str) -> None:
        key = ("serving", group, namespace, name)
        self._world.work.add(key, lambda: self._chain.reconcile(group, namespace, name))

    def _part_changed(self, event: str, obj: Object) -> None:
        if not self._of_one(obj):
            self._shared_changed(event, obj)

    def _of_one(self, obj: Object) -> bool:
        """Queue the InferenceService whose label or owner reference the object has."""
        namespace, labels = obj["metadata"].get("namespace", ""), labels_of(obj)
        known = False
        for group in _GROUPS:  # while it goes from one to the other it may be of both
            name = labels.get(f"{group}/inferenceservice")
            for owner in obj["metadata"].get("ownerReferences") or []:
                if owner["kind"] == "InferenceService" and owner["apiVersion"].startswith(group):
                    name = owner["name"]
            if name:
                self._queue(group, namespace, name)
                known = True
        if known:
            return True
        parent = labels.get(f"{KNATIVE}/route")
        service = self._objects.of(SERVING_V1, "Service").get(namespace, parent) if parent else None
        return self._of_one(service) if service is not None and service is not obj else False

    def _scaled(self, key: Key) -> None:
        revision = self._objects.of(SERVING_V1, "Revision").get(*key)
        if revision is not None:
            self._of_one(revision)

    def _pod_changed(self, event: str, pod: Object) -> None:
        if not self._of_one(pod) and roles.role_of(pod) in _CONTROLLERS:
            self._all_changed(event, pod)

    def _shared_changed(self, event: str, obj: Object) -> None:
        if obj["metadata"].get("namespace") in (*_SHARED, "kfserving-system", "kserve"):
            self._all_changed(event, obj)

    def _all_changed(self, _event: str, _obj: Object) -> None:
        self._everything()

    def _everything(self) -> None:
        for group in _GROUPS:
            for isvc in self._objects.of(f"{group}/v1beta1", "InferenceService").all():
                metadata = isvc["metadata"]
                self._queue(group, metadata["namespace"], metadata["name"])

    def _going(self, event: str, obj: Object) -> None:
        if event != "deleted" and obj["metadata"].get("deletionTimestamp"):
            metadata = obj["metadata"]
            key = ("release", obj["kind"], metadata["namespace"], metadata["name"])
            self._world.work.add(key, lambda: self._chain.release(obj))

"""One InferenceService: its controller's and Knative's part, step by step."""

from __future__ import annotations

import hashlib
from typing import Any

from installer.core.objects import Object, conditions, dig
from installer.sandbox.simulators.events import Events
from installer.sandbox.simulators.roles import KFSERVING, KNATIVE_CONTROLLER
from installer.sandbox.simulators.serving import route_forms
from installer.sandbox.simulators.serving import service_forms as forms
from installer.sandbox.simulators.serving import status as words
from installer.sandbox.simulators.serving.base_forms import (
    CLUSTER,
    KNATIVE,
    NETWORK_V1,
    ROUTING_STATE,
    SERVING_V1,
    labels_of,
)
from installer.sandbox.simulators.serving.dialect import KUBEFLOW, Dialect
from installer.sandbox.simulators.serving.raw import RawDeployments
from installer.sandbox.simulators.serving.revisions import Revisions
from installer.sandbox.simulators.serving.routes import Routes
from installer.sandbox.simulators.serving.settings import Settings
from installer.sandbox.simulators.serving.status import Outcome
from installer.sandbox.simulators.serving.world import Objects
from installer.sandbox.simulators.world import now, seconds_since

KNATIVE_MANAGER = "controller"
FINALIZER = "inferenceservice.finalizers"
GOING = 3.0
"""Seconds until KFServing's controller let go of a deleted InferenceService, as recorded."""

LOCAL_GATEWAY = {
    "localGateway": "cluster-local-gateway.knative-serving",
    "localGatewayService": "cluster-local-gateway.istio-system.svc.cluster.local",
}
"""Of KFServing 0.5.0-rc0, whose ConfigMap cannot say it; as 0.5.1's does, entry `ingress`."""

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What the API server makes generated names of."""


class Chain:
    """Turns InferenceServices into what serves them."""

    def __init__(
        self,
        objects: Objects,
        settings: Settings,
        revisions: Revisions,
        routes: Routes,
        raw: RawDeployments,
        events: Events,
    ) -> None:
        self._objects = objects
        self._world = objects.world
        self._settings = settings
        self._revisions = revisions
        self._routes = routes
        self._raw = raw
        self._events = events

    def reconcile(self, group: str, namespace: str, name: str) -> float | None:
        """Bring everything one step further; gives after how long to look again."""
        isvc = self._objects.of(f"{group}/v1beta1", "InferenceService").get(namespace, name)
        if isvc is None:
            return None
        dialect = self._settings.dialect(group, self._manager(group))
        if isvc["metadata"].get("deletionTimestamp"):
            return self._delete(isvc, dialect)
        working = self._manager(group) is not None
        if working:
            isvc = self._hold(isvc, dialect)
            if self._raw.wants(isvc, dialect):
                if self._raw.reconcile(isvc, dialect):
                    self._say_ready(isvc)
                return None
            self._begin(isvc, dialect)
        service = self._objects.of(SERVING_V1, "Service").get(namespace, name + dialect.suffix)
        wait = None
        if service is not None and self._knative():
            wait = self._serve(service)
        if working:
            self._finish(isvc, dialect)
        return wait

    def _manager(self, group: str) -> Object | None:
        """The pod of the group's controller, while it works."""
        if self._world.paused(KFSERVING):
            return None
        part = "kfserving-controller" if group == KUBEFLOW else "kserve-controller"
        return next(
            (
                pod
                for pod in self._world.running(KFSERVING)
                if any(part in c["image"] for c in pod["spec"]["containers"])
            ),
            None,
        )

    def _knative(self) -> bool:
        paused = self._world.paused(KNATIVE_CONTROLLER)
        return not paused and bool(self._world.running(KNATIVE_CONTROLLER))

    def _delete(self, isvc: Object, dialect: Dialect) -> float | None:
        if self._manager(dialect.group) is None:
            return None
        wait = self._world.delay(GOING) - seconds_since(isvc["metadata"]["deletionTimestamp"])
        if wait > 0:
            return wait
        self._objects.finalize(isvc, FINALIZER, dialect.manager)
        return None

    def _hold(self, isvc: Object, dialect: Dialect) -> Object:
        if FINALIZER not in (isvc["metadata"].get("finalizers") or []):
            patch = {"metadata": {"finalizers": [FINALIZER]}}
            isvc = self._objects.merge(isvc, patch, dialect.manager)
        return isvc

    def _begin(self, isvc: Object, dialect: Dialect) -> None:
        predictors = self._settings.inference(dialect, "predictors")
        body = forms.knative_service(isvc, dialect, predictors)
        self._replace(body, dialect)

    def _replace(self, body: Object, dialect: Dialect) -> None:
        """The Knative Service as the controller writes it: labels and template as a whole, while
        its owner stays (kserve/kserve: inferenceservice/reconcilers/knative/ksvc_reconciler.go)."""
        place = body["metadata"]["namespace"], body["metadata"]["name"]
        known = self._objects.of(SERVING_V1, "Service").get(*place)
        if known is not None:
            labels = {**dict.fromkeys(labels_of(known)), **labels_of(body)}
            if labels != labels_of(known):
                self._objects.merge(known, {"metadata": {"labels": labels}}, dialect.manager)
        self._objects.keep(body, dialect.manager, "spec")

    # Knative's part

    def _serve(self, service: Object) -> float | None:
        config = self._objects.keep(forms.configuration(service), KNATIVE_MANAGER, "spec")
        route = self._objects.ensure(forms.route(service), KNATIVE_MANAGER)
        newest = self._newest(config)
        outcome, wait = self._revisions.reconcile(newest)
        config = self._configured(config, newest, outcome)
        self._others(config, newest, replaced=outcome.state == "ready")
        ready = str(dig(config, "status", "latestReadyRevisionName", default=""))
        route = self._routes.reconcile(route, config, ready)
        told = {key: dig(config, "status", key) for key in _REVISIONS if dig(config, "status", key)}
        told |= {key: dig(route, "status", key) for key in _WAYS if dig(route, "status", key)}
        found = words.of_service(_ready(config), _ready(route))
        self._objects.tell(service, found, KNATIVE_MANAGER, **told)
        return wait

    def _newest(self, config: Object) -> Object:
        """The Revision of the Configuration's present generation."""
        generation = config["metadata"].get("generation", 1)
        wanted = f"{KNATIVE}/configurationGeneration"
        for revision in self._objects.owned(SERVING_V1, "Revision", config):
            if labels_of(revision).get(wanted) == str(generation):
                return revision
        seed = f"{config['metadata']['uid']}/{generation}"
        body = forms.revision(config, _generated(seed), generation, now())
        return self._objects.ensure(body, KNATIVE_MANAGER)

    def _others(self, config: Object, newest: Object, *, replaced: bool) -> None:
        """Revisions before the newest go on until it is ready; then no Route leads to them."""
        for older in self._objects.owned(SERVING_V1, "Revision", config):
            if older["metadata"]["name"] == newest["metadata"]["name"]:
                continue
            if replaced and labels_of(older).get(ROUTING_STATE) != "reserve":
                labels = {ROUTING_STATE: "reserve", f"{KNATIVE}/route": None}
                older = self._objects.merge(
                    older, {"metadata": {"labels": labels}}, KNATIVE_MANAGER
                )
            self._revisions.reconcile(older)

    def _configured(self, config: Object, newest: Object, outcome: Outcome) -> Object:
        name = newest["metadata"]["name"]
        names: dict[str, Any] = {"latestCreatedRevisionName": name}
        ready = dig(config, "status", "latestReadyRevisionName")
        if outcome.state == "ready" or ready:
            names["latestReadyRevisionName"] = name if outcome.state == "ready" else ready
        found = [words.of_configuration(name, outcome)]
        return self._objects.tell(config, found, KNATIVE_MANAGER, **names)

    # the InferenceService's status

    def _finish(self, isvc: Object, dialect: Dialect) -> None:
        metadata = isvc["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        place = namespace, name + dialect.suffix
        service = self._objects.of(SERVING_V1, "Service").get(*place)
        ready = _ready(service or {}).get("status") == "True"
        more: dict[str, Any] = {}
        if ready and service is not None:
            self._lead(isvc, dialect)
            domain = self._settings.domain
            more["url"] = f"http://{name}.{namespace}.{domain}"
            path = f"/v1/models/{name}:predict" if dialect.group == KUBEFLOW else ""
            more["address"] = {"url": f"http://{name}.{namespace}.{CLUSTER}{path}"}
        predictor = _component(service, ready)
        if predictor:
            more["components"] = {"predictor": predictor}
        before = conditions(isvc).get("Ready", {}).get("status")
        found = words.of_inference_service(service, ready)
        if not found:
            return
        self._objects.tell(isvc, found, dialect.manager, **more)
        if ready and before != "True":
            self._say_ready(isvc)

    def _say_ready(self, isvc: Object) -> None:
        text = f"InferenceService [{isvc['metadata']['name']}] is Ready"
        source = "v1beta1Controllers"
        self._events.about(isvc, "Normal", "InferenceServiceReady", text, source=source)

    def _lead(self, isvc: Object, dialect: Dialect) -> None:
        """The InferenceService's own Service and VirtualService."""
        ingress = {**LOCAL_GATEWAY, **self._settings.inference(dialect, "ingress")}
        if not ingress.get("ingressGateway"):
            return
        top = forms.top_service(isvc, ingress["localGatewayService"])
        self._objects.keep(top, dialect.manager, "spec")
        body = forms.top_virtual_service(isvc, dialect, ingress, self._settings.domain)
        self._objects.keep(body, dialect.manager, "spec")

    # what is left when its owner is gone

    def release(self, obj: Object) -> None:
        """Take Knative's finalizer of a Route or an Ingress that is being deleted."""
        if obj["metadata"].get("deletionTimestamp") and self._knative():
            finalizer = forms.FINALIZER if obj["kind"] == "Route" else route_forms.FINALIZER
            self._objects.finalize(obj, finalizer, KNATIVE_MANAGER)


FINALIZED = ((SERVING_V1, "Route"), (NETWORK_V1, "Ingress"))
_REVISIONS = ("latestCreatedRevisionName", "latestReadyRevisionName")
_WAYS = ("traffic", "address", "url")


def _ready(obj: Object) -> dict[str, Any]:
    return dict(conditions(obj).get("Ready", {"type": "Ready", "status": "Unknown"}))


def _component(service: Object | None, ready: bool) -> dict[str, Any]:
    """status.components.predictor of an InferenceService."""
    status = (service or {}).get("status") or {}
    found: dict[str, Any] = {}
    if status.get("latestCreatedRevisionName"):
        found["latestCreatedRevision"] = status["latestCreatedRevisionName"]
    if status.get("latestReadyRevisionName"):
        found["latestReadyRevision"] = status["latestReadyRevisionName"]
    if status.get("traffic"):
        found["traffic"] = status["traffic"]
        found["latestRolledoutRevision"] = status["traffic"][0]["revisionName"]
    if ready:
        found |= {key: status[key] for key in ("address", "url") if key in status}
    return found


def _generated(seed: str) -> str:
    """Five letters as the API server would choose them, the same for the same seed."""
    digest = hashlib.sha256(seed.encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:5])

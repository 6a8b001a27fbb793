"""Knative's and net-istio's controllers for a Route: Ingress, VirtualServices, placeholder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, conditions
from installer.sandbox.simulators.roles import NET_ISTIO
from installer.sandbox.simulators.serving import route_forms as forms
from installer.sandbox.simulators.serving import status as words
from installer.sandbox.simulators.serving.base_forms import CLUSTER, ISTIO_V1
from installer.sandbox.simulators.serving.settings import SERVING, Settings
from installer.sandbox.simulators.serving.world import Objects, addresses

MANAGER = "controller"
PUBLIC = "knative-ingress-gateway"
LOCAL = ("cluster-local-gateway", "knative-local-gateway")
"""Gateways in knative-serving, public and local, oldest first: net-istio@v0.18.0, config-istio."""

ISTIO = "istio-system"
INGRESS = "istio-ingressgateway"


class Routes:
    """Makes of each Route what the controllers make of it."""

    def __init__(self, objects: Objects, settings: Settings) -> None:
        self._objects = objects
        self._world = objects.world
        self._settings = settings

    def reconcile(self, route: Object, config: Object, revision: str) -> Object:
        """One step; revision: the newest that is ready, empty for none. Gives the Route."""
        name, namespace = route["metadata"]["name"], route["metadata"]["namespace"]
        url = {"url": f"http://{name}.{namespace}.{self._settings.domain}"}
        failed = conditions(config).get("Ready", {}).get("status") == "False"
        if not revision:
            found = words.of_route(name, failed, False, None)
            return self._objects.tell(route, found, MANAGER, **url)
        local = f"{self.local}.{ISTIO}.{CLUSTER}"
        body = forms.ingress(route, revision, self._settings.domain)
        ingress = self._objects.keep(body, MANAGER, "spec")
        if self._world.running(NET_ISTIO) and not self._world.paused(NET_ISTIO):
            ingress = self._route(ingress, local)
        self._objects.keep(forms.placeholder(route, local), MANAGER, "spec")
        traffic = [{"latestRevision": True, "percent": 100, "revisionName": revision}]
        found = words.of_route(name, False, True, conditions(ingress).get("Ready"))
        inside = {"address": {"url": f"http://{name}.{namespace}.{CLUSTER}"}}
        return self._objects.tell(route, found, MANAGER, traffic=traffic, **inside, **url)

    def _route(self, ingress: Object, local: str) -> Object:
        gateways = self._gateways()
        outer = [f"{SERVING}/{PUBLIC}"] if PUBLIC in gateways else []
        inner = [f"{SERVING}/{name}" for name in LOCAL if name in gateways]
        for body in forms.virtual_services(ingress, outer, inner):
            self._objects.keep(body, MANAGER, "spec")
        loaded = bool(addresses(self._world.endpoints.get(ISTIO, INGRESS)))
        more: dict[str, Mapping[str, Any]] = {}
        if loaded:
            public = f"{INGRESS}.{ISTIO}.{CLUSTER}"
            for key, host in (("publicLoadBalancer", public), ("privateLoadBalancer", local)):
                more[key] = {"ingress": [{"domainInternal": host}]}
        return self._objects.tell(ingress, words.of_ingress(loaded), MANAGER, **more)

    def _gateways(self) -> set[str]:
        found = self._objects.of(ISTIO_V1, "Gateway").all()
        return {g["metadata"]["name"] for g in found if g["metadata"]["namespace"] == SERVING}

    @property
    def local(self) -> str:
        """The local gateway that Knative sends Routes to, which is also its Service's name."""
        gateways = self._gateways()
        return next((name for name in LOCAL if name in gateways), LOCAL[-1])

"""The way of a request, followed object by object from a gateway to the model. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from installer.core.objects import Object, Ref, dig, ref_of
from installer.serving import virtual_services
from installer.serving.backends import backend_hops, component_hops, is_revision_service
from installer.serving.gateways import service_of
from installer.serving.hops import Hop, Path, hop
from installer.serving.kubernetes_ingress import ingress_of, sent_by
from installer.serving.scene import Scene, ready_addresses
from installer.serving.unrouted import LOCAL_DOMAIN, cluster_local, no_route, service_missing
from installer.serving.virtual_services import Asked, Destination

_TURNS = 5
"""Gateways after one another at most: recorded are two, the public and the local one."""


def outside(scene: Scene, scheme: str = "") -> Path:
    """From a client outside the cluster. scheme: of its requests, that of the InferenceService's
    address unless given."""
    host = scene.service.host
    walk = _Walk(scene, "outside")
    if host.partition(":")[0].endswith(LOCAL_DOMAIN):
        walk.add(cluster_local(scene, host))
        return walk.ended(host)
    walk.begin(host)
    if scene.gateways is None or not scene.gateways.outside:
        why = scene.cannot_see("ConfigMap", "knative-serving") or "no gateway is configured"
        walk.add(hop("gateway", "the public gateway", "unknown", why))
    elif host:
        port = 443 if (scheme or scene.service.scheme) == "https" else 80
        walk.enter(scene.gateways.outside[0].service, port, host)
    return walk.ended(host)


def inside(scene: Scene) -> Path:
    """From a pod of the cluster, which uses the InferenceService's name in cluster DNS."""
    host = scene.service.internal_host
    walk = _Walk(scene, "inside")
    walk.begin(host)
    named = service_of(host) if host else None
    if named is not None:
        walk.enter(named, 80, host)
    return walk.ended(host)


class _Walk:
    """A path while it is followed. Once something is broken the rest is judged all the same."""

    def __init__(self, scene: Scene, start: str) -> None:
        self._scene = scene
        self._start = start
        self._hops: list[Hop] = []
        self._arrived = False

    def add(self, *hops: Hop) -> None:
        self._hops += hops

    def begin(self, host: str) -> None:
        obj = self._scene.service.obj
        ref = self._scene.service.ref
        if since := dig(obj, "metadata", "deletionTimestamp"):
            left = ", ".join(dig(obj, "metadata", "finalizers", default=[]))
            said = f"is being deleted since {since}" + (f"; waits for {left}" if left else "")
            remedy = "create it again once it is gone"
            self.add(hop("host", ref, "broken", said, reason="Deleting", remedy=remedy))
        elif host:
            self.add(hop("host", ref, "ok", f"is called {host}"))
        else:
            self.add(hop("host", ref, "follows", "has no address yet", reason="NoAddress"))

    def ended(self, host: str) -> Path:
        if not self._arrived:
            self.add(*component_hops(self._scene))
        return Path(self._start, host, tuple(self._hops))

    def enter(self, service: Ref, port: int, host: str) -> None:
        """Follow a request to a Service, through gateways, to whatever is behind."""
        ways = [Destination(service, port, host, 100)]
        for _ in range(_TURNS):
            if not ways:
                return
            behind = self._through(ways[0])
            self._also(ways[1:])
            ways = behind
        self.add(hop("virtual-service", host, "broken", "is sent round in a circle", reason="Loop"))

    def _also(self, others: Sequence[Destination]) -> None:
        """Where the rest of the traffic goes, when it is split."""
        for other in others:
            found = self._scene.core("Service", other.service.namespace, other.service.name)
            if found is not None and is_revision_service(found):
                self.add(*backend_hops(self._scene, found))

    def _through(self, way: Destination) -> list[Destination]:
        scene, ref = self._scene, way.service
        found = scene.core("Service", ref.namespace, ref.name)
        if found is None:
            self.add(service_missing(scene, ref))
            return []
        target = dig(found, "spec", "externalName")
        if target:
            return self._alias(found, str(target), way)
        listener = self._listener(found, way)
        if listener is None:
            if self._is_gateway(ref):
                return []
            self._arrived = True
            self.add(*backend_hops(scene, found))
            return []
        return self._route(listener, way)

    def _alias(self, service: Object, target: str, way: Destination) -> list[Destination]:
        ref, behind = ref_of(service), service_of(target)
        if behind is None:
            said = f"leads to {target}, which is no Service"
            self.add(hop("internal-name", ref, "broken", said, reason="BadTarget"))
            return []
        self.add(hop("internal-name", ref, "ok", f"is another name for {target}"))
        return [Destination(behind, way.port, way.host, way.weight)]

    def _is_gateway(self, ref: Ref) -> bool:
        known = self._scene.gateways
        uses = (*known.outside, *known.inside) if known else ()
        return any(use.service.identity == ref.identity for use in uses)

    def _listener(self, service: Object, way: Destination) -> str | None:
        """The Gateway that answers on a Service's port, with hops for both; None without one."""
        matching = listening(self._scene, service, way.port)
        if not matching and not self._is_gateway(ref_of(service)):
            return None
        pods = gateway_pods(self._scene, service)
        self.add(hop("gateway", ref_of(service), "ok", "leads to the gateway's pods"), pods)
        if not matching:
            self.add(_no_listener(self._scene, service, way.port))
            return None
        ref = ref_of(matching[0])
        self.add(_listens(matching[0]))
        return f"{ref.namespace}/{ref.name}"

    def _route(self, gateway: str, way: Destination) -> list[Destination]:
        asked = Asked(gateway, way.host, self._scene.service.predict_path)
        bound = [
            found
            for found in self._scene.of_kind(virtual_services.KIND)
            if gateway in virtual_services.gateways_named(found)
            and virtual_services.serves(found, way.host)
        ]
        for found in bound:
            ways = virtual_services.destinations(found, asked)
            if ways:
                self.add(_sent(found, way.host, ways))
                return ways
        ingress = None if bound else ingress_of(self._scene, way.host)
        if ingress is not None:
            said, service = sent_by(self._scene, ingress, way.host)
            self.add(said)
            return [Destination(service, 80, way.host, 100)] if service else []
        self.add(no_route(self._scene, asked, bound))
        return []


def _sent(virtual_service: Object, host: str, ways: Sequence[Destination]) -> Hop:
    first = ways[0]
    said = f"sends {host} to {first.service.namespace}/{first.service.name}:{first.port}"
    if first.host != host:
        said += f" as {first.host}"
    for other in ways[1:]:
        said += f", {other.weight} % to {other.service.namespace}/{other.service.name}"
    return hop("virtual-service", ref_of(virtual_service), "ok", said)


def listening(scene: Scene, service: Object, port: int) -> list[Object]:
    """Gateways whose pods a Service selects and which listen behind its port.

    A Gateway may name the pods' port (knative-local-gateway: 8081) or the Service's (80); where
    one names the pods' port, that one is meant.
    """
    selector = dig(service, "spec", "selector", default={})
    declared: Object = next(
        (p for p in dig(service, "spec", "ports", default=[]) if p.get("port") == port), {}
    )
    ours = [g for g in scene.of_kind("Gateway") if _selects(scene, g, selector)]
    for number in (declared.get("targetPort"), port):
        found = [g for g in ours if number in _numbers(g)]
        if found:
            return found
    return []


def _selects(scene: Scene, gateway: Object, labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = dig(gateway, "spec", "selector", default={})
    if not wanted or not labels:
        return False
    if wanted.items() <= labels.items():
        return True
    return any(
        wanted.items() <= have.items() and labels.items() <= have.items()
        for pod in scene.of_kind("Pod")
        if (have := dig(pod, "metadata", "labels", default={}))
    )


def _numbers(gateway: Object) -> list[int]:
    return [
        int(dig(server, "port", "number", default=0))
        for server in dig(gateway, "spec", "servers", default=[])
    ]


def _listens(gateway: Object) -> Hop:
    servers = dig(gateway, "spec", "servers", default=[])
    ports = ", ".join(
        f"{dig(s, 'port', 'protocol', default='?')} {dig(s, 'port', 'number', default='?')}"
        for s in servers
    )
    if any(dig(server, "tls", "httpsRedirect") for server in servers):
        said = f"listens for {ports}, and sends plain HTTP on to HTTPS"
        return hop("listener", ref_of(gateway), "note", said, reason="HttpsRedirect")
    return hop("listener", ref_of(gateway), "ok", f"listens for {ports}")


def gateway_pods(scene: Scene, service: Object) -> Hop:
    """Whether pods of a gateway are ready."""
    ref = ref_of(service)
    why = scene.cannot_see("Endpoints", ref.namespace)
    if why:
        return hop("gateway-pods", ref, "unknown", f"could not look: {why}")
    ready = ready_addresses(scene.core("Endpoints", ref.namespace, ref.name))
    if ready:
        plural = "pod is" if len(ready) == 1 else "pods are"
        return hop("gateway-pods", ref, "ok", f"{len(ready)} {plural} ready")
    return hop(
        "gateway-pods",
        ref,
        "broken",
        "no pod of the gateway is ready: every request gets 503 or no connection",
        reason="NoEndpoints",
        remedy=f"see why: kubectl get pods -n {ref.namespace}; "
        "`kserve-installer status` names what is not ready",
    )


def _no_listener(scene: Scene, service: Object, port: int) -> Hop:
    ref = ref_of(service)
    why = scene.cannot_see("Gateway", "knative-serving")
    if why:
        return hop("listener", f"Gateway of {ref}", "unknown", f"could not look: {why}")
    return hop(
        "listener",
        f"Gateway of {ref}",
        "broken",
        f"no Gateway listens behind port {port} of {ref.namespace}/{ref.name}",
        reason="NoGateway",
        remedy="run the install again: it puts the Gateways of Knative back",
    )

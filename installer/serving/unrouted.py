"""Why a request ends at a gateway: no route for its host, or a Service that is not there. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from installer.core.objects import Object, Ref, conditions, dig, ref_of
from installer.serving import virtual_services
from installer.serving.hops import Hop, HopKind, hop
from installer.serving.scene import Scene
from installer.serving.virtual_services import Asked

_DOMAIN_REMEDY = (
    "since Knative 1.8 the default domain is svc.cluster.local: set your domain in ConfigMap "
    "knative-serving/config-domain (settings: `domain:`) and wait for the new address"
)
"""knative/serving@knative-v1.8.0: config/core/configmaps/domain.yaml, default domain."""


LOCAL_DOMAIN = ".svc.cluster.local"
_VISIBILITY = ("networking.knative.dev/visibility", "serving.knative.dev/visibility")
"""Labels that keep a service from being reached from outside (knative/networking:
pkg/apis/networking/register.go VisibilityLabelKey; the older one until 0.22)."""


def cluster_local(scene: Scene, host: str) -> Hop:
    """Its address is of cluster DNS: as somebody wished, or for want of a domain."""
    ref = scene.service.ref
    labels = dig(scene.service.obj, "metadata", "labels", default={})
    if any(labels.get(label) == "cluster-local" for label in _VISIBILITY):
        said = f"is called {host}, for pods only, as its label says"
        return hop("host", ref, "note", said, reason="ClusterLocal")
    said = f"is called {host}, which only pods can use: the gateway has no route for it"
    return hop("host", ref, "broken", said, reason="ClusterLocal", remedy=_DOMAIN_REMEDY)


def no_route(scene: Scene, asked: Asked, bound: Sequence[Object]) -> Hop:
    """No VirtualService sends this host anywhere at this gateway: why.

    bound: those that have the host and the gateway, and no rule that matches.
    """
    if bound:
        ref = ref_of(bound[0])
        said = f"has {asked.host}, and no rule that matches {asked.path}"
        return hop("virtual-service", ref, "broken", said, reason="NoRule", remedy=_REMAKE)
    known = [
        found
        for found in scene.of_kind(virtual_services.KIND)
        if virtual_services.gateways_named(found) != ["mesh"]  # for sidecars, not for gateways
    ]
    same_host = [found for found in known if virtual_services.serves(found, asked.host)]
    if same_host:
        return _other_gateway(same_host[0], asked)
    own = _own(scene, known, asked.host)
    if own is not None:
        return _other_host(scene, own, asked)
    why = scene.cannot_see(virtual_services.KIND, scene.namespace)
    if why:
        about = f"VirtualService of {asked.host}"
        return hop("virtual-service", about, "unknown", f"could not look: {why}")
    return _missing(scene, asked)


def _own(scene: Scene, known: Sequence[Object], host: str) -> Object | None:
    """The VirtualService that should have this host: the InferenceService's, or a component's."""
    first = host.partition(".")[0]
    names = [first, f"{first}-ingress"]
    if host in (scene.service.host, scene.service.internal_host):
        names.append(scene.service.ref.name)
    by_name = {ref_of(found).name: found for found in known}
    return next((by_name[name] for name in names if name in by_name), None)


def _other_gateway(found: Object, asked: Asked) -> Hop:
    gateways = ", ".join(virtual_services.gateways_named(found))
    return hop(
        "virtual-service",
        ref_of(found),
        "broken",
        f"has {asked.host} at {gateways}, and the request arrives at {asked.gateway}",
        reason="OtherGateway",
        remedy="the ingress settings in ConfigMap inferenceservice-config name other gateways than "
        "Knative's config-istio: make them agree, by installing a release as a whole",
    )


def _other_host(scene: Scene, found: Object, asked: Asked) -> Hop:
    hosts = ", ".join(virtual_services.hosts_of(found))
    remedy = f"ask with a Host header that it has, or change {scene.service.ref} to have it remade"
    if asked.host.endswith(".svc.cluster.local") or "svc.cluster.local" in hosts:
        remedy = f"{remedy}; {_DOMAIN_REMEDY}"
    return hop(
        "virtual-service",
        ref_of(found),
        "broken",
        f"has {hosts}, and not {asked.host}: the gateway answers 404",
        reason="OtherHost",
        remedy=remedy,
    )


_REMAKE = "the controller makes it again when the InferenceService is changed or recreated"


def _missing(scene: Scene, asked: Asked) -> Hop:
    kind = _route_kind(scene)
    about = f"{kind} of {asked.host}"
    ready = conditions(scene.service.obj).get("IngressReady", {})
    if ready.get("status") != "True":
        said = "is made once the InferenceService's components are ready"
        return hop("virtual-service", about, "follows", said, reason="NotMadeYet")
    return hop(
        "virtual-service",
        about,
        "broken",
        f"no {kind} has {asked.host}, though the InferenceService says that its ingress "
        "is ready: the gateway answers 404",
        reason="NotFound",
        remedy=_REMAKE,
    )


def _route_kind(scene: Scene) -> str:
    """What should have the host: of a Deployment without Knative it is no VirtualService."""
    raw = scene.owned_by(scene.service.obj, "Deployment")
    return "Ingress or HTTPRoute" if raw else virtual_services.KIND


def service_missing(scene: Scene, ref: Ref) -> Hop:
    """A Service to which requests are sent does not exist."""
    why = scene.cannot_see("Service", ref.namespace)
    kind: HopKind = "gateway" if "gateway" in ref.name else "revision-service"
    if why:
        return hop(kind, ref, "unknown", f"could not look: {why}")
    elsewhere = [
        other
        for other in map(ref_of, scene.of_kind("Service", ""))
        if other.name == ref.name and other.namespace != ref.namespace
    ]
    said = "does not exist, and requests are sent there: each gets 503, whatever conditions say"
    remedy = "run the install again: it puts back what is missing"
    if elsewhere:
        said += f" (there is one in namespace {elsewhere[0].namespace})"
        remedy = (
            "its place changed with net-istio 0.20: the KFServing or KServe here expects another "
            "version of Knative, so install the release as a whole"
        )
    return hop(kind, ref, "broken", said, reason="NoService", remedy=remedy)


def traffic_of(route: Object) -> list[str]:
    """Names of the revisions that get traffic, heaviest first."""
    rows = [row for row in dig(route, "status", "traffic", default=[]) if row.get("percent")]
    rows.sort(key=lambda row: -int(row["percent"]))
    return [str(row["revisionName"]) for row in rows if row.get("revisionName")]

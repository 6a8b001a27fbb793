"""Behind the gateways: a revision's Services and activator, or a plain Service. Pure."""

from __future__ import annotations

from installer.core.objects import Object, Ref, conditions, dig, ref_of
from installer.serving.hops import Hop, Verdict, hop
from installer.serving.scene import Scene, not_ready_addresses, ready_addresses
from installer.serving.unrouted import traffic_of
from installer.serving.workloads import KNATIVE, deployment_hops, is_at_zero, revision_hops

_INTERNAL = "networking.internal.knative.dev"
_TYPE = f"{_INTERNAL}/serviceType"
_REVISION = "serving.knative.dev/revision"
ACTIVATOR = Ref("v1", "Service", "knative-serving", "activator-service")


def is_revision_service(service: Object) -> bool:
    """Whether Knative made it for a revision."""
    return bool(dig(service, "metadata", "labels", _TYPE))


def backend_hops(scene: Scene, service: Object) -> list[Hop]:
    """The hops from the Service that a route leads to, to the model."""
    if not is_revision_service(service):
        return _plain(scene, service)
    ref = ref_of(service)
    name = str(dig(service, "metadata", "labels", _REVISION, default=ref.name))
    revision = scene.get(KNATIVE, "Revision", ref.namespace, name)
    zero = revision is not None and is_at_zero(revision)
    behind = revision_hops(scene, ref.namespace, name)
    broken = any(other.verdict in ("broken", "starting") for other in behind)
    serverless = scene.get(_INTERNAL, "ServerlessService", ref.namespace, ref.name)
    found = [_public(scene, service, follows=broken)]
    if dig(serverless, "spec", "mode") == "Proxy":
        found.append(_activator(scene))
    private = str(dig(serverless, "status", "privateServiceName", default=f"{ref.name}-private"))
    found.append(_private(scene, Ref("v1", "Service", ref.namespace, private), zero, broken))
    return [*found, *behind]


def _public(scene: Scene, service: Object, *, follows: bool) -> Hop:
    ref = ref_of(service)
    why = scene.cannot_see("Endpoints", ref.namespace)
    if why:
        return hop("revision-service", ref, "unknown", f"could not look: {why}")
    ready = ready_addresses(scene.core("Endpoints", ref.namespace, ref.name))
    if ready:
        to = str(dig(ready[0], "targetRef", "namespace", default=ref.namespace))
        said = "leads to the activator" if to != ref.namespace else "leads to the pods directly"
        return hop("revision-service", ref, "ok", said)
    if follows or not ready_addresses(_endpoints(scene, ACTIVATOR)):
        return hop("revision-service", ref, "follows", "has no address", reason="NoEndpoints")
    remedy = "see that Knative's controller and autoscaler run: `kserve-installer status`"
    said = "has no address, though there are pods and activators"
    return hop("revision-service", ref, "broken", said, reason="NoEndpoints", remedy=remedy)


def _endpoints(scene: Scene, service: Ref) -> Object | None:
    return scene.core("Endpoints", service.namespace, service.name)


def _activator(scene: Scene) -> Hop:
    why = scene.cannot_see("Endpoints", ACTIVATOR.namespace)
    endpoints = _endpoints(scene, ACTIVATOR)
    if why or endpoints is None:
        said = why or f"there are no Endpoints {ACTIVATOR.name}"
        return hop("activator", ACTIVATOR, "unknown", f"could not look: {said}")
    ready = len(ready_addresses(endpoints))
    if ready:
        said = f"is in the path, {ready} ready: it holds requests until a pod has room"
        return hop("activator", ACTIVATOR, "ok", said)
    return hop(
        "activator",
        ACTIVATOR,
        "broken",
        "is in the path and none of its pods is ready: no request gets to the model",
        reason="NoEndpoints",
        remedy=f"see why: kubectl get pods -n {ACTIVATOR.namespace} -l app=activator",
    )


def _private(scene: Scene, ref: Ref, at_zero: bool, broken: bool) -> Hop:
    if scene.core("Service", ref.namespace, ref.name) is None:
        why = scene.cannot_see("Service", ref.namespace)
        verdict: Verdict = "unknown" if why else "follows" if broken else "broken"
        said = f"could not look: {why}" if why else "does not exist"
        return hop("private-service", ref, verdict, said, reason="NotFound")
    why = scene.cannot_see("Endpoints", ref.namespace)
    if why:
        return hop("private-service", ref, "unknown", f"could not look: {why}")
    endpoints = _endpoints(scene, ref)
    ready = ready_addresses(endpoints)
    if ready:
        plural = "pod is" if len(ready) == 1 else "pods are"
        return hop("private-service", ref, "ok", f"{len(ready)} {plural} ready")
    if at_zero:
        return hop("private-service", ref, "note", "no pod: scaled to zero", reason="NoTraffic")
    if broken or not_ready_addresses(endpoints):
        return hop("private-service", ref, "follows", "no pod is ready", reason="NoEndpoints")
    remedy = "compare its selector with the pods' labels; the revision's controller sets it"
    said = "selects no pod, though the revision has pods that are ready"
    return hop("private-service", ref, "broken", said, reason="NoEndpoints", remedy=remedy)


def _plain(scene: Scene, service: Object) -> list[Hop]:
    """A Service that selects pods itself: raw deployments."""
    ref = ref_of(service)
    selector: dict[str, str] = dig(service, "spec", "selector", default={})
    made = [
        found
        for found in scene.of_kind("Deployment")
        if ref_of(found).namespace == ref.namespace
        and selector.items()
        <= dig(found, "spec", "template", "metadata", "labels", default={}).items()
    ]
    behind = [hop_ for found in made[:1] for hop_ in deployment_hops(scene, found)]
    broken = any(other.verdict in ("broken", "starting") for other in behind)
    return [_private(scene, ref, False, broken), *behind]


def component_hops(scene: Scene) -> list[Hop]:
    """What of the InferenceService would serve, for a request that never got that far."""
    found: list[Hop] = []
    for service in _knative_services(scene):
        found += _knative_hops(scene, service)
    if not found:
        for deployment in scene.owned_by(scene.service.obj, "Deployment"):
            found += deployment_hops(scene, deployment)
    return found or [_nothing_made(scene)]


def _knative_services(scene: Scene) -> list[Object]:
    return [
        found
        for found in scene.owned_by(scene.service.obj, "Service")
        if ref_of(found).group == KNATIVE
    ]


def _knative_hops(scene: Scene, service: Object) -> list[Hop]:
    ref = ref_of(service)
    route = scene.get(KNATIVE, "Route", ref.namespace, ref.name)
    revisions = traffic_of(route) if route else []
    newest = str(dig(service, "status", "latestCreatedRevisionName", default=""))
    if not revisions and newest:
        revisions = [newest]
    behind = [h for name in revisions for h in revision_hops(scene, ref.namespace, name)]
    return [_route(ref, route, behind), *behind]


def _route(ref: Ref, route: Object | None, behind: list[Hop]) -> Hop:
    about = Ref(f"{KNATIVE}/v1", "Route", ref.namespace, ref.name)
    ready = conditions(route or {}).get("Ready", {})
    reason = str(ready.get("reason") or "NotReady")
    message = str(ready.get("message") or "").rstrip(".")
    if ready.get("status") == "True":
        return hop("route", about, "ok", "is ready")
    if any(other.verdict in ("broken", "starting") for other in behind):
        return hop("route", about, "follows", message or "is not ready", reason=reason)
    if ready.get("status") == "False":
        remedy = f"kubectl -n {ref.namespace} describe routes.serving.knative.dev {ref.name}"
        return hop("route", about, "broken", message or reason, reason=reason, remedy=remedy)
    return hop("route", about, "starting", message or "is not ready yet", reason=reason)


def _nothing_made(scene: Scene) -> Hop:
    ref, ready = scene.service.ref, conditions(scene.service.obj).get("Ready", {})
    for kind in ("Service", "Deployment"):
        why = scene.cannot_see(kind, ref.namespace)
        if why:
            return hop("route", f"what {ref} made", "unknown", f"could not look: {why}")
    message = str(ready.get("message") or "its controller has made nothing of it yet")
    verdict: Verdict = "broken" if ready.get("status") == "False" else "starting"
    return hop(
        "route",
        ref,
        verdict,
        message.rstrip("."),
        reason=str(ready.get("reason") or "NothingMade"),
        remedy="see that the controller of KFServing or KServe runs: `kserve-installer status`",
    )

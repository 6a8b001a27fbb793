"""Routes of raw deployments: a Kubernetes Ingress, or an HTTPRoute of Gateway API. Pure.

KServe makes these instead of VirtualServices where it does without Knative (kserve@v0.11.2:
pkg/controller/v1beta1/inferenceservice/reconcilers/ingress/kube_ingress_reconciler.go; HTTPRoutes
with `enableGatewayApi`, since 0.15).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, Ref, dig, ref_of
from installer.serving.hops import Hop, hop
from installer.serving.scene import Scene

_GROUPS = ("networking.k8s.io", "gateway.networking.k8s.io")


def ingress_of(scene: Scene, host: str) -> Object | None:
    """The Ingress or HTTPRoute that has a host, None without one."""
    bare = host.partition(":")[0]
    for group, kind in zip(_GROUPS, ("Ingress", "HTTPRoute"), strict=True):
        for found in scene.of_kind(kind, group):
            if bare in _hosts(found):
                return found
    return None


def _hosts(obj: Object) -> list[str]:
    if obj["kind"] == "HTTPRoute":
        return [str(name) for name in dig(obj, "spec", "hostnames", default=[])]
    return [str(rule.get("host")) for rule in dig(obj, "spec", "rules", default=[])]


def sent_by(scene: Scene, route: Object, host: str) -> tuple[Hop, Ref | None]:
    """Where it sends a host: the hop, and the Service; None where that is not followed."""
    ref = ref_of(route)
    if route["kind"] == "HTTPRoute":
        said = f"has {host}; routes of Gateway API are not followed further"
        return hop("ingress", ref, "unknown", said, reason="GatewayApi"), None
    name = _backend(route, host)
    if not name:
        said = f"has {host} without a Service behind it"
        return hop("ingress", ref, "broken", said, reason="NoBackend"), None
    service = Ref("v1", "Service", scene.namespace, name)
    said = f"sends {host} to {service.namespace}/{service.name}"
    kind = dig(route, "spec", "ingressClassName", default="")
    if kind and kind != "istio":
        said += f", by whatever serves Ingress class {kind}"
    return hop("ingress", ref, "ok", said), service


def _backend(ingress: Object, host: str) -> str:
    for rule in dig(ingress, "spec", "rules", default=[]):
        if rule.get("host") == host.partition(":")[0]:
            paths: list[Mapping[str, Any]] = dig(rule, "http", "paths", default=[])
            for path in paths:
                backend = path.get("backend") or {}
                found = dig(backend, "service", "name") or backend.get("serviceName")
                if found:
                    return str(found)
    return ""

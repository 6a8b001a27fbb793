"""Scenes made of recorded objects, with the parts of a cluster around them that were not kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from installer.core.objects import Object
from installer.serving.gateways import Gateways, GatewayUse, service_of
from installer.serving.inference_service import KIND, of_object
from installer.serving.scene import Scene

RECORDINGS = "facts/recordings/kfserving-0.5.1"
INGRESS = "istio-ingressgateway.istio-system.svc.cluster.local"
LOCAL = "cluster-local-gateway.istio-system.svc.cluster.local"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def objects_of(folder: Path) -> list[Object]:
    """The objects of one recorded state."""
    return [
        yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        for file in sorted(folder.glob("*.yaml"))
    ]


def scene_of(objects: Iterable[Object], **more: Any) -> Scene:
    """A scene of recorded objects and others."""
    found = list(objects)
    (service,) = [obj for obj in found if obj["kind"] == KIND]
    more.setdefault("gateways", gateways())
    return Scene.of(of_object(service), found, now=NOW, **more)


def gateways() -> Gateways:
    """As Knative 0.18 has them by default."""
    outside, inside = service_of(INGRESS), service_of(LOCAL)
    assert outside is not None
    assert inside is not None
    return Gateways(
        (GatewayUse("knative-serving/knative-ingress-gateway", outside),),
        (GatewayUse("knative-serving/cluster-local-gateway", inside),),
        "as recorded",
    )


def gateway(name: str, selector: str, port: int, **server: Any) -> Object:
    """A Gateway of Istio for all hosts."""
    spec = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]} | server
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "knative-serving"},
        "spec": {"selector": {"istio": selector}, "servers": [spec]},
    }


def gateway_service(name: str, label: str, target: int, namespace: str = "istio-system") -> Object:
    """The Service of a gateway's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "ClusterIP",
            "selector": {"istio": label},
            "ports": [{"name": "http2", "port": 80, "targetPort": target}],
        },
    }


def endpoints(name: str, *ready: str, namespace: str = "istio-system") -> Object:
    """Endpoints with ready pods of these names; without any, none is ready."""
    addresses = [
        {"ip": "10.244.9.9", "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace}}
        for pod in ready
    ]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name, "namespace": namespace},
        "subsets": [{"addresses": addresses}] if addresses else [],
    }


def pod(name: str, label: str, namespace: str = "istio-system") -> Object:
    """A ready gateway or activator pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"istio": label}},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def ingress_gateway() -> list[Object]:
    """The public gateway, well."""
    return [
        gateway("knative-ingress-gateway", "ingressgateway", 80),
        gateway_service("istio-ingressgateway", "ingressgateway", 8080),
        endpoints("istio-ingressgateway", "ingress-1"),
        pod("ingress-1", "ingressgateway"),
    ]


def local_gateway() -> list[Object]:
    """The gateway for requests from inside, as Istio 1.6 of the quick install has it, well."""
    return [
        gateway("cluster-local-gateway", "cluster-local-gateway", 80),
        gateway_service("cluster-local-gateway", "cluster-local-gateway", 80),
        endpoints("cluster-local-gateway", "local-1"),
        pod("local-1", "cluster-local-gateway"),
    ]


def activator() -> list[Object]:
    """A ready activator."""
    name = "activator-79f56666d8-lkbrz"
    return [
        gateway_service("activator-service", "activator", 8012, "knative-serving"),
        endpoints("activator-service", name, namespace="knative-serving"),
        pod(name, "activator", "knative-serving"),
    ]

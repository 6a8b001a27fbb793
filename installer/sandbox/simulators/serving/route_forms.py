"""What a Route is made of, and net-istio makes of its Ingress; forms as recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.serving.base_forms import (
    CLUSTER,
    INGRESS_CLASS,
    INTERNAL,
    ISTIO_V1,
    KNATIVE,
    NETWORK_V1,
    annotations_of,
    labels_of,
    made,
)

FINALIZER = f"ingresses.{INTERNAL}"


def placeholder(a_route: Object, address: str) -> Object:
    """The Service under the Route's name."""
    name = a_route["metadata"]["name"]
    port = {"name": "http2", "protocol": "TCP", "port": 80, "targetPort": 80}
    return made(
        "v1",
        "Service",
        name,
        a_route,
        labels={**labels_of(a_route), f"{KNATIVE}/route": name},
        annotations=annotations_of(a_route),
        spec={
            "type": "ExternalName",
            "externalName": address,
            "ports": [port],
            "sessionAffinity": "None",
        },
    )


def ingress(a_route: Object, rev: str, domain: str) -> Object:
    """The Ingress of a Route that sends everything to one Revision.

    domain: `CLUSTER` for one without a way in from outside.
    """
    name, namespace = a_route["metadata"]["name"], a_route["metadata"]["namespace"]
    host = f"{name}.{namespace}"
    split = {
        "appendHeaders": {"Knative-Serving-Namespace": namespace, "Knative-Serving-Revision": rev},
        "percent": 100,
        "serviceName": rev,
        "serviceNamespace": namespace,
        "servicePort": 80,
    }
    http = {"paths": [{"splits": [split], "timeout": "48h0m0s"}]}
    inside = [host, f"{host}.svc", f"{host}.{CLUSTER}"]
    rules = [{"hosts": inside, "http": http, "visibility": "ClusterLocal"}]
    if domain != CLUSTER:
        rules.append({"hosts": [f"{host}.{domain}"], "http": http, "visibility": "ExternalIP"})
    body = made(
        NETWORK_V1,
        "Ingress",
        name,
        a_route,
        labels={
            **labels_of(a_route),
            f"{KNATIVE}/route": name,
            f"{KNATIVE}/routeNamespace": namespace,
        },
        annotations={
            **annotations_of(a_route),
            INGRESS_CLASS: "istio.ingress.networking.knative.dev",
        },
        spec={"rules": rules},
    )
    body["metadata"]["finalizers"] = [FINALIZER]
    return body


def virtual_services(
    an_ingress: Object, public: Iterable[str], local: Iterable[str]
) -> tuple[Object, Object]:
    """(mesh, ingress) VirtualServices of an Ingress; Gateways are called `namespace/name`."""
    name = an_ingress["metadata"]["name"]
    rules = dig(an_ingress, "spec", "rules")
    inside, public_rules = rules[0], rules[1:]
    digest = hashlib.sha256(json.dumps(an_ingress["spec"], sort_keys=True).encode()).hexdigest()
    labels = {
        key: value
        for key, value in labels_of(an_ingress).items()
        if key in (f"{KNATIVE}/route", f"{KNATIVE}/routeNamespace")
    } | {f"{INTERNAL}/ingress": name}
    outer, inner = sorted(public) if public_rules else [], sorted(local)

    def service(suffix: str, gateways: list[str], hosts: list[str], http: list[Any]) -> Object:
        return made(
            ISTIO_V1,
            "VirtualService",
            f"{name}-{suffix}",
            an_ingress,
            labels=labels,
            annotations=annotations_of(an_ingress),
            spec={"gateways": gateways, "hosts": hosts, "http": http},
        )

    mesh = service("mesh", ["mesh"], list(inside["hosts"]), _http(inside, ["mesh"], digest))
    http = [entry for rule in public_rules for entry in _http(rule, outer, digest)]
    hosts = sorted(host for rule in rules for host in rule["hosts"])
    both = [*_http(inside, inner, digest), *http]
    return mesh, service("ingress", sorted({*outer, *inner}), hosts, both)


def _http(rule: Mapping[str, Any], gateways: list[str], digest: str) -> list[dict[str, Any]]:
    """Two entries a rule: one for Knative's own probes, one for everybody."""
    (path,) = rule["http"]["paths"]
    (split,) = path["splits"]
    authorities = [host.removesuffix(f".{CLUSTER}") for host in rule["hosts"]]
    target = f"{split['serviceName']}.{split['serviceNamespace']}.{CLUSTER}"
    way = {
        "route": [
            {
                "destination": {"host": target, "port": {"number": split["servicePort"]}},
                "headers": {"request": {"set": split["appendHeaders"]}},
                "weight": split["percent"],
            }
        ],
        "timeout": "172800s",
    }
    matches = [{"authority": {"prefix": host}, "gateways": gateways} for host in authorities]
    probe = {"K-Network-Hash": {"exact": "override"}}
    return [
        {
            "headers": {"request": {"set": {"K-Network-Hash": digest}}},
            "match": [{**match, "headers": probe} for match in matches],
            **way,
        },
        {"match": matches, **way},
    ]

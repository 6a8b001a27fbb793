"""Which way a request takes through Gateways and VirtualServices: pure, as Istio's gateways match.

Only what Knative, KFServing and KServe write is understood: exact and wildcard hosts, matches by
gateway, authority, path and headers, one weighted route, rewritten hosts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from installer.core.objects import Object, dig

ISTIO_CLASS = "istio"


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a VirtualService sends a request. host: of a Service; headers: that are set."""

    virtual_service: str
    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides its way. host: without a port; headers: names in lower case."""

    host: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


def gateways_at(
    gateways: Iterable[Object], labels: Mapping[str, str], ports: Sequence[int]
) -> set[str]:
    """`namespace/name` of the Gateways that pods with these labels serve on one of the ports."""
    found = set()
    for gateway in gateways:
        selector = dig(gateway, "spec", "selector", default={})
        if not selector or any(labels.get(key) != value for key, value in selector.items()):
            continue
        servers = dig(gateway, "spec", "servers", default=[])
        if any(dig(server, "port", "number") in ports for server in servers):
            found.add(f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}")
    return found


def route(virtual_services: Iterable[Object], at: set[str], asked: Asked) -> Hop | None:
    """The way from gateways `at`; None when no VirtualService there knows the host (a 404)."""
    candidates = [
        (service, gateways)
        for service in virtual_services
        if (gateways := _gateways(service) & at) and _hosts(service, asked.host)
    ]
    for service, gateways in sorted(candidates, key=lambda pair: _age(pair[0])):
        for rule in dig(service, "spec", "http", default=[]):
            if _matches(rule, service, gateways, asked):
                return _hop(service, rule)
    return None


def ingress_route(ingresses: Iterable[Object], asked: Asked) -> Hop | None:
    """The way that a Kubernetes Ingress of Istio's class tells its ingress gateway.

    istio.io, reference of MeshConfig: ingressClass is `istio` by default.
    """
    for ingress in sorted(ingresses, key=_age):
        if dig(ingress, "spec", "ingressClassName") != ISTIO_CLASS:
            continue
        for rule in dig(ingress, "spec", "rules", default=[]):
            if rule.get("host") != asked.host:
                continue
            for path in dig(rule, "http", "paths", default=[]):
                if asked.path.startswith(path.get("path") or "/"):
                    namespace, name = (ingress["metadata"][key] for key in ("namespace", "name"))
                    backend = path["backend"]["service"]
                    return Hop(f"{namespace}/{name}", backend["name"], backend["port"]["number"])
    return None


def _age(service: Object) -> tuple[str, str]:
    metadata = service["metadata"]
    return metadata.get("creationTimestamp", ""), metadata["name"]


def gateway_name(text: str, namespace: str) -> str:
    """`namespace/name` of what a VirtualService calls a gateway: also `name.namespace[.svc…]`."""
    if "/" in text:
        return text
    name, dot, rest = text.partition(".")
    return f"{rest.partition('.')[0]}/{name}" if dot else f"{namespace}/{text}"


def _gateways(service: Object, names: Sequence[str] | None = None) -> set[str]:
    namespace = service["metadata"]["namespace"]
    told = dig(service, "spec", "gateways", default=["mesh"]) if names is None else names
    return {name if name == "mesh" else gateway_name(name, namespace) for name in told}


def _hosts(service: Object, host: str) -> bool:
    for known in dig(service, "spec", "hosts", default=[]):
        if known in ("*", host) or (known.startswith("*.") and host.endswith(known[1:])):
            return True
    return False


def _matches(rule: Mapping[str, Any], service: Object, at: set[str], asked: Asked) -> bool:
    matches = rule.get("match")
    if not matches:
        return True
    return any(_match(match, service, at, asked) for match in matches)


def _match(match: Mapping[str, Any], service: Object, at: set[str], asked: Asked) -> bool:
    if match.get("gateways") and not _gateways(service, match["gateways"]) & at:
        return False
    if not _text(match.get("authority"), asked.host) or not _text(match.get("uri"), asked.path):
        return False
    wanted = match.get("headers") or {}
    return all(
        key.lower() in asked.headers and _text(how, asked.headers[key.lower()])
        for key, how in wanted.items()
    )


def _text(how: Mapping[str, str] | None, text: str) -> bool:
    if not how:
        return True
    if "exact" in how:
        return text == how["exact"]
    if "prefix" in how:
        return text.startswith(how["prefix"])
    return re.fullmatch(how.get("regex", ""), text) is not None


def _hop(service: Object, rule: Mapping[str, Any]) -> Hop | None:
    routes = rule.get("route") or []
    if not routes:
        return None
    chosen = max(routes, key=lambda r: r.get("weight", 100))
    headers: dict[str, str] = {}
    for place in (rule, chosen):
        headers |= dig(place, "headers", "request", "set", default={})
    authority = dig(rule, "rewrite", "authority")
    if authority:
        headers["Host"] = authority
    metadata = service["metadata"]
    return Hop(
        f"{metadata['namespace']}/{metadata['name']}",
        chosen["destination"]["host"],
        dig(chosen, "destination", "port", "number", default=80),
        headers,
    )


def service_of(host: str, namespace: str = "") -> tuple[str, str]:
    """(namespace, name) of the Service that a destination names: `name[.namespace[.svc…]]`."""
    name, _, rest = host.partition(".")
    return rest.partition(".")[0] or namespace, name

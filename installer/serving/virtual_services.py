"""Where Istio sends a request: VirtualServices, matched the way Envoy would be told to. Pure.

Of a route only what the stack's controllers write is understood: authority, gateways, uri and
header matches, weights, and a new Host (istio.io/api: networking/v1beta1/virtual_service.proto).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.core.objects import Object, Ref, dig, ref_of

KIND = "VirtualService"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrives at a gateway `NAMESPACE/NAME`."""

    gateway: str
    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a matching route sends a request. host: what the Host header is from there on."""

    service: Ref
    port: int
    host: str
    weight: int


def gateways_named(virtual_service: Object) -> list[str]:
    """`NAMESPACE/NAME` of the gateways it is bound to, or `mesh`.

    KFServing 0.5 writes NAME.NAMESPACE, the others NAMESPACE/NAME; a bare name is of its own
    namespace.
    """
    own = ref_of(virtual_service).namespace
    return [_gateway(str(name), own) for name in dig(virtual_service, "spec", "gateways") or []]


def _gateway(name: str, own: str) -> str:
    if name == "mesh" or "/" in name:
        return name
    first, dot, rest = name.partition(".")
    return f"{rest.partition('.')[0]}/{first}" if dot else f"{own}/{name}"


def hosts_of(virtual_service: Object) -> list[str]:
    """spec.hosts."""
    return [str(host) for host in dig(virtual_service, "spec", "hosts", default=[])]


def serves(virtual_service: Object, host: str) -> bool:
    """Whether one of its hosts is this one; a leading `*` stands for anything."""
    bare = host.partition(":")[0].lower()
    return any(
        bare == known.lower() or (known.startswith("*") and bare.endswith(known[1:].lower()))
        for known in hosts_of(virtual_service)
    )


def destinations(virtual_service: Object, asked: Asked) -> list[Destination]:
    """Where the first route that matches sends a request, heaviest first; empty without one."""
    own = ref_of(virtual_service).namespace
    for rule in dig(virtual_service, "spec", "http", default=[]):
        if _matches(rule, asked, own):
            return sorted(_routes(rule, asked, own), key=lambda d: -d.weight)
    return []


def _matches(rule: Mapping[str, Any], asked: Asked, own: str) -> bool:
    alternatives: Sequence[Mapping[str, Any]] = rule.get("match") or [{}]
    return any(_all_of(match, asked, own) for match in alternatives)


def _all_of(match: Mapping[str, Any], asked: Asked, own: str) -> bool:
    bound = [_gateway(str(name), own) for name in match.get("gateways") or []]
    if bound and asked.gateway not in bound:
        return False
    if match.get("headers") or match.get("queryParams"):
        return False  # only probes carry the headers that Knative's routes match
    return _text(match.get("authority"), asked.host) and _text(match.get("uri"), asked.path)


def _text(rule: Mapping[str, str] | None, text: str) -> bool:
    if not rule:
        return True
    if "exact" in rule:
        return text == rule["exact"]
    if "prefix" in rule:
        return text.startswith(rule["prefix"])
    try:
        return re.fullmatch(rule.get("regex", ""), text) is not None
    except re.error:
        return False


def _routes(rule: Mapping[str, Any], asked: Asked, own: str) -> Iterator[Destination]:
    routes: Iterable[Mapping[str, Any]] = rule.get("route") or []
    everywhere = _new_host(rule)
    for route in routes:
        weight = int(route.get("weight", 100))
        service = _service(str(dig(route, "destination", "host", default="")), own)
        port = int(dig(route, "destination", "port", "number", default=80))
        host = _new_host(route) or everywhere or asked.host
        if weight:
            yield Destination(service, port, host, weight)


def _new_host(part: Mapping[str, Any]) -> str:
    headers: Mapping[str, str] = dig(part, "headers", "request", "set", default={})
    named = {name.lower(): value for name, value in headers.items()}
    rewritten = dig(part, "rewrite", "authority", default="")
    return str(named.get("host") or named.get(":authority") or rewritten)


def _service(host: str, own: str) -> Ref:
    name, _, rest = host.partition(".")
    return Ref("v1", "Service", rest.partition(".")[0] or own, name)

"""How a request gets into the cluster: a load balancer's address, a node's port, or a port-forward.

Chosen in this order, each only when it accepts connections from here, so that a load balancer
that was promised and never came, or nodes behind a firewall, lead on to the next way. What was
passed over, and why, is part of the answer.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref, conditions, dig, ref_of
from installer.serving.gateways import read_gateways

Via = Literal["lb", "nodeport", "port-forward"]
WAYS: tuple[Via, ...] = ("lb", "nodeport", "port-forward")
CONNECT_SECONDS = 2.0
"""How long a way into the cluster may take to accept a connection before it is passed over."""
_PORTS = {"http": 80, "https": 443}
_NODES = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A way into the cluster.

    host, port: what to connect to; empty and 0 for a port-forward that is not `opened` yet.
    service: the gateway's Service; service_port: its port. reasons: why not another way, a clause
    each. pod, pod_port: where a port-forward ends.
    """

    via: Via
    scheme: str
    host: str
    port: int
    service: Ref
    service_port: int
    reasons: tuple[str, ...] = ()
    pod: str = ""
    pod_port: int = 0

    @property
    def address(self) -> str:
        """`HOST:PORT`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def to_dict(self) -> dict[str, Any]:
        """{via, scheme, host, port, service, reasons}."""
        return {
            "via": self.via,
            "scheme": self.scheme,
            "host": self.host,
            "port": self.port,
            "service": str(self.service),
            "reasons": list(self.reasons),
        }


Connects = Callable[[str, int], str]
"""Why an address does not accept connections; empty when it does."""


def connects(host: str, port: int) -> str:
    """A `Connects` that tries it."""
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS):
            return ""
    except TimeoutError:
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def find(
    cluster: Cluster,
    *,
    via: Via | None = None,
    scheme: str = "http",
    service: Ref | None = None,
    connects: Connects = connects,
) -> Entry:
    """The way into the cluster: the first of `find_all`, which says what is raised."""
    return find_all(cluster, via=via, scheme=scheme, service=service, connects=connects)[0]


def find_all(
    cluster: Cluster,
    *,
    via: Via | None = None,
    scheme: str = "http",
    service: Ref | None = None,
    connects: Connects = connects,
) -> list[Entry]:
    """Every way into the cluster that accepts connections, the best first.

    That something accepts them does not prove that it is this cluster's gateway: another ingress
    may hold the address. via: this way and no other. service: of another gateway.
    Raises InstallerError, kind `no-gateway` or `no-ingress`, with every way that was tried.
    """
    target = service or read_gateways(cluster).outside[0].service
    found = cluster.get(target)
    if found is None:
        raise InstallerError(
            f"the gateway's Service {target.namespace}/{target.name} does not exist",
            kind="no-gateway",
            object=str(target),
            remedy="run the install again: it puts back what is missing",
        )
    port = _port(found, scheme)
    if port is None:
        raise InstallerError(
            f"{target} has no port for {scheme}",
            kind="no-ingress",
            object=str(target),
            remedy=f"add port {_PORTS[scheme]} to it",
        )
    return _all(_Search(cluster, found, port, scheme, connects), via)


@dataclass(frozen=True, slots=True)
class _Search:
    cluster: Cluster
    service: Object
    port: Object
    scheme: str
    connects: Connects

    def entry(self, via: Via, host: str, port: int, **more: Any) -> Entry:
        ref = ref_of(self.service)
        return Entry(via, self.scheme, host, port, ref, int(self.port["port"]), **more)


def _all(search: _Search, via: Via | None) -> list[Entry]:
    ways = {"lb": _balancer, "nodeport": _node_port, "port-forward": _forward}
    reasons: list[str] = []
    entries: list[Entry] = []
    for way in (via,) if via else WAYS:
        found = ways[way](search)
        if isinstance(found, Entry):
            entries.append(replace(found, reasons=tuple(reasons)))
        else:
            reasons.append(f"{way}: {found}")
    if entries:
        return entries
    raise InstallerError(
        "there is no way into the cluster from here: " + "; ".join(reasons),
        kind="no-ingress",
        object=str(ref_of(search.service)),
        remedy="" if via is None else f"leave --via {via} out to try the other ways",
    )


def _port(service: Object, scheme: str) -> Object | None:
    ports: list[Object] = dig(service, "spec", "ports", default=[])
    by_number = next((p for p in ports if p.get("port") == _PORTS[scheme]), None)
    names = ("https",) if scheme == "https" else ("http2", "http")
    return by_number or next((p for p in ports if p.get("name") in names), None)


def _balancer(search: _Search) -> Entry | str:
    kind = dig(search.service, "spec", "type", default="ClusterIP")
    if kind != "LoadBalancer":
        return f"the gateway's Service is of type {kind}"
    given = dig(search.service, "status", "loadBalancer", "ingress", default=[])
    if not given:
        return "the gateway's Service has no address: nothing here gives one to load balancers"
    host = str(given[0].get("ip") or given[0].get("hostname") or "")
    port = int(search.port["port"])
    why = search.connects(host, port)
    return f"{host}:{port}: {why}" if why else search.entry("lb", host, port)


def _node_port(search: _Search) -> Entry | str:
    port = int(search.port.get("nodePort") or 0)
    if not port:
        kind = dig(search.service, "spec", "type", default="ClusterIP")
        return f"the gateway's Service is of type {kind}, without node ports"
    try:
        nodes = search.cluster.list("v1", "Node").items
    except ApiError as error:
        return f"nodes may not be listed: {error.message}"
    hosts = node_addresses(nodes)
    server = urlsplit(search.cluster.server).hostname or ""
    if _is_loopback(server):  # a cluster on this machine may publish its node ports here
        hosts.append(server)
    refused = []
    for host in dict.fromkeys(hosts):
        why = search.connects(host, port)
        if not why:
            return search.entry("nodeport", host, port)
        refused.append(f"{host}:{port}: {why}")
    return "; ".join(refused) or "no node has an address"


def node_addresses(nodes: list[Object]) -> list[str]:
    """Addresses of a few ready nodes, external ones first."""
    ready = [n for n in nodes if conditions(n).get("Ready", {}).get("status") == "True"]
    found: list[str] = []
    for kind in ("ExternalIP", "InternalIP"):
        for node in ready[:_NODES]:
            addresses = dig(node, "status", "addresses", default=[])
            found += [str(a["address"]) for a in addresses if a.get("type") == kind]
    return found


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _forward(search: _Search) -> Entry | str:
    ref = ref_of(search.service)
    try:
        found = ready_pod(search.cluster, search.service)
    except ApiError as error:
        return f"pods may not be listed: {error.message}"
    if found is None:
        return f"no pod of Service {ref.namespace}/{ref.name} is ready"
    port = container_port(search.port, found)
    if port is None:
        return f"pod {ref_of(found).name} has no port named {search.port.get('targetPort')}"
    return search.entry("port-forward", "", 0, pod=ref_of(found).name, pod_port=port)


def ready_pod(cluster: Cluster, service: Object) -> Object | None:
    """A ready pod that a Service selects, None when there is none."""
    selector: dict[str, str] = dig(service, "spec", "selector", default={})
    if not selector:
        return None
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    pods = cluster.list("v1", "Pod", ref_of(service).namespace, label_selector=labels).items
    ready = [
        pod
        for pod in pods
        if conditions(pod).get("Ready", {}).get("status") == "True"
        and not dig(pod, "metadata", "deletionTimestamp")
    ]
    return ready[0] if ready else None


def container_port(port: Object, pod: Object) -> int | None:
    """The number that a Service port's targetPort means in a pod."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, int):
        return target
    for container in dig(pod, "spec", "containers", default=[]):
        for declared in container.get("ports") or []:
            if declared.get("name") == target:
                return int(declared["containerPort"])
    return None


@contextmanager
def opened(cluster: Cluster, entry: Entry) -> Iterator[Entry]:
    """The entry, ready to be connected to: a port-forward listens on 127.0.0.1 meanwhile."""
    if entry.via != "port-forward":
        yield entry
        return
    from installer.cluster.port_forward import PortForward

    with PortForward(cluster, entry.service.namespace, entry.pod, entry.pod_port) as forward:
        yield replace(entry, host="127.0.0.1", port=forward.local_port)

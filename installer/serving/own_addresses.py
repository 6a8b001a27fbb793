"""Every address under which a gateway's Service is reached; any other leads elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.objects import Object, Ref, dig

Address = tuple[str, int]
"""(host, port)."""


def own_addresses(cluster: Cluster, gateway: Ref) -> set[Address]:
    """Addresses of a gateway; without the right to list nodes, those of nodes are missing.

    Raises ApiError where the Service itself cannot be read.
    """
    service = cluster.get(gateway)
    if service is None:
        return set()
    try:
        nodes = cluster.list("v1", "Node").items
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        nodes = []
    return addresses_of(service, nodes)


def addresses_of(service: Object, nodes: Iterable[Object]) -> set[Address]:
    """Of load balancers and inside the cluster with the Service's ports, of nodes with its node
    ports. Pure."""
    ports = dig(service, "spec", "ports", default=[])
    balancers = dig(service, "status", "loadBalancer", "ingress", default=[])
    hosts = [entry.get(key) for entry in balancers for key in ("ip", "hostname")]
    hosts += [dig(service, "spec", "clusterIP"), *dig(service, "spec", "externalIPs", default=[])]
    found = {(host, port["port"]) for host in hosts if host for port in ports}
    for node in nodes:
        for address in dig(node, "status", "addresses", default=[]):
            found |= {(address["address"], p["nodePort"]) for p in ports if p.get("nodePort")}
    return found

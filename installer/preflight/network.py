"""Does the way in and out work: addresses for the gateway, node ports, host ports?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from installer.catalog.platforms import LoadBalancer, Platform, load_platforms
from installer.core.checks import Detail, failed, note, warning
from installer.core.objects import Object, Ref, dig, ref_of
from installer.preflight import network_control_plane as control_plane
from installer.preflight import network_domain
from installer.preflight.check import Check
from installer.preflight.platform import platforms_of, provider_ids, serves
from installer.preflight.settings_offer import offered
from installer.preflight.world import World

GATEWAY = ("istio-system", "istio-ingressgateway")
"""The Service that `gateway` in the settings means."""

PATIENCE = 120.0
"""Seconds after which a Service without an address is thought to wait for nothing."""

DEFAULT_RANGE = (30000, 32767)
"""Node ports where kube-apiserver's --service-node-port-range does not say otherwise."""

_NODE_PORT = {"gateway": {"type": "NodePort"}}


@dataclass(frozen=True, slots=True)
class Support:
    """What gives LoadBalancer Services an address. lacks: what is missing for that, or empty."""

    title: str
    evidence: str
    lacks: str = ""
    remedy: str = ""


# Addresses


def _services(world: World) -> list[Object]:
    return world.listed("v1", "Service")


def _wanted_services(world: World) -> list[Object]:
    return [item.body for item in world.target.wanted if item.ref.kind == "Service"]


def _load_balancer(world: World) -> Iterator[Detail]:
    wanted = [body for body in _wanted_services(world) if _balanced(body)]
    if not wanted:
        yield note("no Service of the release asks for a load balancer")
        return
    services = _services(world)
    support = supported(services) or _support(world)
    yield from address_details(wanted, services, support, datetime.now(UTC))


def _support(world: World) -> Support | None:
    """What the platform, its nodes or an add-on gives."""
    for platform, seen in platforms_of(world):
        if platform.load_balancer:
            return Support(platform.title, seen)
    namespaces = {str(dig(each, "metadata", "name")) for each in world.namespaces}
    for each in load_platforms().load_balancers:
        seen = _seen(world, each, namespaces)
        if seen:
            return _with_pool(world, each, seen)
    return None


def _seen(world: World, balancer: LoadBalancer, namespaces: Collection[str]) -> str:
    if balancer.provider_id:
        ids = [each for each in provider_ids(world.nodes) if each.startswith(balancer.provider_id)]
        return f"node providerID {ids[0]}" if ids else ""
    if balancer.group and serves(world, balancer.group):
        return f"API group {balancer.group}"
    if balancer.namespace in namespaces:
        return f"Namespace {balancer.namespace}"
    return ""


def _with_pool(world: World, balancer: LoadBalancer, seen: str) -> Support:
    kind, version = balancer.pool_kind, balancer.pool_version
    asked = kind and world.cluster.discovery().find(version, kind) is not None
    if asked and not world.listed(version, kind):
        lacks = f"there is no {kind}, so it has no address to give"
        return Support(balancer.title, seen, lacks, f"create an {kind} of {version}")
    return Support(balancer.title, seen)


def supported(services: Sequence[Object]) -> Support | None:
    """A LoadBalancer Service that has its address is the best evidence. Pure."""
    for service in services:
        address = _address(service)
        if _balanced(service) and address:
            return Support("this cluster", f"{ref_of(service)} has {address}")
    return None


def address_details(
    wanted: Sequence[Object], services: Sequence[Object], support: Support | None, now: datetime
) -> Iterator[Detail]:
    """Whether the release's LoadBalancer Services get an address. Pure."""
    mine = {ref_of(body).identity for body in wanted}
    waiting = [each for each in services if _balanced(each) and _waits(each, now)]
    explained = support is None or bool(support.lacks)
    for service in waiting:
        ref = ref_of(service)
        if not (explained and ref.identity in mine):
            yield warning(
                _waited(service, now),
                f"kubectl -n {ref.namespace} describe service {ref.name}" if support else "",
                str(ref),
            )
    # One fact is told once: that ours waits is said with the reason for it.
    ours = [each for each in waiting if ref_of(each).identity in mine]
    told = "; ".join(_waited(each, now) for each in ours)
    names = ", ".join(str(ref_of(body)) for body in wanted)
    if support is None:
        stays = "stays" if ours else "would stay"
        yield warning(
            f"nothing here is known to give {names} an address (no cloud provider, MetalLB or "
            f"ServiceLB seen): it {stays} <pending>, and is reached by its node port"
            + (f"; {told}" if told else ""),
            _remedy(wanted),
            str(ref_of(wanted[0])),
        )
    elif support.lacks:
        reason = f"{support.title} is here, but {support.lacks}" + (f"; {told}" if told else "")
        yield warning(reason, support.remedy)
    elif not ours:
        yield note(f"{names} gets an address: {support.title} ({support.evidence})")


def _waited(service: Object, now: datetime) -> str:
    minutes = int(_age(service, now) // 60)
    return f"{ref_of(service)} is of type LoadBalancer and has waited {minutes} min for an address"


def _remedy(wanted: Sequence[Object]) -> str:
    names = {(dig(b, "metadata", "namespace"), dig(b, "metadata", "name")) for b in wanted}
    if GATEWAY in names:
        return offered("choose node ports for the gateway", _NODE_PORT)
    return "choose spec.type NodePort for it with `patches` in the settings"


def _balanced(service: Object) -> bool:
    return bool(dig(service, "spec", "type") == "LoadBalancer")


def _address(service: Object) -> str:
    first = dig(service, "status", "loadBalancer", "ingress", 0, default={})
    return str(first.get("ip") or first.get("hostname") or "")


def _waits(service: Object, now: datetime) -> bool:
    return not _address(service) and _age(service, now) > PATIENCE


def _age(service: Object, now: datetime) -> float:
    stamp = str(dig(service, "metadata", "creationTimestamp", default=""))
    try:
        return (now - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds()
    except ValueError:
        return 0.0


# Node ports


def _node_ports(world: World) -> Iterator[Detail]:
    wanted = _wanted_services(world)
    if not any(True for body in wanted for _ in fixed_ports(body)):
        yield note("no Service of the release fixes a node port")
        return
    stated = control_plane.node_port_range(control_plane.api_servers(world.pods))
    yield from node_port_details(wanted, _services(world), stated)


def fixed_ports(service: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """(name of the port, node port) that a Service takes for itself."""
    if dig(service, "spec", "type") in ("NodePort", "LoadBalancer"):
        for port in dig(service, "spec", "ports", default=[]):
            if port.get("nodePort"):
                yield str(port.get("name") or port.get("port")), int(port["nodePort"])
        if dig(service, "spec", "healthCheckNodePort"):
            yield "healthCheckNodePort", int(service["spec"]["healthCheckNodePort"])


def node_port_details(
    wanted: Sequence[Object], services: Sequence[Object], stated: tuple[int, int] | None
) -> Iterator[Detail]:
    """Fixed node ports that others have, or that are out of range. Pure.

    stated: the range that kube-apiserver's flags tell, None where they are not visible.
    """
    ours = {ref_of(body).identity for body in wanted}
    taken: dict[int, str] = {}
    for service in services:
        if ref_of(service).identity not in ours:
            taken.update({port: str(ref_of(service)) for _, port in fixed_ports(service)})
    least, most = stated or DEFAULT_RANGE
    # A port beyond the default shows that the range is another, which nothing here tells.
    sure = stated is not None or all(least <= port <= most for port in taken)
    chosen: dict[int, str] = {}
    for body in wanted:
        ref = ref_of(body)
        for name, port in fixed_ports(body):
            owner = taken.get(port) or chosen.get(port)
            where = f"{ref}: node port {port} ({name})"
            if owner:
                remedy = _free(ref, name, {*taken, *chosen}, least, most)
                yield failed(f"{where} belongs to {owner}", remedy, str(ref), port=port)
            elif not least <= port <= most and sure:
                remedy = _free(ref, name, {*taken, *chosen}, least, most)
                reason = f"{where} is outside {least} to {most}, which the API server allows"
                yield failed(reason, remedy, str(ref), port=port)
            chosen.setdefault(port, str(ref))
    if chosen:
        yield note(f"node ports fixed by the release: {', '.join(map(str, sorted(chosen)))}")


def _free(ref: Ref, name: str, taken: Collection[int], least: int, most: int) -> str:
    free = next((port for port in range(least, most + 1) if port not in taken), least)
    if (ref.namespace, ref.name) == GATEWAY:
        return offered("take a free one", {"gateway": {"nodePorts": {name: free}}})
    return f"take a free one, such as {free}, with `patches` in the settings"


# Ports of the nodes themselves


def _host_ports(world: World) -> Iterator[Detail]:
    platform = next((p for p, _ in platforms_of(world) if p.load_balancer == "host-ports"), None)
    if platform is None:
        yield note("load balancers of this platform do not take ports of the nodes")
        return
    yield from host_port_details(_wanted_services(world), _services(world), platform)


def host_port_details(
    wanted: Sequence[Object], services: Sequence[Object], platform: Platform
) -> Iterator[Detail]:
    """LoadBalancer Services that want a port of the nodes which another has. Pure."""
    ours = {ref_of(body).identity for body in wanted}
    taken = {
        int(port["port"]): service
        for service in services
        if _balanced(service) and ref_of(service).identity not in ours
        for port in dig(service, "spec", "ports", default=[])
    }
    for body in wanted:
        ports = [int(p["port"]) for p in dig(body, "spec", "ports", default=[])]
        clash = sorted(set(ports) & set(taken)) if _balanced(body) else []
        if not clash:
            continue
        ref, holders = ref_of(body), dict.fromkeys(str(ref_of(taken[port])) for port in clash)
        told = " and ".join(map(str, clash))
        by_default = f" ({platform.port_holder} by default)" if platform.port_holder else ""
        remedies = [text for text in (platform.free_ports, _remedy([body])) if text]
        yield warning(
            f"{ref} wants port {told} of the nodes, which {', '.join(holders)} "
            f"has{by_default}: it would get no address",
            "; or ".join(remedies),
            str(ref),
            ports=clash,
        )


CHECKS = (
    Check(
        "network-load-balancer",
        "network",
        "Services of type LoadBalancer get an address",
        _load_balancer,
    ),
    Check(
        "network-node-ports", "network", "the node ports that are asked for are free", _node_ports
    ),
    Check(
        "network-host-ports",
        "network",
        "the nodes' own ports that load balancers take are free",
        _host_ports,
    ),
    *network_domain.CHECKS,
    *control_plane.CHECKS,
)

"""Can the API server reach webhooks: no proxy in between, no firewall before their ports?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from installer.catalog.platforms import WebhookPorts
from installer.core.checks import Detail, note, warning
from installer.core.objects import Object, dig
from installer.plan.footprint import pod_spec_of
from installer.preflight.check import Check
from installer.preflight.platform import platforms_of
from installer.preflight.world import World

_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_NO_PROXY = ("NO_PROXY", "no_proxy")
_RANGE = re.compile(r"--service-node-port-range[= ]+(\d+)[-+](\d+)")
_CIDR = re.compile(r"--service-cluster-ip-range[= ]+(\S+)")


def api_servers(pods: Iterable[Object]) -> list[Object]:
    """kube-apiserver's static pods, as kubeadm labels them; none where they are not visible."""
    return [
        pod
        for pod in pods
        if dig(pod, "metadata", "namespace") == "kube-system"
        and dig(pod, "metadata", "labels", "component") == "kube-apiserver"
    ]


def node_port_range(servers: Sequence[Object]) -> tuple[int, int] | None:
    """The range in kube-apiserver's flags; the default where it has none, None without flags.

    A range is `30000-32767`, or `30000+2767` (base and size).
    """
    for pod in servers:
        flags = _flags(pod)
        found = _RANGE.search(flags)
        if not found:
            return (30000, 32767)
        least, most = int(found[1]), int(found[2])
        return (least, least + most if "+" in found[0] else most)
    return None


def _flags(pod: Object) -> str:
    words = [
        str(word)
        for container in dig(pod, "spec", "containers", default=[])
        for part in ("command", "args")
        for word in container.get(part) or []
    ]
    return " ".join(words)


# Proxies


def _proxy(world: World) -> Iterator[Detail]:
    yield from proxy_details(api_servers(world.pods))


def proxy_details(servers: Sequence[Object]) -> Iterator[Detail]:
    """Whether webhook calls would go through a proxy. Pure. Proxies' addresses are not shown."""
    if not servers:
        yield note("kube-apiserver's own pods are not visible here, so neither is its environment")
        return
    for pod in servers:
        environment = {
            str(each.get("name")): str(each.get("value") or "")
            for container in dig(pod, "spec", "containers", default=[])
            for each in container.get("env") or []
        }
        proxies = [name for name in _PROXIES if environment.get(name)]
        excepted = next((environment[n] for n in _NO_PROXY if environment.get(n)), "")
        if proxies and not spares(excepted, "webhook.example.svc"):
            where = f"Pod kube-system/{dig(pod, 'metadata', 'name')}"
            more = [".svc", ".svc.cluster.local"]
            cidr = _CIDR.search(_flags(pod))
            more += cidr[1].split(",") if cidr else []
            parts = [each.strip() for each in excepted.split(",") if each.strip()]
            value = ",".join(dict.fromkeys([*parts, *more]))
            yield warning(
                f"{where} has {' and '.join(proxies)}, and its NO_PROXY does not spare .svc: calls "
                "of webhooks would go to the proxy",
                f"in /etc/kubernetes/manifests/kube-apiserver.yaml: NO_PROXY={value}",
                where,
                no_proxy=value,
            )


def spares(no_proxy: str, host: str) -> bool:
    """Whether NO_PROXY keeps a host from the proxy, as Go's `httpproxy` reads it."""
    for entry in (each.strip().lower() for each in no_proxy.split(",")):
        if entry == "*":
            return True
        name = entry.partition(":")[0].removeprefix("*")
        if name.startswith("."):
            if host.endswith(name):
                return True
        elif name and (host == name or host.endswith(f".{name}")):
            return True
    return False


# Firewalls


def _webhook_ports(world: World) -> Iterator[Detail]:
    bodies = [item.body for item in world.target.wanted]
    ports = webhook_ports(bodies)
    outside = any(
        address.get("type") == "ExternalIP"
        for node in world.nodes
        for address in dig(node, "status", "addresses", default=[])
    )
    rules = [(p.title, p.webhook_ports) for p, _ in platforms_of(world) if p.webhook_ports]
    yield from webhook_port_details(ports, rules, outside)


def webhook_ports(bodies: Sequence[Object]) -> dict[int, list[str]]:
    """Ports of pods that the API server calls, each with the Services behind which they are. Pure.

    Of admission webhooks, and of the conversion webhooks of CRDs.
    """
    services = {
        (dig(b, "metadata", "namespace"), dig(b, "metadata", "name")): b
        for b in bodies
        if b["kind"] == "Service"
    }
    found: dict[int, list[str]] = {}
    for client in _clients(bodies):
        service = client.get("service") or {}
        key = (service.get("namespace"), service.get("name"))
        body = services.get(key)
        port = _target(body, int(service.get("port") or 443), bodies) if body else None
        name = f"{key[0]}/{key[1]}"
        if port is not None and name not in found.setdefault(port, []):
            found[port].append(name)
    return found


def _clients(bodies: Iterable[Object]) -> Iterator[Mapping[str, Any]]:
    for body in bodies:
        for hook in body.get("webhooks") or []:
            yield hook.get("clientConfig") or {}
        if body["kind"] == "CustomResourceDefinition":
            conversion = dig(body, "spec", "conversion", default={})
            old = conversion.get("webhookClientConfig")
            yield old or dig(conversion, "webhook", "clientConfig", default={})


def _target(service: Object, port: int, bodies: Sequence[Object]) -> int | None:
    for each in dig(service, "spec", "ports", default=[]):
        if int(each.get("port") or 0) == port:
            target = each.get("targetPort", port)
            if isinstance(target, int):
                return target
            return int(target) if str(target).isdigit() else _named(service, str(target), bodies)
    return None


def _named(service: Object, name: str, bodies: Sequence[Object]) -> int | None:
    """The number of a container port that a Service names."""
    selector = dig(service, "spec", "selector", default={})
    namespace = dig(service, "metadata", "namespace")
    for body in bodies:
        spec = pod_spec_of(body)
        labels = dig(body, "spec", "template", "metadata", "labels", default={})
        if spec is None or dig(body, "metadata", "namespace") != namespace:
            continue
        if not selector or any(labels.get(key) != value for key, value in selector.items()):
            continue
        for container in spec.get("containers") or []:
            for port in container.get("ports") or []:
                if port.get("name") == name:
                    return int(port["containerPort"])
    return None


def webhook_port_details(
    ports: Mapping[int, Sequence[str]],
    rules: Sequence[tuple[str, WebhookPorts | None]],
    external_addresses: bool,
) -> Iterator[Detail]:
    """Ports that a managed control plane may not reach. Pure.

    external_addresses: whether a node has an address of type ExternalIP.
    """
    if not ports:
        return
    told = ", ".join(f"{port} ({', '.join(ports[port])})" for port in sorted(ports))
    yield note(f"the API server calls webhooks on these ports of pods: {told}")
    for title, rule in rules:
        if rule is None:
            continue
        closed = sorted(set(ports) - set(rule.open))
        if not closed or (rule.when == "no-external-address" and external_addresses):
            continue
        listed = ",".join(f"tcp:{port}" for port in closed)
        reason = f"{rule.text}; webhooks of this release listen on {', '.join(map(str, closed))}"
        if rule.when == "unknown":
            yield note(f"on {title}, {reason}: {rule.remedy.format(ports=listed)}", ports=closed)
        else:
            why = "no node has an external address, so this looks like such a cluster"
            yield warning(f"{reason} ({why})", rule.remedy.format(ports=listed), ports=closed)


CHECKS = (
    Check(
        "network-api-server-proxy",
        "network",
        "no proxy is seen in the API server's environment",
        _proxy,
        objects=False,
    ),
    Check(
        "network-webhook-ports",
        "network",
        "nothing is known to keep the API server from webhook ports",
        _webhook_ports,
    ),
)

"""The way in and out: decisions by tables, then a sandbox in the state that each check is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from installer.catalog.platforms import load_platforms
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.objects import Object, Ref, dig, ref_of
from installer.plan.settings import Gateway, Settings
from installer.plan.settings_parse import parse
from installer.preflight.network import (
    Support,
    address_details,
    fixed_ports,
    host_port_details,
    node_port_details,
    supported,
)
from installer.preflight.network_control_plane import (
    node_port_range,
    proxy_details,
    spares,
    webhook_port_details,
    webhook_ports,
)
from installer.sandbox import lifecycle, script
from installer.sandbox.lifecycle import SandboxInfo
from installer.sandbox.script import Script
from installer.sandbox.shape import nodes_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLATFORMS = {platform.name: platform for platform in load_platforms().platforms}


def service(
    name: str,
    type: str = "LoadBalancer",
    *,
    address: str = "",
    age: float = 0,
    ports: tuple[tuple[int, int], ...] = ((80, 0),),
    namespace: str = "other",
) -> Object:
    listed = [
        {"name": f"p{port}", "port": port, **({"nodePort": node} if node else {})}
        for port, node in ports
    ]
    created = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": {"type": type, "ports": listed},
        "status": {"loadBalancer": {"ingress": [{"ip": address}]} if address else {}},
    }


GATEWAY = service("istio-ingressgateway", namespace="istio-system")
WAITING = service("istio-ingressgateway", namespace="istio-system", age=600)


@pytest.mark.parametrize(
    ("services", "support", "verdicts"),
    [
        ([], None, ["warning"]),
        ([], Support("EKS", "seen"), ["note"]),
        ([], Support("MetalLB", "seen", "there is no IPAddressPool"), ["warning"]),
        # one that is new may still get its address
        ([service("a", age=60)], Support("EKS", "seen"), ["note"]),
        ([service("a", age=600)], Support("EKS", "seen"), ["warning", "note"]),
        ([service("a", age=600)], None, ["warning", "warning"]),
        # the release's own that waits is told once, with the reason where one is known
        ([WAITING], None, ["warning"]),
        ([WAITING], Support("MetalLB", "seen", "there is no IPAddressPool"), ["warning"]),
        ([WAITING], Support("EKS", "seen"), ["warning"]),
        ([service("a", "ClusterIP", age=600)], Support("EKS", "seen"), ["note"]),
        ([service("a", address="192.0.2.1", age=600)], Support("EKS", "seen"), ["note"]),
    ],
)
def test_who_gives_addresses_and_who_waits_decides(
    services: list[Object], support: Support | None, verdicts: list[str]
) -> None:
    found = list(address_details([GATEWAY], services, support, NOW))
    assert [d.verdict for d in found] == verdicts


@pytest.mark.parametrize("support", [None, Support("EKS", "seen"), Support("MetalLB", "", "lacks")])
def test_that_ours_waits_is_said_with_or_without_a_reason(support: Support | None) -> None:
    [found] = address_details([GATEWAY], [WAITING], support, NOW)
    assert "Service istio-system/istio-ingressgateway is of type" in found.reason
    assert "has waited 10 min" in found.reason


def test_an_address_that_another_service_has_is_evidence() -> None:
    assert supported([service("a"), service("b", "ClusterIP", address="192.0.2.1")]) is None
    found = supported([service("a", address="192.0.2.1")])
    assert found is not None
    assert found.evidence == "Service other/a has 192.0.2.1"


@pytest.mark.parametrize(
    ("ports", "taken", "stated", "verdicts"),
    [
        ([(80, 31380)], [], None, ["note"]),
        ([(80, 31380)], [31381], None, ["note"]),
        ([(80, 31380)], [31380], None, ["failed", "note"]),
        ([(80, 31380), (81, 31380)], [], None, ["failed", "note"]),
        ([(80, 20000)], [], None, ["failed", "note"]),
        ([(80, 20000)], [], (20000, 22767), ["note"]),
        ([(80, 31380)], [], (20000, 22767), ["failed", "note"]),
        # somebody's port is beyond the default: the range is another than that
        ([(80, 20000)], [20001], None, ["note"]),
        ([(80, 0)], [31380], None, []),
    ],
)
def test_a_node_port_is_free_and_in_range(
    ports: list[tuple[int, int]],
    taken: list[int],
    stated: tuple[int, int] | None,
    verdicts: list[str],
) -> None:
    wanted = service("a", ports=tuple(ports))
    others = [service(f"b{port}", "NodePort", ports=((80, port),)) for port in taken]
    own = service("a", ports=((80, 31380),))
    found = list(node_port_details([wanted], [*others, own], stated))
    assert [d.verdict for d in found] == verdicts


def test_node_ports_of_a_service_that_has_none_do_not_count() -> None:
    assert list(fixed_ports(service("a", "ClusterIP", ports=((80, 31380),)))) == []


def test_the_port_offered_for_the_gateway_is_a_free_one() -> None:
    wanted = service("istio-ingressgateway", namespace="istio-system", ports=((80, 30000),))
    other = service("b", "NodePort", ports=((80, 30000), (81, 30001)))
    found = next(iter(node_port_details([wanted], [other], None)))
    assert "nodePorts: {p80: 30002}" in found.remedy


@pytest.mark.parametrize(
    ("services", "clash"),
    [
        ([service("traefik", ports=((80, 0), (443, 0)))], [80]),
        ([service("traefik", "ClusterIP", ports=((80, 0),))], []),
        ([service("traefik", ports=((8080, 0),))], []),
        ([GATEWAY], []),
    ],
)
def test_ports_of_the_nodes_are_given_once(services: list[Object], clash: list[int]) -> None:
    found = list(host_port_details([GATEWAY], services, PLATFORMS["k3s"]))
    assert [port for detail in found for port in detail.data["ports"]] == clash
    for detail in found:
        assert "--disable=traefik" in detail.remedy
        assert "gateway: {type: NodePort}" in detail.remedy


@pytest.mark.parametrize(
    ("no_proxy", "spared"),
    [
        (".svc", True),
        ("svc", True),
        ("*", True),
        ("10.0.0.0/8, .SVC", True),
        ("*.svc", True),
        (".svc:443", True),
        (".svc.cluster.local", False),
        ("10.0.0.0/8", False),
        ("xsvc", False),
        ("", False),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(no_proxy: str, spared: bool) -> None:
    assert spares(no_proxy, "webhook.example.svc") is spared


def api_server(*command: str, **environment: str) -> Object:
    container = {
        "name": "kube-apiserver",
        "image": "kube-apiserver",
        "command": ["kube-apiserver", *command],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "kube-apiserver-a",
            "namespace": "kube-system",
            "labels": {"component": "kube-apiserver"},
        },
        "spec": {"containers": [container]},
    }


SECRET = "http://user:hidden@proxy.example:3128"


@pytest.mark.parametrize(
    ("pods", "no_proxy"),
    [
        ([api_server()], None),
        ([api_server(HTTPS_PROXY=SECRET, NO_PROXY=".svc")], None),
        ([api_server(HTTPS_PROXY="", NO_PROXY="")], None),
        (
            [
                api_server(
                    "--service-cluster-ip-range=10.96.0.0/12",
                    https_proxy=SECRET,
                    no_proxy="10.0.0.0/8,.svc.cluster.local",
                )
            ],
            "10.0.0.0/8,.svc.cluster.local,.svc,10.96.0.0/12",
        ),
    ],
)
def test_a_proxy_between_api_server_and_webhooks_is_told_with_what_to_spare(
    pods: list[Object], no_proxy: str | None
) -> None:
    found = list(proxy_details(pods))
    assert [d.data["no_proxy"] for d in found] == ([no_proxy] if no_proxy else [])
    assert "hidden" not in str(found)


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], (30000, 32767)),
        (["--service-node-port-range=20000-22767"], (20000, 22767)),
        (["--service-node-port-range=20000+10"], (20000, 20010)),
    ],
)
def test_the_range_of_node_ports_is_read_from_the_flags(
    flags: list[str], found: tuple[int, int]
) -> None:
    assert node_port_range([api_server(*flags)]) == found
    assert node_port_range([]) is None


def hook(name: str, port: int | None = None) -> Object:
    client: Object = {"service": {"namespace": "other", "name": name}}
    if port:
        client["service"]["port"] = port
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{"clientConfig": client}],
    }


def behind(name: str, port: int, target: int | str) -> Object:
    body = service(name, "ClusterIP")
    body["spec"] |= {"ports": [{"port": port, "targetPort": target}], "selector": {"app": name}}
    return body


def test_webhook_ports_are_those_of_the_pods() -> None:
    pods = {
        "kind": "Deployment",
        "metadata": {"namespace": "other", "name": "named"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "named"}},
                "spec": {"containers": [{"ports": [{"name": "https", "containerPort": 6443}]}]},
            }
        },
    }
    crd = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "a"},
        "spec": {
            "conversion": {
                "webhook": {"clientConfig": hook("plain")["webhooks"][0]["clientConfig"]}
            }
        },
    }
    bodies = [
        hook("plain"),
        hook("named", 8443),
        hook("missing"),
        behind("plain", 443, 9443),
        behind("named", 8443, "https"),
        pods,
        crd,
    ]
    assert webhook_ports(bodies) == {9443: ["other/plain"], 6443: ["other/named"]}


@pytest.mark.parametrize(
    ("platform", "external", "verdicts"),
    [
        ("gke", False, ["note", "warning"]),
        ("gke", True, ["note"]),
        ("eks", False, ["note", "note"]),
        ("kind", False, ["note"]),
    ],
)
def test_a_control_plane_that_may_not_reach_the_ports_is_told(
    platform: str, external: bool, verdicts: list[str]
) -> None:
    rules = [(platform, PLATFORMS[platform].webhook_ports)]
    found = list(webhook_port_details({9443: ["a/b"], 10250: ["c/d"]}, rules, external))
    assert [d.verdict for d in found] == verdicts
    if "warning" in verdicts:
        assert "tcp:443,tcp:10250,tcp:9443 " in found[1].remedy
    assert [d.verdict for d in webhook_port_details({443: ["a/b"]}, rules, False)] == ["note"]


# On a real API server


@pytest.fixture(scope="module")
def place(sandbox_factory: Any) -> Iterator[SandboxInfo]:
    """A node that says nothing of where it runs."""
    info = sandbox_factory("1.20.2", fresh=True, shape=nodes_of({"nodes": [{"name": "only"}]}))
    yield info
    lifecycle.down(info.name)


@pytest.fixture
def cluster(place: SandboxInfo) -> Iterator[Cluster]:
    found = Cluster.connect(kubeconfig=str(place.kubeconfig))
    yield found
    found.close()


@contextmanager
def there(cluster: Cluster, *bodies: Object) -> Iterator[None]:
    """Objects for the length of a block."""
    with ExitStack() as stack:
        for body in bodies:
            cluster.create(body)
            stack.callback(cluster.delete, ref_of(body))
        yield


@contextmanager
def labelled(cluster: Cluster, label: str, value: str) -> Iterator[None]:
    node = Ref("v1", "Node", "", "only")
    cluster.patch(node, {"metadata": {"labels": {label: value}}})
    try:
        yield
    finally:
        cluster.patch(node, {"metadata": {"labels": {label: None}}})


def offered(remedy: str) -> Settings:
    text = "gateway:" + remedy.partition("gateway:")[2]
    return parse([("settings.yaml", f"apiVersion: kserve-installer/v1\nkind: Settings\n{text}")])


def network(look: Callable[..., Any], place: SandboxInfo, **options: Any) -> Any:
    return look(place, only=("network",), **options)


@pytest.mark.cluster
def test_without_a_load_balancer_node_ports_are_offered_and_pass(
    look: Callable[..., Any], place: SandboxInfo
) -> None:
    found = network(look, place)
    assert found["network-load-balancer"].verdict == "warning"
    others = {f.verdict for id, f in found.items() if id != "network-load-balancer"}
    assert others == {"note"}
    settings = offered(found["network-load-balancer"].details[0].remedy)
    assert settings.gateway == Gateway(type="NodePort")
    again = network(look, place, settings=settings)["network-load-balancer"]
    assert again.verdict == "note"


@pytest.mark.cluster
def test_an_address_that_somebody_got_is_enough(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    other = service("other", namespace="default")
    script.write(place.script, Script(load_balancer=True))
    try:
        with there(cluster, other):
            cancel = Cancel(30.0)
            while not dig(cluster.get(ref_of(other)), "status", "loadBalancer", "ingress"):
                cancel.sleep(0.05, "looking")
            found = network(look, place)["network-load-balancer"]
    finally:
        script.write(place.script, Script())
    assert found.verdict == "note"
    assert "Service default/other has" in found.details[0].reason


POOLS: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "ipaddresspools.metallb.io"},
    "spec": {
        "group": "metallb.io",
        "scope": "Namespaced",
        "names": {"kind": "IPAddressPool", "plural": "ipaddresspools"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


@pytest.mark.cluster
def test_metallb_needs_a_pool_of_addresses(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    pool = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "a", "namespace": "default"},
    }
    with there(cluster, POOLS):
        cancel = Cancel(30.0)
        while not cluster.refresh_discovery().find("metallb.io/v1beta1", "IPAddressPool"):
            cancel.sleep(0.05, "looking")
        empty = network(look, place)["network-load-balancer"]
        with there(cluster, pool):
            full = network(look, place)["network-load-balancer"]
    assert (empty.verdict, full.verdict) == ("warning", "note")
    assert "there is no IPAddressPool" in empty.details[0].reason


@pytest.mark.cluster
def test_a_node_port_of_somebody_else_fails_and_the_offered_one_passes(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    wanted = Settings(gateway=Gateway(type="NodePort", node_ports={"http2": 31380}))
    assert network(look, place, settings=wanted)["network-node-ports"].verdict == "note"
    with there(cluster, service("holder", "NodePort", namespace="default", ports=((80, 31380),))):
        found = network(look, place, settings=wanted)["network-node-ports"]
        assert found.verdict == "failed"
        assert "belongs to Service default/holder" in found.details[0].reason
        free = offered(found.details[0].remedy).gateway
        assert free is not None
        settings = Settings(gateway=replace(free, type="NodePort"))
        assert network(look, place, settings=settings)["network-node-ports"].verdict == "note"


@pytest.mark.cluster
def test_k3s_and_traefik_leave_no_port_for_the_gateway(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    traefik = service("traefik", namespace="kube-system", ports=((80, 0), (443, 0)))
    with labelled(cluster, "node.kubernetes.io/instance-type", "k3s"):
        assert network(look, place)["network-host-ports"].verdict == "ok"
        with there(cluster, traefik):
            found = network(look, place)["network-host-ports"]
    assert found.verdict == "warning"
    assert (
        "port 80 and 443 of the nodes, which Service kube-system/traefik" in found.details[0].reason
    )


@pytest.mark.cluster
def test_a_proxy_in_the_api_servers_environment_is_told(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    with there(cluster, api_server(HTTPS_PROXY=SECRET, NO_PROXY="10.0.0.0/8")):
        found = network(look, place)["network-api-server-proxy"]
    assert found.verdict == "warning"
    assert found.details[0].remedy.endswith("NO_PROXY=10.0.0.0/8,.svc,.svc.cluster.local")


@pytest.mark.cluster
def test_a_private_gke_cluster_is_told_which_ports_to_open(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    with labelled(cluster, "cloud.google.com/gke-nodepool", "default-pool"):
        found = network(look, place)
    assert found["network-webhook-ports"].verdict == "warning"
    (told,) = (d for d in found["network-webhook-ports"].details if d.verdict == "warning")
    assert told.data["ports"] == [8443, 9443, 15017]
    assert found["network-load-balancer"].verdict == "note"

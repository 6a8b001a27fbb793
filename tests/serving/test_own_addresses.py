"""Which addresses are a gateway's own."""

from __future__ import annotations

from installer.serving.own_addresses import addresses_of


def test_balancers_nodes_and_the_service_itself_are_told_apart_by_their_ports() -> None:
    service = {
        "spec": {
            "clusterIP": "10.0.0.9",
            "externalIPs": ["192.0.2.7"],
            "ports": [{"port": 80, "nodePort": 31380}, {"port": 443}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example"}]}},
    }
    node = {"status": {"addresses": [{"address": "198.51.100.1"}, {"address": "node-1"}]}}
    assert addresses_of(service, [node]) == {
        *((host, port) for host in ("10.0.0.9", "192.0.2.7", "192.0.2.1") for port in (80, 443)),
        ("lb.example", 80),
        ("lb.example", 443),
        ("198.51.100.1", 31380),
        ("node-1", 31380),
    }


def test_a_service_without_addresses_has_none() -> None:
    assert addresses_of({"spec": {"ports": [{"port": 80}]}, "status": {}}, []) == set()

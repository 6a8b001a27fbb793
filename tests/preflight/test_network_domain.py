"""Names that work outside the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from installer.cluster.client import Cluster
from installer.core.objects import Object, Ref
from installer.plan.settings_parse import parse
from installer.preflight.network_domain import domain_detail
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo

CHECK = "network-domain"


def config_domain(**data: str) -> Object:
    metadata = {"name": "config-domain", "namespace": "knative-serving"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.mark.parametrize(
    ("version", "maps", "verdict", "said"),
    [
        ("0.18.0", [], "note", "end in example.com, the default of Knative 0.18.0"),
        ("1.7.4", [config_domain(_example="x")], "note", "end in example.com"),
        ("1.8.0", [config_domain(_example="x")], "warning", "is given no domain"),
        ("1.21.1", [], "warning", "is given no domain"),
        ("1.21.1", [config_domain(**{"a.example.org": ""})], "note", "end in a.example.org"),
        ("1.21.1", [config_domain(b="selector: {app: x}")], "warning", "is given no domain"),
        ("1.21.1", [{"kind": "ConfigMap"}, config_domain(b="")], "note", "end in b"),
    ],
)
def test_addresses_work_outside_where_a_domain_is_named_or_knative_has_one(
    version: str, maps: list[Object], verdict: str, said: str
) -> None:
    found = domain_detail(f"Knative {version}", version, maps)
    assert found.verdict == verdict
    assert said in found.reason


@pytest.mark.cluster
def test_a_release_whose_knative_has_no_domain_is_told_until_the_settings_or_the_cluster_name_one(
    sandbox_factory: Callable[..., SandboxInfo], look: Callable[..., Any]
) -> None:
    sandbox = sandbox_factory("1.20.2", fresh=True)
    release = "kserve-0.11.2"  # Knative 1.10

    def verdict(**options: Any) -> str:
        return str(look(sandbox, release=release, only=("network",), **options)[CHECK].verdict)

    [detail] = look(sandbox, release=release, only=("network",))[CHECK].details
    assert detail.verdict == "warning"
    offer = "domain:" + detail.remedy.partition("domain:")[2]
    settings = parse([("s", f"apiVersion: kserve-installer/v1\nkind: Settings\n{offer}")])
    assert verdict(settings=settings) == "note"
    assert look(sandbox, only=("network",))[CHECK].verdict == "note"  # Knative 0.18

    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    namespace = Ref("v1", "Namespace", "", "knative-serving")
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name}})
    cluster.create(config_domain(**{"models.example.org": ""}))
    assert verdict() == "note"
    cluster.close()
    lifecycle.down(sandbox.name)

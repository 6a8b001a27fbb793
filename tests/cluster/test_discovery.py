"""Which kinds a real API server serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_proxy import FaultProxy

from installer.cluster.client import Cluster
from installer.core.objects import Object, Ref, conditions
from installer.sandbox.options import SandboxInfo

pytestmark = pytest.mark.cluster

CRD = "apiextensions.k8s.io/v1"
GADGETS: Object = {
    "apiVersion": CRD,
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.discovery.example.org"},
    "spec": {
        "group": "discovery.example.org",
        "names": {"kind": "Gadget", "plural": "gadgets"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


@pytest.fixture
def proxy(sandbox: SandboxInfo, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(sandbox.kubeconfig, tmp_path) as started:
        yield started


@pytest.fixture
def cluster(proxy: FaultProxy) -> Iterator[Cluster]:
    connected = Cluster.connect(kubeconfig=str(proxy.kubeconfig), retry_for=0)
    yield connected
    connected.close()


def test_a_kind_is_found_with_its_path(cluster: Cluster) -> None:
    deployment = cluster.discovery().find("apps/v1", "Deployment")
    assert deployment is not None
    assert deployment.path("a", "b") == "/apis/apps/v1/namespaces/a/deployments/b"
    assert deployment.namespaced
    assert "watch" in deployment.verbs
    node = cluster.discovery().find("v1", "Node")
    assert node is not None
    assert node.path("", "n") == "/api/v1/nodes/n"
    assert not node.namespaced


def test_only_what_is_asked_for_is_read_and_only_once(proxy: FaultProxy, cluster: Cluster) -> None:
    for _ in range(3):
        cluster.discovery().find("apps/v1", "Deployment")
        cluster.discovery().find("apps/v1", "StatefulSet")
        cluster.discovery().find("nobody.example.org/v1", "Nothing")
    assert sorted(path for _, path in proxy.seen) == [
        "/apis/apps/v1",
        "/apis/nobody.example.org/v1",
    ]


def test_several_are_read_at_once(proxy: FaultProxy, cluster: Cluster) -> None:
    cluster.discovery().prefetch(["v1", "apps/v1", "batch/v1"])
    assert proxy.count("GET") == 3
    assert cluster.discovery().find("batch/v1", "Job") is not None
    assert proxy.count("GET") == 3


def test_a_subresource_is_no_kind_of_its_own(cluster: Cluster) -> None:
    assert cluster.discovery().find("v1", "Eviction") is None
    assert cluster.discovery().find("apps/v1", "Scale") is None


@pytest.mark.parametrize("sandbox", ["1.20.2", "1.34.4"], indirect=True)
def test_a_new_kind_is_found_after_a_refresh(cluster: Cluster) -> None:
    definition = Ref(CRD, "CustomResourceDefinition", "", GADGETS["metadata"]["name"])
    assert cluster.discovery().find("discovery.example.org/v1", "Gadget") is None
    version = cluster.list(CRD, "CustomResourceDefinition").resource_version
    cluster.apply(GADGETS)
    try:
        changes = cluster.watch(CRD, "CustomResourceDefinition", resource_version=version)
        assert any(
            conditions(obj).get("Established", {}).get("status") == "True" for _, obj in changes
        )
        assert cluster.discovery().find("discovery.example.org/v1", "Gadget") is None
        while cluster.refresh_discovery().find("discovery.example.org/v1", "Gadget") is None:
            pass  # the server lists a kind a moment after it is Established
        assert cluster.discovery().versions("discovery.example.org") == ("v1",)
        assert cluster.list("discovery.example.org/v1", "Gadget").items == []
    finally:
        cluster.delete(definition)


@pytest.mark.parametrize("sandbox", ["1.20.2", "1.34.4"], indirect=True)
def test_every_namespaced_kind_is_listed_in_few_or_many_requests(
    proxy: FaultProxy, cluster: Cluster, sandbox: SandboxInfo
) -> None:
    kinds = {(r.api_version, r.kind) for r in cluster.discovery().namespaced()}
    assert {("v1", "Secret"), ("apps/v1", "Deployment"), ("batch/v1", "Job")} <= kinds
    assert ("v1", "Node") not in kinds
    aggregated = sandbox.kubernetes != "1.20.2"
    assert (proxy.count("GET") == 2) == aggregated


def test_an_aggregated_api_that_is_down_spoils_nothing(cluster: Cluster) -> None:
    broken: Object = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.broken.example.org"},
        "spec": {
            "group": "broken.example.org",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "nowhere", "namespace": "default"},
        },
    }
    cluster.create(broken)  # Kubernetes 1.20 panics when an APIService is applied
    try:
        kinds = {r.kind for r in cluster.discovery().namespaced()}
        assert "Secret" in kinds
        assert cluster.discovery().find("apps/v1", "Deployment") is not None
    finally:
        cluster.delete(Ref("apiregistration.k8s.io/v1", "APIService", "", "v1.broken.example.org"))

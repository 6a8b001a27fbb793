"""Storage, the cluster's domain, clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from installer.cluster.client import Cluster
from installer.core.objects import Object, Ref
from installer.plan.settings import Patch, PatchTarget, Settings
from installer.preflight.surroundings import (
    claims_of,
    clock_details,
    domain_of,
    domain_of_issuer,
    storage_details,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COREDNS = Ref("v1", "ConfigMap", "kube-system", "coredns")
MANAGER = PatchTarget("StatefulSet", "kfserving-controller-manager")
ASKS = {
    "op": "add",
    "path": "/spec/volumeClaimTemplates",
    "value": [
        {
            "metadata": {"name": "work"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "disks",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    ],
}
"""The controller asks for a volume of a StorageClass of its own."""


@pytest.mark.parametrize(
    ("corefile", "kubeadm", "domain"),
    [
        (
            ".:53 {\n  kubernetes cluster.local in-addr.arpa ip6.arpa {\n  }\n}",
            "",
            "cluster.local",
        ),
        (".:53 {\n    kubernetes corp.example. in-addr.arpa\n}", "", "corp.example"),
        (".:53 {\n  kubernetes in-addr.arpa\n}", "networking:\n  dnsDomain: k8s.lan\n", "k8s.lan"),
        ("", 'networking:\n  dnsDomain: "k8s.lan"\n', "k8s.lan"),
        ("", "", ""),
    ],
)
def test_the_domain_is_read_where_the_cluster_tells_it(
    corefile: str, kubeadm: str, domain: str
) -> None:
    assert domain_of(corefile, kubeadm) == domain


@pytest.mark.parametrize(
    ("issuer", "domain"),
    [
        ("https://kubernetes.default.svc.cluster.local", "cluster.local"),
        ("https://kubernetes.default.svc.corp.example/", "corp.example"),
        ("https://kubernetes.default.svc", ""),
        ("https://oidc.example.com/id/1", ""),
    ],
)
def test_an_issuer_tells_the_domain_only_as_a_name_in_the_cluster(issuer: str, domain: str) -> None:
    assert domain_of_issuer(issuer) == domain


def lease(name: str, renewed: datetime) -> Object:
    return {"metadata": {"name": name}, "spec": {"renewTime": renewed.isoformat()}}


@pytest.mark.parametrize(
    ("seconds", "ready", "said"),
    [
        (-10, True, ""),
        (300, True, "300 s ahead of"),
        (-300, True, "300 s behind"),
        (-300, False, ""),
    ],
)
def test_a_node_whose_heartbeat_is_from_another_time_is_named(
    seconds: float, ready: bool, said: str
) -> None:
    leases = [lease("a", NOW + timedelta(seconds=seconds))]
    found = list(clock_details(NOW, NOW, leases, {"a"} if ready else set()))
    assert [said in detail.reason for detail in found] == ([True] if said else [])


def test_this_machine_s_own_clock_is_compared_too() -> None:
    found = list(clock_details(NOW, NOW + timedelta(hours=1), [], set()))
    assert "3600 s ahead of" in found[0].reason
    assert [d.verdict for d in clock_details(None, NOW, [], set())] == ["unknown"]


def claim(storage_class: str | None) -> Object:
    spec = {"storageClassName": storage_class} if storage_class else {}
    metadata = {"name": "a", "namespace": "b"}
    return {
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {"volumeClaimTemplates": [{"spec": spec}]},
    }


@pytest.mark.parametrize(
    ("wanted", "classes", "failures"),
    [
        (None, {"fast": "true"}, 0),
        (None, {"fast": "false"}, 1),
        (None, {}, 1),
        ("fast", {"fast": "false"}, 0),
        ("slow", {"fast": "true"}, 1),
    ],
)
def test_each_volume_needs_a_class_that_serves_it(
    wanted: str | None, classes: dict[str, str], failures: int
) -> None:
    key = "storageclass.kubernetes.io/is-default-class"
    there = [{"metadata": {"name": n, "annotations": {key: d}}} for n, d in classes.items()]
    assert len(list(storage_details(list(claims_of([claim(wanted)])), there))) == failures


@pytest.fixture
def cluster(sandbox: Any) -> Iterator[Cluster]:
    """The shared sandbox."""
    found = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    yield found
    found.close()


@pytest.mark.cluster
def test_a_plain_cluster_has_what_the_release_takes_for_granted(look: Any, sandbox: Any) -> None:
    found = look(sandbox, only=("storage", "dns", "time"))
    assert {finding.verdict for finding in found.values()} <= {"ok", "note"}, found


@pytest.mark.cluster
def test_a_volume_without_a_class_that_serves_it_fails_and_with_one_passes(
    look: Any, sandbox: Any, cluster: Cluster
) -> None:
    settings = Settings(patches=(Patch(MANAGER, (ASKS,)),))
    class_of_disks = Ref("storage.k8s.io/v1", "StorageClass", "", "disks")
    missing = look(sandbox, only=("storage",), settings=settings)["storage-class"]
    cluster.create(
        {
            "apiVersion": class_of_disks.api_version,
            "kind": "StorageClass",
            "metadata": {"name": "disks"},
            "provisioner": "example.com/disks",
        }
    )
    try:
        there = look(sandbox, only=("storage",), settings=settings)["storage-class"]
    finally:
        cluster.delete(class_of_disks)
    assert missing.verdict == "failed"
    assert "disks" in missing.details[0].reason
    assert there.verdict == "ok"


@pytest.mark.cluster
def test_another_domain_names_the_objects_that_take_the_usual_one_for_granted(
    look: Any, sandbox: Any, cluster: Cluster
) -> None:
    corefile = ".:53 {\n  kubernetes corp.example in-addr.arpa {\n  }\n}\n"
    metadata = {"name": COREDNS.name, "namespace": COREDNS.namespace}
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"Corefile": corefile},
        }
    )
    try:
        found = look(sandbox, only=("dns",))["dns-domain"]
    finally:
        cluster.delete(COREDNS)
    assert found.verdict == "warning"
    assert found.details[0].data["domain"] == "corp.example"
    assert "ConfigMap kfserving-system/inferenceservice-config" in found.details[0].data["objects"]


@pytest.mark.cluster
def test_a_node_that_lives_in_the_future_is_named(
    look: Any, sandbox: Any, cluster: Cluster
) -> None:
    node = Ref("v1", "Node", "", "late")
    heartbeat = Ref("coordination.k8s.io/v1", "Lease", "kube-node-lease", "late")
    renewed = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="microseconds")
    cluster.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "late"}})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    cluster.patch(node, {"status": {"conditions": [ready]}}, subresource="status")
    body = {"apiVersion": heartbeat.api_version, "kind": "Lease"}
    metadata = {"name": "late", "namespace": heartbeat.namespace}
    spec = {"holderIdentity": "late", "renewTime": renewed.replace("+00:00", "Z")}
    cluster.create({**body, "metadata": metadata, "spec": spec})
    try:
        found = look(sandbox, only=("time",))["time-skew"]
    finally:
        cluster.delete(heartbeat)
        cluster.delete(node)
    assert found.verdict == "warning"
    assert "Node late is 3" in found.details[0].reason

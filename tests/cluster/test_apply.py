"""Many objects applied at once to a real API server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy

from installer.cluster import definitions
from installer.cluster.apply import Applied, apply_all
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.errors import Interrupted
from installer.core.objects import Object, ObjectId, Ref, dig, ref_of
from installer.sandbox.options import SandboxInfo

pytestmark = pytest.mark.cluster

PLACE = "applied-together"


@dataclass(frozen=True)
class Item:
    body: Object
    create_only: bool = False

    @property
    def ref(self) -> Ref:
        return ref_of(self.body)


def config_map(name: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": PLACE},
        "data": data or {"a": "1"},
    }


def several(count: int, **data: str) -> list[Item]:
    return [Item(config_map(f"item-{number}", **data)) for number in range(count)]


@pytest.fixture
def cluster(sandbox: SandboxInfo) -> Iterator[Cluster]:
    """A cluster in whose namespace `applied-together` there is no ConfigMap of ours."""
    connected = Cluster.connect(kubeconfig=str(sandbox.kubeconfig), retry_for=30)
    connected.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    yield connected
    for kind, version in (("ConfigMap", "v1"), ("Job", "batch/v1"), ("Deployment", "apps/v1")):
        for item in connected.list(version, kind, PLACE).items:
            connected.delete(ref_of(item))
    connected.close()


@pytest.fixture
def proxy(sandbox: SandboxInfo, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(sandbox.kubeconfig, tmp_path) as started:
        yield started


def listed(cluster: Cluster) -> dict[ObjectId, Object]:
    found = cluster.list("v1", "ConfigMap", PLACE).items
    return {ref_of(item).identity: item for item in found}


def data_of(cluster: Cluster) -> dict[str, Any]:
    return {
        item["metadata"]["name"]: item["data"]
        for item in listed(cluster).values()
        if item["metadata"]["name"] != "kube-root-ca.crt"
    }


def actions(results: Sequence[Applied]) -> list[str]:
    return [result.action for result in results]


def test_each_result_says_whether_it_was_created_changed_or_unchanged(cluster: Cluster) -> None:
    assert actions(apply_all(cluster, several(5), live=listed(cluster))) == ["created"] * 5
    assert actions(apply_all(cluster, several(5), live=listed(cluster))) == ["unchanged"] * 5
    mixed = [*several(2), *several(3, a="2")[2:], Item(config_map("new"))]
    results = apply_all(cluster, mixed, live=listed(cluster))
    assert actions(results) == ["unchanged", "unchanged", "changed", "created"]
    assert [result.ref.name for result in results] == ["item-0", "item-1", "item-2", "new"]


def test_results_carry_the_object_as_stored(cluster: Cluster) -> None:
    told: list[Applied] = []
    results = apply_all(cluster, several(20), on_result=told.append)
    assert sorted(told, key=lambda r: r.ref) == sorted(results, key=lambda r: r.ref)
    assert all(dig(result.object, "metadata", "managedFields") for result in results)


def test_an_apply_whose_answer_was_lost_still_created(proxy: FaultProxy, cluster: Cluster) -> None:
    rule = proxy.on("PATCH", lose=True)
    through = Cluster.connect(kubeconfig=str(proxy.kubeconfig))
    results = apply_all(through, several(1), live={})
    assert rule.hits == 1
    assert actions(results) == ["created"]
    assert data_of(cluster) == {"item-0": {"a": "1"}}


def test_the_first_permanent_failure_ends_the_stage(cluster: Cluster) -> None:
    bad = Item(config_map("Not_A_Name"))
    with pytest.raises(ApiError) as caught:
        apply_all(cluster, [*several(3), bad, *several(40)[3:]], workers=2)
    assert caught.value.kind == "invalid"
    assert caught.value.object == f"ConfigMap {PLACE}/Not_A_Name"
    stored = data_of(cluster)
    assert {"item-0", "item-1", "item-2"} <= set(stored)
    assert "item-39" not in stored


def test_fields_of_other_managers_are_gathered_and_left_alone(cluster: Cluster) -> None:
    for name in ("item-1", "item-3"):
        cluster.apply(config_map(name, a="theirs"), manager="somebody-else")
    with pytest.raises(ApiError) as caught:
        apply_all(cluster, several(5))
    error = caught.value
    assert error.kind == "field-conflict"
    assert f"ConfigMap {PLACE}/item-1: somebody-else owns .data.a" in error.message
    assert f"ConfigMap {PLACE}/item-3: somebody-else owns .data.a" in error.message
    assert "--take-ownership" in error.remedy
    stored = {name: data["a"] for name, data in data_of(cluster).items()}
    theirs = {"item-1": "theirs", "item-3": "theirs"}
    assert stored == {"item-0": "1", "item-2": "1", "item-4": "1", **theirs}


def test_ownership_is_taken_when_told_to(cluster: Cluster) -> None:
    cluster.apply(config_map("item-0", a="theirs"), manager="somebody-else")
    apply_all(cluster, several(1), forced=[item.ref for item in several(1)])
    assert data_of(cluster) == {"item-0": {"a": "1"}}


@pytest.mark.parametrize("manager", ["kubectl-client-side-apply", "before-first-apply"])
def test_what_an_earlier_kubectl_set_is_taken_over(cluster: Cluster, manager: str) -> None:
    cluster.request(
        "POST",
        f"/api/v1/namespaces/{PLACE}/configmaps",
        query={"fieldManager": manager},
        body=config_map("item-0", a="0"),
    )
    assert actions(apply_all(cluster, several(1))) == ["changed"]
    assert data_of(cluster) == {"item-0": {"a": "1"}}


def test_an_edit_by_hand_is_not_taken_over(cluster: Cluster) -> None:
    apply_all(cluster, several(1))
    edited = Ref("v1", "ConfigMap", PLACE, "item-0")
    cluster.patch(edited, {"data": {"a": "by hand"}}, manager="kubectl-edit")
    with pytest.raises(ApiError) as caught:
        apply_all(cluster, several(1))
    assert "kubectl-edit owns .data.a" in caught.value.message


def test_what_kubectl_applied_and_we_do_not_want_is_removed(cluster: Cluster) -> None:
    before = config_map("item-0", a="1", obsolete="1")
    before["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    cluster.request(
        "POST",
        f"/api/v1/namespaces/{PLACE}/configmaps",
        query={"fieldManager": "kubectl-client-side-apply"},
        body=before,
    )
    assert actions(apply_all(cluster, several(1), live=listed(cluster))) == ["changed"]
    assert data_of(cluster) == {"item-0": {"a": "1"}}


def test_what_changed_since_it_was_read_is_read_again_before_its_fields_are_taken_over(
    cluster: Cluster,
) -> None:
    ref = Ref("v1", "ConfigMap", PLACE, "kept")
    noted = {"annotations": {"meta.helm.sh/release-name": "x"}, "labels": {"of": "a-chart"}}
    cluster.request(
        "POST",
        f"/api/v1/namespaces/{PLACE}/configmaps",
        query={"fieldManager": "helm"},
        body={**config_map("kept", a="1", values="1"), "metadata": {"name": "kept", **noted}},
    )
    old = cluster.get(ref)
    assert old is not None
    cluster.patch(ref, {"data": {"theirs": "1"}}, manager="somebody")
    began = cluster.writes
    (done,) = apply_all(
        cluster,
        [Item(config_map("kept"))],
        live={ref.identity: old},
        forced=[ref],
        former={ref: ("helm",)},
    )
    assert done.action == "changed"
    assert done.object["data"] == {"a": "1", "values": "1", "theirs": "1"}, "users have said so"
    assert not {"annotations", "labels"} & done.object["metadata"].keys()
    assert cluster.writes - began == 3, "what was read too early, what was read again, the apply"


def test_what_runs_once_is_created_and_never_changed(cluster: Cluster) -> None:
    once = [Item(config_map("once", a="1"), create_only=True)]
    assert actions(apply_all(cluster, once, live=listed(cluster))) == ["created"]
    changed = [Item(config_map("once", a="2"), create_only=True)]
    assert actions(apply_all(cluster, changed, live=listed(cluster))) == ["unchanged"]
    assert actions(apply_all(cluster, changed)) == ["unchanged"]
    assert data_of(cluster) == {"once": {"a": "1"}}


def test_an_immutable_field_is_recognised(cluster: Cluster) -> None:
    def deployment(label: str) -> Item:
        labels = {"app": label}
        container = {"name": "main", "image": "example.org/main:1"}
        return Item(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "fixed", "namespace": PLACE},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [container]},
                    },
                },
            }
        )

    apply_all(cluster, [deployment("a")])
    with pytest.raises(ApiError) as caught:
        apply_all(cluster, [deployment("b")])
    assert caught.value.kind == "immutable"
    assert "created again" in caught.value.remedy


@pytest.mark.parametrize("sandbox", ["1.20.2"], indirect=True)
def test_a_port_without_protocol_is_explained_on_an_old_server(cluster: Cluster) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "old", "namespace": PLACE},
        "spec": {"ports": [{"port": 80}]},
    }
    with pytest.raises(ApiError) as caught:
        apply_all(cluster, [Item(service)])
    assert caught.value.kind == "invalid"
    assert "write the field into that element" in caught.value.remedy


def test_a_kind_that_this_run_installs_is_waited_for(cluster: Cluster) -> None:
    definition: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "parts.apply.example.org"},
        "spec": {
            "group": "apply.example.org",
            "names": {"kind": "Part", "plural": "parts"},
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
    part = {
        "apiVersion": "apply.example.org/v1",
        "kind": "Part",
        "metadata": {"name": "p", "namespace": PLACE},
    }
    with pytest.raises(ApiError) as caught:
        apply_all(cluster, [Item(part)])
    assert caught.value.kind == "no-match"
    try:
        together = [Item(part), Item(definition)]
        expected = [("apply.example.org", "Part")]
        assert actions(apply_all(cluster, together, expected=expected)) == ["created"] * 2
    finally:
        cluster.delete(ref_of(definition))


def test_a_cancelled_run_sends_nothing_more(proxy: FaultProxy, cluster: Cluster) -> None:
    cancel = Cancel()
    rule = proxy.on("PATCH", r"item-1\b", hang=True, times=None)
    through = Cluster.connect(kubeconfig=str(proxy.kubeconfig), cancel=cancel)
    stopper = threading.Thread(target=lambda: (rule.met.wait(), cancel.stop()))
    stopper.start()
    with pytest.raises(Interrupted):
        apply_all(through, several(30), workers=1)
    stopper.join()
    assert data_of(cluster) == {"item-0": {"a": "1"}}


def large_crd(plural: str) -> Object:
    """A CRD of 350 kB, as large as those of KServe 0.16."""
    fields = {f"field{n}": {"type": "string", "description": "d" * 280} for n in range(1000)}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.large.example.com"},
        "spec": {
            "group": "large.example.com",
            "names": {"kind": plural.title(), "plural": plural},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def test_large_crds_are_with_the_server_one_at_a_time(
    cluster: Cluster, sandbox: SandboxInfo
) -> None:
    """A server of two processors took none of three at once in the time that it gives a write."""
    crds = [Item(large_crd(plural)) for plural in ("apples", "pears", "plums")]
    assert all(len(json.dumps(item.body)) > 300_000 for item in crds)
    apply_all(cluster, crds)
    assert sandbox.audit_log is not None
    spans = []
    for line in sandbox.audit_log.read_text().splitlines():
        entry = json.loads(line)
        if entry["verb"] == "patch" and ".large.example.com" in entry["requestURI"]:
            spans.append((entry["requestReceivedTimestamp"], entry["stageTimestamp"]))
    for item in crds:
        cluster.delete(item.ref)
    spans.sort()
    assert len(spans) == 3
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans)), spans


def test_a_crd_that_the_server_is_too_busy_to_let_be_touched_is_waited_for(
    proxy: FaultProxy, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy server took half a minute for each of its own updates of a CRD, and no touch."""
    monkeypatch.setattr(definitions, "PATIENCE", 2.0)
    crd = large_crd("cherries")
    cluster.create(crd)
    definitions.wait_established(cluster, [ref_of(crd)], deadline=60, cancel=Cancel())
    stored = cluster.get(ref_of(crd))
    assert stored is not None
    for condition in stored["status"]["conditions"]:
        if condition["type"] == "Established":
            condition["status"] = "False"
    path = "/customresourcedefinitions/cherries"
    proxy.on("GET", path, times=None, status=200, body=stored)
    touch = proxy.on("PATCH", path, times=None, status=504)
    through = Cluster.connect(kubeconfig=str(proxy.kubeconfig), retry_for=30)
    left = definitions.touch_hanging(through, [ref_of(crd)], Cancel())
    assert left == {ref_of(crd)}, "to be tried again"
    assert touch.hits
    proxy.clear()
    proxy.on("GET", path, times=None, status=200, body=stored)
    monkeypatch.setattr(definitions, "PATIENCE", 60.0)
    assert definitions.touch_hanging(through, [ref_of(crd)], Cancel()) == set()
    after = cluster.get(ref_of(crd))
    assert after is not None
    assert "annotations" not in after["metadata"]
    assert after["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]
    cluster.delete(ref_of(crd))

"""Sandboxes whose nodes are described one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from upstream_stack import eventually

from installer.core.errors import InvalidInput, UsageError
from installer.core.objects import Object, conditions, dig
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo, SandboxOptions
from installer.sandbox.shape import nodes_of, read_shape
from installer.sandbox.simulators.api import MERGE, Api, path_of

SHAPE = """
nodes:
- name: control
  taints: [{key: node-role.kubernetes.io/master, effect: NoSchedule}]
- name: small
  architecture: arm64
  labels: {disk: ssd}
  allocatable: {cpu: "2", memory: 4Gi, pods: "20"}
  provider_id: kind://docker/kind/small
  kubelet_version: v1.20.2+k3s1
  images: [example.com/model:1]
- {name: lost, ready: false}
- {name: idle, unschedulable: true, external_ip: 203.0.113.7}
"""


def test_a_shape_is_refused_with_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "shape.yaml"
    file.write_text(
        "nodes:\n"
        "- {name: a, taints: [{key: k, effect: Never}]}\n"
        "- {name: a, allocatable: {cpu: much}}\n"
    )
    with pytest.raises(InvalidInput) as caught:
        read_shape(file)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == [
        "nodes[0].name",
        "nodes[0].taints",
        "nodes[1].name",
        "nodes[1].allocatable.cpu",
    ]


@pytest.mark.parametrize("data", [{}, {"nodes": []}, {"nodes": [{"nome": "a"}]}, [], None])
def test_what_is_no_shape_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInput):
        nodes_of(data)


def test_a_shape_survives_the_record_of_its_sandbox(tmp_path: Path) -> None:
    file = tmp_path / "shape.yaml"
    file.write_text(SHAPE)
    nodes = read_shape(file)
    assert nodes_of({"nodes": [node.to_dict() for node in nodes]}) == nodes


@pytest.fixture(scope="module")
def shaped(sandbox_factory: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxInfo]:
    file = tmp_path_factory.mktemp("shape") / "shape.yaml"
    file.write_text(SHAPE)
    info = sandbox_factory("1.20.2", fresh=True, shape=read_shape(file))
    yield info
    lifecycle.down(info.name)


@pytest.fixture
def api(shaped: SandboxInfo) -> Api:
    return Api.from_kubeconfig(shaped.kubeconfig)


def node(api: Api, name: str) -> Object:
    path = path_of("v1", "nodes", name=name)
    found: Object = eventually(
        lambda: n if (n := api.get(path)) and dig(n, "status", "conditions") else None, name
    )
    return found


@pytest.mark.cluster
def test_nodes_are_as_their_shape_says(shaped: SandboxInfo, api: Api) -> None:
    assert shaped.nodes == 4
    small = node(api, "small")
    assert small["metadata"]["labels"]["kubernetes.io/arch"] == "arm64"
    assert small["metadata"]["labels"]["disk"] == "ssd"
    assert small["spec"]["providerID"] == "kind://docker/kind/small"
    assert small["status"]["allocatable"]["cpu"] == "2"
    assert small["status"]["nodeInfo"]["kubeletVersion"] == "v1.20.2+k3s1"
    assert small["status"]["images"][0]["names"] == ["example.com/model:1"]
    assert conditions(node(api, "lost"))["Ready"]["status"] == "False"
    assert node(api, "idle")["spec"]["unschedulable"] is True
    addresses = {a["type"]: a["address"] for a in node(api, "idle")["status"]["addresses"]}
    assert addresses["ExternalIP"] == "203.0.113.7"


def pod(name: str, **spec: Any) -> Object:
    container = {"name": "a", "image": "example.com/a:1", **spec.pop("container", {})}
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def scheduled(api: Api, name: str) -> Object | None:
    found = api.get(path_of("v1", "pods", "default", name))
    return conditions(found or {}).get("PodScheduled")


@pytest.mark.cluster
def test_a_pod_that_fits_nowhere_stays_pending_and_says_why(api: Api) -> None:
    asks = {"resources": {"requests": {"cpu": "3"}}}
    path = path_of("v1", "pods", "default")
    api.create(path, pod("greedy", container=asks), "test")
    condition = eventually(lambda: scheduled(api, "greedy"), "greedy is looked at")
    assert condition["reason"] == "Unschedulable"
    assert condition["message"] == (
        "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) had taint "
        "{node-role.kubernetes.io/master: }, that the pod didn't tolerate, 1 node(s) had taint "
        "{node.kubernetes.io/not-ready: }, that the pod didn't tolerate, "
        "1 node(s) were unschedulable."
    )
    api.patch(path_of("v1", "nodes", name="idle"), {"spec": {"unschedulable": None}}, "test", MERGE)
    eventually(
        lambda: (scheduled(api, "greedy") or {}).get("status") == "True", "greedy finds the node"
    )
    found = api.get(path_of("v1", "pods", "default", "greedy"))
    assert dig(found, "spec", "nodeName") == "idle"


@pytest.mark.cluster
def test_pods_go_where_tolerations_and_selectors_lead(api: Api) -> None:
    path = path_of("v1", "pods", "default")
    tolerant = [{"key": "node-role.kubernetes.io/master", "operator": "Exists"}]
    selector = {"kubernetes.io/hostname": "control"}
    api.create(path, pod("tolerant", tolerations=tolerant, nodeSelector=selector), "test")
    api.create(path, pod("on-ssd", nodeSelector={"disk": "ssd"}), "test")
    assert place(api, "tolerant") == "control"
    assert place(api, "on-ssd") == "small"


def place(api: Api, name: str) -> str:
    """The node of a pod, once it has one."""
    path = path_of("v1", "pods", "default", name)
    found: str = eventually(lambda: dig(api.get(path), "spec", "nodeName"), f"{name} has a node")
    return found


@pytest.mark.cluster
def test_a_running_sandbox_keeps_its_nodes(shaped: SandboxInfo, control_plane_folder: Any) -> None:
    other = SandboxOptions(
        name=shaped.name, control_plane=control_plane_folder, shape=nodes_of({"nodes": [{}]})
    )
    with pytest.raises(UsageError, match="with other nodes"):
        lifecycle.up(other)

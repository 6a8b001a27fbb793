"""Room for the release's pods: decisions by tables, then nodes of a sandbox made too small."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from installer.cluster.client import Cluster
from installer.core.checks import Detail
from installer.core.objects import Object, Ref, ref_of
from installer.plan.scheduling import Demand, Room, demand_of
from installer.plan.settings_parse import parse
from installer.plan.wanted import Wanted
from installer.preflight.capacity import node_details, resource_details, slot_details
from installer.preflight.capacity_architecture import architecture_details
from installer.preflight.capacity_needs import needs_of, predictor
from installer.preflight.capacity_packing import Need, fitting_settings, pack, resources_only
from installer.preflight.world import Part
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo
from installer.sandbox.shape import nodes_of

GI = 2**30


def spec_of(cpu: str, memory: str = "0", **more: Any) -> dict[str, Any]:
    requests = {"cpu": cpu, "memory": memory}
    container = {"name": "a", "image": "a", "resources": {"requests": requests}}
    return {"containers": [container], **more}


def need(name: str, cpu: str, count: int = 1, memory: str = "0", **more: Any) -> Need:
    spec = spec_of(cpu, memory, **more)
    key = f"ns/{name}"
    return Need(f"Deployment {key}", spec, count, key, count, demand=demand_of(spec))


def room(name: str, cpu: str, memory: int = 64, **more: Any) -> Room:
    return Room(name, Decimal(cpu), Decimal(memory * GI), more.pop("pods", 50), **more)


MODEL = Need("one predictor pod", spec_of("1"), 1, total=1, demand=Demand(Decimal(1)))
TAINT = {"key": "dedicated", "value": "x", "effect": "NoSchedule"}
PRESSURE = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("needs", "rooms", "left_out"),
    [
        ([need("a", "1")], [room("n", "1")], {}),
        ([need("a", "1", 3)], [room("n", "2"), room("m", "1")], {}),
        ([need("a", "1", 3)], [room("n", "2")], {"Deployment ns/a": 1}),
        # the greediest goes first, so that the small ones fill the gaps
        ([need("a", "1", 2), need("b", "2")], [room("n", "2"), room("m", "2")], {}),
        # two halves are no whole
        ([need("a", "2")], [room("n", "1"), room("m", "1")], {"Deployment ns/a": 1}),
        ([need("a", "1", memory="4Gi")], [room("n", "4", memory=2)], {"Deployment ns/a": 1}),
        ([need("a", "1")], [], {"Deployment ns/a": 1}),
        ([need("a", "0")], [room("n", "-1")], {}),
    ],
)
def test_pods_are_packed_greediest_first(
    needs: list[Need], rooms: list[Room], left_out: dict[str, int]
) -> None:
    packed = pack(needs, rooms, resources_only)
    assert {each.need.workload: each.count for each in packed.unplaced} == left_out


def test_a_daemon_needs_room_on_every_node_that_it_may_use() -> None:
    spec = spec_of("1")
    daemon = Need("DaemonSet ns/d", spec, 0, every=True, demand=demand_of(spec))
    rooms = [room("n", "2"), room("m", "0.5"), room("t", "0.5", taints=[TAINT])]
    (found,) = pack([daemon], rooms, resources_only).unplaced
    assert (found.count, found.refusals) == (1, {"Insufficient cpu": 1})


TOLERATION = {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("needs", "rooms", "settings"),
    [
        ([need("a", "1", 3)], [room("n", "1")], {"ns/a": {"replicas": 1}}),
        (
            [need("a", "1")],
            [room("n", "4", taints=[TAINT])],
            {"ns/a": {"tolerations": [TOLERATION]}},
        ),
        (
            [need("a", "1", memory="1Gi")],
            [room("n", "0.6")],
            {"ns/a": {"resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}}},
        ),
        # b takes what little of a would need, so both are lowered
        (
            [need("a", "1"), need("b", "1.5")],
            [room("n", "1.5")],
            {
                "ns/a": {"resources": {"requests": {"cpu": "500m", "memory": "0Mi"}}},
                "ns/b": {"resources": {"requests": {"cpu": "750m", "memory": "0Mi"}}},
            },
        ),
        ([need("a", "1")], [room("n", "0.01")], {}),
        # what is wrong with a node is nothing to tolerate
        ([need("a", "1")], [room("n", "4", taints=[PRESSURE])], {}),
        ([need("a", "1", nodeSelector={"disk": "ssd"})], [room("n", "4")], {}),
    ],
)
def test_the_settings_offered_make_everything_fit(
    needs: list[Need], rooms: list[Room], settings: Mapping[str, Any]
) -> None:
    assert fitting_settings(needs, rooms) == settings


def test_a_workload_that_fits_nowhere_fails_with_the_schedulers_words() -> None:
    found = list(resource_details([need("a", "3")], MODEL, [room("n", "2")], ""))
    assert found[0].verdict == "failed"
    assert found[0].reason == (
        "Deployment ns/a: 1 pod would stay Pending: 0/1 nodes are available: 1 Insufficient cpu"
    )
    assert "cpu: 1500m" in found[0].remedy


def test_only_the_predictor_left_over_is_a_warning() -> None:
    (found,) = resource_details([need("a", "1")], MODEL, [room("n", "1.5")], "")
    assert (found.verdict, found.data["message"]) == (
        "warning",
        "0/1 nodes are available: 1 Insufficient cpu.",
    )


def test_where_nodes_come_by_themselves_nothing_fails() -> None:
    found = list(resource_details([need("a", "3")], MODEL, [room("n", "2")], "Karpenter"))
    assert found[0].verdict == "warning"
    assert "Karpenter may bring nodes" in found[0].reason


def test_slots_are_counted_apart_from_room() -> None:
    (found,) = slot_details([need("a", "99", 4)], [room("n", "0", pods=3)], "")
    assert (found.verdict, found.data) == ("failed", {"pods": 1, "free": 3})
    (fine,) = slot_details([need("a", "99", 3)], [room("n", "0", pods=3)], "")
    assert fine.verdict == "note"


def node(name: str, *, ready: str = "True", arch: str = "amd64", **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/arch": arch}},
        "spec": spec,
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "message": "kubelet is away"}],
            "nodeInfo": {"architecture": arch},
        },
    }


@pytest.mark.parametrize(
    ("nodes", "verdicts"),
    [
        ([node("a")], ["note"]),
        ([node("a"), node("b", ready="Unknown")], ["warning", "note"]),
        ([node("a", ready="False")], ["warning", "failed"]),
        ([node("a", unschedulable=True)], ["failed"]),
        ([], ["failed"]),
    ],
)
def test_one_node_at_least_takes_pods(nodes: list[Object], verdicts: list[str]) -> None:
    assert [d.verdict for d in node_details(nodes, "")] == verdicts


PILOT = Ref("apps/v1", "Deployment", "istio-system", "istiod")


def pilot(nodes: list[Object], built: tuple[str, ...], **spec: Any) -> list[Detail]:
    return list(architecture_details([(PILOT, spec, "istio/pilot:1.6.2", built)], nodes))


def test_images_that_no_node_can_run_fail() -> None:
    first, _ = pilot([node("a", arch="arm64")], ("amd64",))
    assert first.verdict == "failed"
    assert "built for amd64 only, and the nodes that they may use are arm64" in first.reason


def test_a_node_that_would_take_the_wrong_image_is_told_with_a_selector() -> None:
    nodes = [node("a"), node("b", arch="arm64")]
    first, _ = pilot(nodes, ("amd64",))
    assert first.verdict == "warning"
    assert "istio-system/istiod" in first.remedy
    assert "kubernetes.io/arch: amd64" in first.remedy
    own = pilot(nodes, ("amd64",), nodeSelector={"kubernetes.io/arch": "amd64"})
    assert [d.verdict for d in own] == ["note"]


def test_what_is_not_known_is_said_to_be_unknown_and_fails_nothing() -> None:
    found = pilot([node("a", arch="s390x")], ())
    assert [d.verdict for d in found] == ["note", "note"]
    assert "is not known: istio/pilot:1.6.2" in found[0].reason
    assert len(pilot([node("a")], ())) == 1


# What is to come


def workload(name: str, replicas: int, image: str = "a", **strategy: Any) -> Object:
    spec = spec_of("100m")
    spec["containers"][0]["image"] = image
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
            **strategy,
        },
    }


def pod(name: str, node_name: str = "n", phase: str = "Running") -> Object:
    return {
        "metadata": {"name": f"{name}-1", "namespace": "ns", "labels": {"app": name}},
        "spec": {"nodeName": node_name, "containers": []},
        "status": {"phase": phase},
    }


def part(decision: Any, *bodies: Object, live: Object | None = None) -> Part:
    wanted = [Wanted(ref_of(b), "c", "workloads", b, "") for b in bodies]
    seen = {ref_of(live).identity: live} if live else {}
    component: Any = None
    return Part(component, wanted, {w.ref.identity: decision for w in wanted}, seen)


HPA: Object = {
    "apiVersion": "autoscaling/v1",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "a", "namespace": "ns"},
    "spec": {"minReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "a"}},
}


@pytest.mark.parametrize(
    ("of", "pods", "count"),
    [
        (part("create", workload("a", 2)), [], 2),
        (part("create", workload("a", 1), HPA), [], 3),
        (part("unchanged", workload("a", 2)), [pod("a")], 1),
        (part("unchanged", workload("a", 1)), [pod("a")], 0),
        # one that waits holds nothing yet, one that ended holds nothing any more
        (part("unchanged", workload("a", 1)), [pod("a", "")], 1),
        (part("unchanged", workload("a", 1)), [pod("a", phase="Failed")], 1),
        (part("unchanged", workload("a", 1)), [pod("b")], 1),
        # a rolling update starts new pods before old ones end
        (part("apply", workload("a", 1, "new"), live=workload("a", 1)), [pod("a")], 1),
        (part("apply", workload("a", 1), live=workload("a", 1)), [pod("a")], 0),
        (
            part(
                "apply",
                workload("a", 1, "new", strategy={"type": "Recreate"}),
                live=workload("a", 1),
            ),
            [pod("a")],
            0,
        ),
    ],
)
def test_pods_that_do_not_run_yet_are_counted(of: Part, pods: list[Object], count: int) -> None:
    assert sum(each.count for each in needs_of([of], pods)) == count


def config(name: str, **data: str) -> Wanted:
    metadata = {"name": name, "namespace": "ns"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return Wanted(ref_of(body), "c", "setup", body, "")


@pytest.mark.parametrize(
    ("wanted", "cpu", "memory"),
    [
        ([], "1", 2 * GI),
        ([config("config-deployment")], "1.025", 2 * GI),
        ([config("config-deployment", **{"queue-sidecar-cpu-request": "50m"})], "1.05", 2 * GI),
        (
            [
                config("config-deployment"),
                config(
                    "inferenceservice-config",
                    inferenceService=json.dumps(
                        {"resource": {"cpuRequest": "500m", "memoryRequest": "1Gi"}}
                    ),
                    deploy='{"defaultDeploymentMode": "RawDeployment"}',
                ),
            ],
            "0.5",
            GI,
        ),
        (
            [config("inferenceservice-config", storageInitializer='{"cpuRequest": "3"}')],
            "3",
            2 * GI,
        ),
        ([config("inferenceservice-config", inferenceService="not JSON")], "1", 2 * GI),
    ],
)
def test_a_predictor_asks_for_what_the_release_configures(
    wanted: list[Wanted], cpu: str, memory: int
) -> None:
    assert predictor(wanted).demand == Demand(Decimal(cpu), Decimal(memory))


# On a real API server


@pytest.fixture(scope="module")
def place(sandbox_factory: Any) -> Iterator[SandboxInfo]:
    """One node, which tests make smaller."""
    allocatable = {"cpu": "8", "memory": "16Gi", "pods": "60"}
    shape = nodes_of({"nodes": [{"name": "only", "allocatable": allocatable}]})
    info = sandbox_factory("1.20.2", fresh=True, shape=shape)
    yield info
    lifecycle.down(info.name)


@pytest.fixture
def cluster(place: SandboxInfo) -> Iterator[Cluster]:
    found = Cluster.connect(kubeconfig=str(place.kubeconfig))
    yield found
    found.close()


ONLY = Ref("v1", "Node", "", "only")


@contextmanager
def patched(
    cluster: Cluster, change: Object, back: Object, subresource: str = ""
) -> Iterator[None]:
    """The node with a change in it."""
    cluster.patch(ONLY, change, subresource=subresource)
    try:
        yield
    finally:
        cluster.patch(ONLY, back, subresource=subresource)


def allocatable(**room: str) -> Object:
    return {"status": {"allocatable": {"cpu": "8", "memory": "16Gi", "pods": "60", **room}}}


def settings_in(remedy: str) -> Any:
    """The settings that a remedy offers, read as `-f` reads them."""
    text = remedy.partition(":\n")[2]
    head = "apiVersion: kserve-installer/v1\nkind: Settings\n"
    return parse([("settings.yaml", head + text)])


@pytest.mark.cluster
def test_one_node_with_eight_processors_has_room(look: Callable[..., Any], place: Any) -> None:
    found = look(place, only=("capacity",))
    assert len(found) == 4
    assert {f.verdict for f in found.values()} <= {"ok", "note"}, found


@pytest.mark.cluster
def test_too_little_cpu_fails_and_the_offered_settings_pass(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    with patched(cluster, allocatable(cpu="700m"), allocatable(), "status"):
        found = look(place, only=("capacity",))["capacity-resources"]
        assert found.verdict == "failed"
        assert "1 Insufficient cpu" in found.details[0].reason
        settings = settings_in(found.details[0].remedy)
        again = look(place, settings=settings, only=("capacity",))["capacity-resources"]
        # what is left is the predictor, which no setting of the stack gives room
        assert [d.verdict for d in again.details] == ["warning"], (settings, again)


@pytest.mark.cluster
def test_a_taint_fails_and_the_offered_tolerations_pass(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    taints = {"spec": {"taints": [TAINT]}}
    with patched(cluster, taints, {"spec": {"taints": None}}):
        found = look(place, only=("capacity",))["capacity-resources"]
        assert found.verdict == "failed"
        assert "untolerated taint {dedicated: x}" in found.details[0].reason
        settings = settings_in(found.details[0].remedy)
        again = look(place, settings=settings, only=("capacity",))["capacity-resources"]
        assert [d.verdict for d in again.details] == ["warning"], again.details


@pytest.mark.cluster
def test_a_node_without_slots_fails(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    with patched(cluster, allocatable(pods="5"), allocatable(), "status"):
        found = look(place, only=("capacity",))
    assert found["capacity-pods"].verdict == "failed"
    assert found["capacity-resources"].verdict == "note"


@pytest.mark.cluster
def test_an_arm_node_cannot_run_what_was_built_for_amd64(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    def arch(name: str) -> Object:
        return {"status": {"nodeInfo": {"architecture": name}}}

    with patched(cluster, arch("arm64"), arch("amd64"), "status"):
        found = look(place, only=("capacity",))["capacity-architecture"]
    assert found.verdict == "failed"
    assert "Deployment istio-system/istiod" in found.details[0].reason


@pytest.mark.cluster
def test_a_cordoned_node_fails_with_the_command_that_opens_it(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    cordon = {"spec": {"unschedulable": True}}
    with patched(cluster, cordon, {"spec": {"unschedulable": None}}):
        found = look(place, only=("capacity",))
    assert found["capacity-nodes"].details[-1].remedy == "kubectl uncordon only"
    assert found["capacity-resources"].verdict == "failed"


@pytest.mark.cluster
def test_an_autoscaler_makes_warnings_of_failures(
    look: Callable[..., Any], place: SandboxInfo, cluster: Cluster
) -> None:
    metadata = {"name": "cluster-autoscaler-status", "namespace": "kube-system"}
    status: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    cluster.create(status)
    try:
        with patched(cluster, allocatable(cpu="700m", pods="3"), allocatable(), "status"):
            found = look(place, only=("capacity",))
    finally:
        cluster.delete(ref_of(status))
    assert found["capacity-resources"].verdict == "warning"
    assert found["capacity-pods"].verdict == "warning"
    assert "the cluster autoscaler may bring nodes" in found["capacity-pods"].details[0].reason

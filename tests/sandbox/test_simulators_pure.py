"""The parts of the simulators that need no API server, against recordings where there are any."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.core.objects import Object
from installer.sandbox import script
from installer.sandbox.context import SimulatorContext
from installer.sandbox.script import Script, WebhookRule
from installer.sandbox.simulators import roles, validators
from installer.sandbox.simulators.admission import Admission
from installer.sandbox.simulators.api import Api
from installer.sandbox.simulators.conversion import convert
from installer.sandbox.simulators.faults import Faults
from installer.sandbox.simulators.mounts import needed
from installer.sandbox.simulators.pod_status import (
    ContainerRun,
    PodRun,
    container_id,
    pod_status,
    running,
    terminated,
    waiting,
)
from installer.sandbox.simulators.work import Work
from installer.sandbox.simulators.world import World


@pytest.fixture
def recordings(shared: Path) -> Path:
    return shared / "facts/recordings/kfserving-0.5.1"


def recorded_pod(recordings: Path, case: str) -> Object:
    files = list((recordings / "inferenceservice" / case / "objects").glob("pods.*.yaml"))
    assert len(files) == 1
    pod: Object = yaml.safe_load(files[0].read_text())
    pod["metadata"].setdefault("uid", "0")
    return pod


def shape(status: dict[str, Any]) -> dict[str, Any]:
    """A status without what differs from run to run: times, identifiers, condition order."""
    text = json.dumps(status, sort_keys=True)
    plain: dict[str, Any] = json.loads(text)
    plain.pop("qosClass", None)
    plain["conditions"] = {
        c["type"]: (c["status"], c.get("reason"), c.get("message"))
        for c in plain["conditions"]
        if c["type"] != "PodScheduled"
    }
    for entry in [*plain["containerStatuses"], *plain.get("initContainerStatuses", [])]:
        for state in (*entry["state"].values(), *entry["lastState"].values()):
            for key in ("startedAt", "finishedAt", "containerID"):
                state.pop(key, None)
        for key in ("image", "imageID", "containerID"):
            entry[key] = bool(entry.get(key))
    return plain


def test_a_ready_pod_has_the_status_that_a_kubelet_wrote(recordings: Path) -> None:
    pod = recorded_pod(recordings, "flowers-sample")
    stamp = pod["status"]["startTime"]
    run = PodRun(pod["status"]["podIP"], pod["status"]["hostIP"], stamp)
    for container in pod["spec"]["initContainers"]:
        ended = terminated(0, "Completed", stamp, container_id(pod, container["name"], 0))
        run.init[container["name"]] = ContainerRun(ended, ready=True)
    for container in pod["spec"]["containers"]:
        run.containers[container["name"]] = ContainerRun(running(stamp), ready=True)
    status = pod_status({**pod, "status": {}}, run, stamp)
    assert shape(status) == shape(pod["status"])


def test_a_pod_whose_image_cannot_be_pulled_has_the_status_that_a_kubelet_wrote(
    recordings: Path,
) -> None:
    pod = recorded_pod(recordings, "fail-digest-missing")
    stamp = pod["status"]["startTime"]
    run = PodRun(pod["status"]["podIP"], pod["status"]["hostIP"], stamp)
    image = pod["spec"]["containers"][0]["image"]
    back_off = waiting("ImagePullBackOff", f'Back-off pulling image "{image}"')
    first, second = (c["name"] for c in pod["spec"]["containers"])
    run.containers = {first: ContainerRun(back_off), second: ContainerRun(running(stamp))}
    status = pod_status({**pod, "status": {}}, run, stamp)
    recorded = shape(pod["status"])
    recorded["containerStatuses"][0]["containerID"] = False
    assert shape(status) == recorded


def test_conditions_keep_their_time_until_they_change(recordings: Path) -> None:
    pod = recorded_pod(recordings, "flowers-sample")
    run = PodRun("10.244.0.9", "172.30.0.1", "2026-01-01T00:00:00Z")
    for container in pod["spec"]["initContainers"]:
        run.init[container["name"]] = ContainerRun(terminated(0, "Completed", ""), ready=True)
    for container in pod["spec"]["containers"]:
        run.containers[container["name"]] = ContainerRun(running(""), ready=False)
    found = {c["type"]: c for c in pod_status(pod, run, "LATER")["conditions"]}
    before = {c["type"]: c["lastTransitionTime"] for c in pod["status"]["conditions"]}
    assert found["Initialized"]["lastTransitionTime"] == before["Initialized"]
    assert found["Ready"]["lastTransitionTime"] == "LATER"


@pytest.mark.parametrize(
    ("image", "role"),
    [
        ("quay.io/jetstack/cert-manager-cainjector:v0.15.1", "cainjector"),
        ("quay.io/jetstack/cert-manager-controller:v1.18.0", "cert-manager"),
        ("quay.io/jetstack/cert-manager-webhook:v1.3.1", "cert-manager-webhook"),
        ("docker.io/istio/pilot:1.6.2", "istiod"),
        ("docker.io/istio/proxyv2:1.6.2", ""),
        ("gcr.io/knative-releases/knative.dev/serving/cmd/webhook@sha256:8f", "knative-webhook"),
        (
            "gcr.io/knative-releases/knative.dev/serving/cmd/domain-mapping-webhook@sha256:ce",
            "knative-webhook",
        ),
        ("mirror.example/knative.dev/net-istio/cmd/webhook@sha256:5", "knative-webhook"),
        (
            "gcr.io/knative-releases/knative.dev/serving/cmd/activator@sha256:65",
            "knative-activator",
        ),
        ("gcr.io/knative-releases/knative.dev/serving/cmd/queue@sha256:0d", ""),
        ("gcr.io/kfserving/kfserving-controller:v0.5.1", "kfserving-controller"),
        ("kserve/kserve-localmodel-controller:v0.20.0", "kfserving-controller"),
    ],
)
def test_the_image_tells_which_controller_a_pod_runs(image: str, role: str) -> None:
    assert roles.role_of({"spec": {"containers": [{"image": image}]}}) == role


def test_optional_sources_are_not_needed_to_start() -> None:
    sources = [{"configMap": {"name": "root"}}, {"secret": {"name": "x", "optional": True}}]
    reference = {"valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}}
    pod: Object = {
        "spec": {
            "volumes": [
                {"name": "a", "secret": {"secretName": "cert"}},
                {"name": "b", "configMap": {"name": "maybe", "optional": True}},
                {"name": "c", "projected": {"sources": sources}},
            ],
            "containers": [{"name": "main", "env": [{"name": "T", **reference}]}],
        }
    }
    assert [n.text for n in needed(pod)] == [
        'MountVolume.SetUp failed for volume "a" : secret "cert" not found',
        'MountVolume.SetUp failed for volume "c" : configmap "root" not found',
        'secret "token" not found',
    ]


def test_an_inference_service_survives_the_way_to_v1alpha2_and_back() -> None:
    predictor = {
        "tensorflow": {"storageUri": "gs://x/y"},
        "containerConcurrency": 4,
        "canaryTrafficPercent": 10,
    }
    new: Object = {
        "apiVersion": "serving.kubeflow.org/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "a"},
        "spec": {"predictor": predictor},
    }
    old = convert(new, "serving.kubeflow.org/v1alpha2")
    assert old["spec"] == {
        "default": {"predictor": {"tensorflow": {"storageUri": "gs://x/y"}, "parallelism": 4}},
        "canaryTrafficPercent": 10,
    }
    assert convert(old, new["apiVersion"]) == new


def test_an_inference_pool_of_kserve_is_converted_there_and_back() -> None:
    pool = {
        "selector": {"app": "x"},
        "targetPortNumber": 8000,
        "extensionRef": {"kind": "Service", "name": "picker", "portNumber": 9002},
    }
    old = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LLMInferenceServiceConfig",
        "metadata": {"name": "x"},
        "spec": {"router": {"scheduler": {"pool": {"spec": pool}}}},
    }
    new = convert(old, "serving.kserve.io/v1alpha2")
    assert new["spec"]["router"]["scheduler"]["pool"]["spec"] == {
        "selector": {"matchLabels": {"app": "x"}},
        "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"kind": "Service", "name": "picker", "port": {"number": 9002}},
    }
    assert convert(new, "serving.kserve.io/v1alpha1") == old
    assert "pool" not in convert({**old, "spec": {"router": {}}}, new["apiVersion"])["spec"]


def probe_answer(recordings: Path, file: str, probe: str) -> dict[str, Any]:
    """The last answer recorded for a probe."""
    lines = (recordings / "install" / file).read_text().splitlines()
    answers: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return next(a for a in reversed(answers) if a["probe"] == probe)


def knative_service(container: Object) -> Object:
    spec = {"template": {"spec": {"containers": [container]}}}
    return {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": spec}


def configuration(name: str, data: dict[str, str], **annotations: str) -> Object:
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


GATEWAY: Object = {
    "apiVersion": "networking.istio.io/v1alpha3",
    "kind": "Gateway",
    "spec": {"servers": [{"port": {"number": 80}, "hosts": []}]},
}
ROUTES: Object = {
    "apiVersion": "networking.istio.io/v1alpha3",
    "kind": "VirtualService",
    "spec": {"hosts": ["x"], "http": [{"route": [{"destination": {}}]}]},
}


@pytest.mark.parametrize(
    ("file", "probe", "path", "obj"),
    [
        (
            "probes-knative.jsonl",
            "knative Service invalid (no image)",
            "/resource-validation",
            knative_service({}),
        ),
        (
            "probes-knative.jsonl",
            "knative ConfigMap config-autoscaler (bad value)",
            "/config-validation",
            configuration("config-autoscaler", {"stable-window": "bogus"}),
        ),
        (
            "probes-knative.jsonl",
            "knative ConfigMap config-autoscaler (changed _example)",
            "/config-validation",
            configuration(
                "config-autoscaler", {"_example": "x"}, **{validators.CHECKSUM: "7b6520ae"}
            ),
        ),
        (
            "probes-knative.jsonl",
            "net-istio ConfigMap config-istio (bad value)",
            "/config-validation",
            configuration("config-istio", {"gateway.a.b": "Not A Host"}),
        ),
        ("probes-istio.jsonl", "istio Gateway invalid (no hosts)", "/validate", GATEWAY),
        (
            "probes-istio.jsonl",
            "istio VirtualService invalid (no destination host)",
            "/validate",
            ROUTES,
        ),
    ],
)
def test_knative_and_istio_refuse_with_the_recorded_words(
    recordings: Path, file: str, probe: str, path: str, obj: Object
) -> None:
    recorded = probe_answer(recordings, file, probe)["body"]
    admission = Admission()
    validators.register(admission)
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "1", "operation": "CREATE", "object": obj},
    }
    status = admission.answer(path, review)["response"]["status"]
    assert recorded["message"].endswith(f"denied the request: {status['message']}")
    assert status["code"] == recorded["code"]
    assert status.get("reason") == recorded.get("reason")


def test_the_example_checksum_is_the_one_upstream_ships(shared: Path) -> None:
    folder = shared / "upstream/raw.githubusercontent.com/knative/operator/v0.19.4"
    file = folder / "cmd/operator/kodata/knative-serving/0.18.3/2-serving-core.yaml"
    compared = 0
    for obj in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
        if obj and obj["kind"] == "ConfigMap" and "_example" in (obj.get("data") or {}):
            told = obj["metadata"]["annotations"][validators.CHECKSUM]
            assert validators.example_checksum(obj["data"]["_example"]) == told
            compared += 1
    assert compared > 5


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world that never connects."""
    nowhere = tmp_path / "nothing"
    context = SimulatorContext(
        name="x",
        kubeconfig=nowhere,
        server="https://127.0.0.1:1",
        kubernetes="1.20.2",
        nodes=1,
        egress_socket=nowhere,
        ca_cert=nowhere,
        ca_key=nowhere,
        script=tmp_path / "script.json",
        gateway_port=1,
        instant=True,
    )
    return World(context, Api(context.server, None))  # type: ignore[arg-type]


def test_a_fault_begins_after_some_answers_and_heals_after_some_hits(world: World) -> None:
    rule = WebhookRule("eof", after=2, count=2)
    script.write(world.context.script, Script(webhooks={"ns/svc": rule}))
    faults = Faults(world)
    hit = []
    for _ in range(6):
        fault = faults.of_request("ns", "svc", "admission")
        hit.append(fault is not None)
        if fault is None:
            faults.served("ns", "svc")
    assert hit == [False, False, True, True, False, False]
    assert faults.of_connection("ns", "svc") is None
    assert faults.of_request("ns", "other", "admission") is None


def test_a_fault_of_conversions_spares_admission(world: World) -> None:
    rule = WebhookRule("timeout", on="conversion")
    script.write(world.context.script, Script(webhooks={"ns/svc": rule}))
    faults = Faults(world)
    assert faults.of_request("ns", "svc", "admission") is None
    assert faults.of_request("ns", "svc", "conversion") == rule


def test_a_job_added_while_it_runs_runs_once_more_and_never_twice_at_once() -> None:
    work = Work(4)
    entered, go_on, done = threading.Event(), threading.Event(), threading.Event()
    active: list[int] = []
    most: list[int] = []

    def job() -> None:
        active.append(1)
        most.append(len(active))
        entered.set()
        go_on.wait(10)
        active.pop()
        if len(most) == 2:
            done.set()

    work.start()
    work.add("key", job)
    assert entered.wait(10)
    for _ in range(3):
        work.add("key", job)
    go_on.set()
    assert done.wait(10)
    work.stop()
    assert most == [1, 1]

"""The serving plane against the recordings of a real cluster, and with real requests through it."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from upstream_stack import Stack, eventually, is_ready

from installer.cluster.client import Cluster
from installer.cluster.port_forward import PortForward
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref, conditions, dig
from installer.sandbox import lifecycle, script
from installer.sandbox.options import SandboxInfo
from installer.sandbox.script import ImageRule, ModelRule, Script
from installer.sandbox.simulators.api import Api, Refused, path_of
from installer.serving.ingress import find, opened

pytestmark = pytest.mark.cluster

GROUP = "serving.kubeflow.org/v1beta1"
PLURALS = {
    ("serving.knative.dev/v1", "Service"): "services",
    ("serving.knative.dev/v1", "Configuration"): "configurations",
    ("serving.knative.dev/v1", "Revision"): "revisions",
    ("serving.knative.dev/v1", "Route"): "routes",
    ("autoscaling.internal.knative.dev/v1alpha1", "PodAutoscaler"): "podautoscalers",
    ("autoscaling.internal.knative.dev/v1alpha1", "Metric"): "metrics",
    ("networking.internal.knative.dev/v1alpha1", "ServerlessService"): "serverlessservices",
    ("networking.internal.knative.dev/v1alpha1", "Ingress"): "ingresses",
    ("caching.internal.knative.dev/v1alpha1", "Image"): "images",
    ("networking.istio.io/v1beta1", "VirtualService"): "virtualservices",
    ("apps/v1", "Deployment"): "deployments",
    ("v1", "Service"): "services",
    ("v1", "Endpoints"): "endpoints",
    (GROUP, "InferenceService"): "inferenceservices",
}
INSTANCES = json.dumps({"instances": [{"key": "1"}]})


@dataclass
class Plane:
    """A sandbox with the stack, and its gateway."""

    stack: Stack

    @property
    def api(self) -> Api:
        return self.stack.api

    def create(self, name: str, **predictor: Any) -> None:
        annotations = predictor.pop("annotations", {})
        body = {
            "apiVersion": GROUP,
            "kind": "InferenceService",
            "metadata": {"name": name, "namespace": "default", "annotations": annotations},
            "spec": {
                "predictor": {
                    "tensorflow": {
                        "storageUri": "gs://kfserving-samples/models/tensorflow/flowers",
                        **predictor.pop("tensorflow", {}),
                    },
                    **predictor,
                }
            },
        }
        collection = path_of(GROUP, "inferenceservices", "default")

        def created() -> bool:
            try:
                self.api.create(collection, body, "test")
            except Refused:  # not served yet, or its webhooks do not answer yet
                return False
            return True

        eventually(created, f"{name} is admitted")

    def isvc(self, name: str) -> Object | None:
        return self.api.get(path_of(GROUP, "inferenceservices", "default", name))

    def delete(self, name: str) -> None:
        self.api.request("DELETE", path_of(GROUP, "inferenceservices", "default", name))
        eventually(lambda: self.isvc(name) is None, f"{name} is gone")

    def ready(self, name: str) -> Object:
        return eventually(
            lambda: (found := self.isvc(name)) and is_ready(found) and found, f"{name} is ready"
        )

    def reason(self, name: str, kind: str = "revisions") -> Callable[[], Any]:
        """The condition Ready of the only Revision (or the like) of an InferenceService."""

        def look() -> Any:
            path = path_of("serving.knative.dev/v1", kind, "default")
            for item in self.api.request("GET", path)["items"]:
                if item["metadata"]["name"].startswith(f"{name}-predictor-default"):
                    return conditions(item).get("Ready")
            return None

        return look

    def ask(self, name: str, path: str = "", host: str = "") -> tuple[int, str]:
        """POST a prediction through the gateway."""
        address, _, port = self.stack.info.gateway.partition(":")
        connection = http.client.HTTPConnection(address, int(port), timeout=60)
        headers = {"Host": host or f"{name}.default.example.com"}
        connection.request("POST", path or f"/v1/models/{name}:predict", INSTANCES, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def activators(self, name: str) -> int:
        """How many activators the autoscaler wants for an InferenceService."""
        path = path_of("networking.internal.knative.dev/v1alpha1", "serverlessservices", "default")
        found = self.api.request("GET", path)["items"]
        return next(
            (
                dig(item, "spec", "numActivators", default=0)
                for item in found
                if item["metadata"]["name"].startswith(f"{name}-predictor-default")
            ),
            0,
        )

    def scale(self, name: str) -> tuple[int, int]:
        """(wanted, ready) pods."""
        path = path_of("autoscaling.internal.knative.dev/v1alpha1", "podautoscalers", "default")
        for item in self.api.request("GET", path)["items"]:
            if item["metadata"]["name"].startswith(f"{name}-predictor-default"):
                status = item.get("status") or {}
                return status.get("desiredScale", -1), status.get("actualScale", 0)
        return -1, 0


@pytest.fixture(scope="module")
def plane(sandbox_factory: Any, shared: Path) -> Iterator[Plane]:
    info = sandbox_factory(fresh=True)
    stack = Stack(info, Api.from_kubeconfig(info.kubeconfig), shared / "upstream")
    stack.install()
    yield Plane(stack)
    lifecycle.down(info.name)


@pytest.fixture
def behave(plane: Plane) -> Iterator[Callable[[Script], None]]:
    """Puts a script in force; afterwards everything works again."""
    yield lambda wanted: script.write(plane.stack.info.script, wanted)
    script.write(plane.stack.info.script, Script())


def comparable(obj: Object) -> dict[str, Any]:
    """What a controller decided of an object: without ids, times and what is made up."""
    metadata = obj["metadata"]
    found = {
        "kind": obj["kind"],
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "finalizers": metadata.get("finalizers") or [],
        "owners": [
            (o["apiVersion"], o["kind"], o["name"], o.get("controller"))
            for o in metadata.get("ownerReferences") or []
        ],
        "conditions": [
            (c["type"], c["status"], c.get("reason"), c.get("message"), c.get("severity"))
            for c in dig(obj, "status", "conditions", default=[])
        ],
    }
    if obj["kind"] in ("VirtualService", "Ingress", "Image", "Metric", "ServerlessService"):
        found["spec"] = obj["spec"]
    if obj["kind"] == "Service" and obj["apiVersion"] == "v1":
        keep = ("type", "externalName", "selector")
        found["spec"] = {key: obj["spec"].get(key) for key in keep}
        found["ports"] = obj["spec"].get("ports")
    if obj["kind"] == "InferenceService":
        found["status"] = {k: v for k, v in obj["status"].items() if k != "conditions"}
    if obj["kind"] == "Deployment":
        del found["conditions"]
        found["ports"] = [
            [(p["name"], p["containerPort"]) for p in c["ports"]]
            for c in obj["spec"]["template"]["spec"]["containers"]
        ]
    return found


UNTOLD = re.compile(
    r"(?<=flowers-sample-predictor-default-)[a-z0-9]{5}\b|(?<=flowers-sam)[0-9a-f]{32}"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{64}\b|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
)


def normal(value: Any) -> Any:
    """Without what differs from run to run."""
    text = UNTOLD.sub("ANY", json.dumps(value, sort_keys=True))
    found = json.loads(text)
    for name in ("serving.knative.dev/lastPinned", "deployment.kubernetes.io/revision"):
        found["annotations"].pop(name, None)
    return found


def test_a_ready_inferenceservice_is_made_of_the_recorded_objects(
    plane: Plane, shared: Path
) -> None:
    folder = shared / "facts/recordings/kfserving-0.5.1/inferenceservice/flowers-sample/objects"
    plane.create("flowers-sample")
    plane.ready("flowers-sample")
    eventually(lambda: plane.activators("flowers-sample") == 3, "the autoscaler has measured")
    differing = {}
    for file in sorted(folder.glob("*.yaml")):
        wanted = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        key = wanted["apiVersion"], wanted["kind"]
        if key not in PLURALS or (key[1] == "Endpoints" and "private" in file.name):
            continue
        name = UNTOLD.sub("ANY", wanted["metadata"]["name"])
        listed = plane.api.request("GET", path_of(key[0], PLURALS[key], "default"))["items"]
        live = [o for o in listed if UNTOLD.sub("ANY", o["metadata"]["name"]) == name]
        assert len(live) == 1, f"{file.name}: {len(live)} of {name}"
        live[0] |= {"apiVersion": key[0], "kind": key[1]}
        expected, found = normal(comparable(wanted)), normal(comparable(live[0]))
        if expected != found:
            differing[file.name] = [
                (part, expected.get(part), found.get(part))
                for part in expected
                if expected.get(part) != found.get(part)
            ]
    assert differing == {}


def test_requests_are_routed_by_host_and_unknown_hosts_are_not_found(plane: Plane) -> None:
    status, text = plane.ask("flowers-sample")
    assert status == 200, text
    assert json.loads(text)["predictions"][0]["key"] == "1"
    own = "flowers-sample-predictor-default.default.example.com"
    assert plane.ask("flowers-sample", host=own)[0] == 200
    assert plane.ask("flowers-sample", host="flowers-sample.default.example.org") == (404, "")
    assert plane.ask("flowers-sample", path="/v1/models/other")[0] == 404


def test_without_the_local_gateway_it_is_ready_and_answers_503(plane: Plane) -> None:
    """Recorded as fail-cluster-local-gateway-missing."""
    path = path_of("v1", "services", "istio-system", "cluster-local-gateway")
    there = plane.api.get(path)
    assert there is not None
    plane.api.request("DELETE", path)
    eventually(lambda: plane.ask("flowers-sample")[0] == 503, "no way to the predictor")
    assert is_ready(plane.isvc("flowers-sample"))
    own = "flowers-sample-predictor-default.default.example.com"
    assert plane.ask("flowers-sample", host=own)[0] == 200
    for key in ("resourceVersion", "uid", "creationTimestamp"):
        del there["metadata"][key]
    plane.api.create(path_of("v1", "services", "istio-system"), there, "test")
    eventually(lambda: plane.ask("flowers-sample")[0] == 200, "the way is back")


def test_twenty_five_at_once_with_a_target_of_ten_make_four_pods_and_then_one(
    plane: Plane, behave: Callable[[Script], None]
) -> None:
    behave(Script(models=(ModelRule("scaled", seconds=0.2),), autoscaler_speed=20))
    plane.create("scaled", annotations={"autoscaling.knative.dev/target": "10"})
    plane.ready("scaled")
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            plane.ask("scaled")

    threads = [threading.Thread(target=load) for _ in range(25)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: plane.scale("scaled") == (4, 4), "four pods")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    eventually(lambda: plane.scale("scaled") == (1, 1), "one pod again")
    plane.delete("scaled")


def test_what_nobody_asks_goes_to_zero_and_comes_back_with_a_request(
    plane: Plane, behave: Callable[[Script], None]
) -> None:
    behave(Script(autoscaler_speed=30))
    plane.create("zero", minReplicas=0)
    plane.ready("zero")
    eventually(lambda: plane.scale("zero") == (0, 0), "no pods")
    assert is_ready(plane.isvc("zero"))
    begun = time.monotonic()
    assert plane.ask("zero")[0] == 200
    assert time.monotonic() - begun < 30
    plane.delete("zero")


@pytest.mark.parametrize(
    ("name", "rule", "reason", "message"),
    [
        ("tag-missing", ImageRule("9.9.9", fail="no-such-tag"), "ContainerMissing", "9.9.9"),
        ("no-image", ImageRule("tensorflow", fail="ErrImagePull"), "ImagePullBackOff", "Back-off"),
        (
            "crashes",
            ImageRule("tensorflow", fail="crash", message="told to crash"),
            "ExitCode1",
            "Container failed with: told to crash",
        ),
        ("nowhere", ImageRule("tensorflow", fail="pending"), "Unschedulable", "Insufficient cpu"),
        ("no-model", ImageRule("storage-initializer", fail="crash"), "PodInitializing", ""),
    ],
)
def test_what_cannot_start_says_so_as_recorded(
    plane: Plane,
    behave: Callable[[Script], None],
    name: str,
    rule: ImageRule,
    reason: str,
    message: str,
) -> None:
    behave(Script(images=(rule,)))
    plane.create(name, tensorflow={"runtimeVersion": "9.9.9"} if "tag" in name else {})
    look = plane.reason(name)
    found = eventually(lambda: (c := look()) and c["status"] == "False" and c, f"{name} fails")
    assert found["reason"] == reason
    assert message in found.get("message", "")
    assert bool(found.get("message")) == bool(message)
    top = eventually(
        lambda: (
            (c := conditions(plane.isvc(name) or {}).get("Ready")) and c["status"] == "False" and c
        ),
        f"InferenceService {name} is not ready",
    )
    assert top["reason"] == "RevisionMissing"
    plane.delete(name)


def test_a_model_that_never_listens_is_never_called_not_ready(
    plane: Plane, behave: Callable[[Script], None]
) -> None:
    behave(Script(images=(ImageRule("tensorflow", fail="never-ready"),)))
    plane.create("silent")

    def given_up() -> bool:
        path = path_of("apps/v1", "deployments", "default")
        return any(
            conditions(item).get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded"
            for item in plane.api.request("GET", path)["items"]
            if item["metadata"]["name"].startswith("silent")
        )

    eventually(given_up, "the Deployment gives up")
    assert conditions(plane.isvc("silent") or {})["Ready"]["status"] == "Unknown"
    plane.delete("silent")


def test_a_deleted_inferenceservice_leaves_nothing(plane: Plane) -> None:
    plane.delete("flowers-sample")

    def left() -> list[str]:
        found = []
        for (version, kind), plural in PLURALS.items():
            for item in plane.api.request("GET", path_of(version, plural, "default"))["items"]:
                if item["metadata"]["name"].startswith("flowers"):
                    found.append(f"{kind} {item['metadata']['name']}")
        return found

    eventually(lambda: not left(), "everything is gone")


@pytest.mark.parametrize("via", ["lb", "nodeport", "port-forward"])
def test_every_way_into_the_cluster_leads_to_the_model(
    plane: Plane, behave: Callable[[Script], None], via: Any
) -> None:
    behave(Script(load_balancer=True))
    plane.create("reached")
    plane.ready("reached")
    cluster = Cluster.connect(kubeconfig=str(plane.stack.info.kubeconfig))

    def found() -> Any:
        try:
            return find(cluster, via=via)
        except InstallerError:
            return None

    with opened(cluster, eventually(found, f"a way: {via}")) as entry:
        connection = http.client.HTTPConnection(entry.host, entry.port, timeout=30)
        headers = {"Host": "reached.default.example.com"}
        connection.request("POST", "/v1/models/reached:predict", INSTANCES, headers)
        assert connection.getresponse().status == 200
        connection.close()
    cluster.close()
    plane.delete("reached")


@pytest.mark.parametrize("sandbox", ["1.25.3", "1.34.4"], indirect=True)
def test_api_servers_of_every_version_pass_port_forwards_on(sandbox: SandboxInfo) -> None:
    """Nothing listens in this pod: that is what its kubelet says, through the API server."""
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    spec = {"containers": [{"name": "main", "image": "example.com/deaf:1"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "deaf", "namespace": "default"}}
    cluster.create({**body, "spec": spec})
    ref = Ref("v1", "Pod", "default", "deaf")
    eventually(lambda: is_ready(cluster.get(ref)), "the pod runs")
    with PortForward(cluster, "default", "deaf", 8080) as forward:
        connection = http.client.HTTPConnection("127.0.0.1", forward.local_port, timeout=30)
        connection.request("GET", "/")
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.getresponse()
        connection.close()
    cluster.delete(ref)
    cluster.close()

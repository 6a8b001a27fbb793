"""Waiting on a real API server whose pods are simulated."""

from __future__ import annotations

import itertools
import json
import os
import queue
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from waits import PATIENCE, Following, Running

from installer.cluster.client import Cluster
from installer.cluster.feeds import Feed, Message, Reset
from installer.cluster.suspicion import Patience
from installer.cluster.topics import Topic
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import Interrupted, NotReady
from installer.core.objects import Object, Ref, ref_of
from installer.sandbox import lifecycle, script
from installer.sandbox.lifecycle import restart
from installer.sandbox.options import SandboxInfo
from installer.sandbox.script import ImageRule, Script

pytestmark = pytest.mark.cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def sandbox(sandbox_factory: Callable[..., SandboxInfo]) -> Iterator[SandboxInfo]:
    """One that no other module scripts."""
    yield sandbox_factory(name="waiting", fresh=True)
    lifecycle.down("waiting")


@pytest.fixture(scope="module")
def cluster(sandbox: SandboxInfo) -> Cluster:
    return Cluster.connect(kubeconfig=str(sandbox.kubeconfig))


@pytest.fixture
def namespace(cluster: Cluster, sandbox: SandboxInfo) -> Iterator[str]:
    script.write(sandbox.script, Script())
    name = f"waiting-{next(_numbers)}"
    ref = ref_of(
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    )
    wait_ready(
        cluster,
        [ref, Ref("v1", "ServiceAccount", name, "default")],
        deadline=PATIENCE,
        cancel=Cancel(),
    )
    yield name
    cluster.delete(ref)


def workload(namespace: str, image: str = "example.com/a:1", kind: str = "Deployment") -> Object:
    labels = {"app": "web"}
    spec: Object = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": image}]},
        },
    }
    if kind == "StatefulSet":
        spec["serviceName"] = "web"
    metadata = {"name": "web", "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def started(cluster: Cluster, obj: Object) -> Ref:
    return ref_of(cluster.create(obj))


def wait(cluster: Cluster, *refs: Ref, deadline: float = PATIENCE, **more: object) -> Following:
    progress = Following()
    wait_ready(cluster, refs, deadline=deadline, cancel=Cancel(), progress=progress, **more)  # type: ignore[arg-type]
    return progress


def test_a_deployment_becomes_ready_and_what_is_awaited_is_named(
    cluster: Cluster, namespace: str
) -> None:
    ref = started(cluster, workload(namespace))
    progress = wait(cluster, ref)
    assert progress.shown[0][0].ref == ref
    assert progress.shown[-1] == []
    assert cluster.get(ref)["status"]["availableReplicas"] == 1  # type: ignore[index]


def test_objects_that_are_ready_are_only_listed(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str, tmp_path: Path
) -> None:
    ref = started(cluster, workload(namespace))
    wait(cluster, ref)
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        wait(Cluster.connect(kubeconfig=str(proxy.kubeconfig)), ref)
        assert not [path for _, path in proxy.seen if "watch=" in path]


def test_definitions_are_awaited_until_served(cluster: Cluster, namespace: str) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    refs = [
        started(
            cluster,
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{namespace}.example.com"},
                "spec": {
                    "group": f"{namespace}.example.com",
                    "scope": "Namespaced",
                    "names": {"plural": plural, "kind": plural.title()},
                    "versions": [
                        {
                            "name": "v1",
                            "served": True,
                            "storage": True,
                            "schema": {"openAPIV3Schema": schema},
                        }
                    ],
                },
            },
        )
        for plural in ("ones", "twos", "threes", "fours", "fives", "sixes")
    ]
    wait(cluster, *refs)
    for ref in refs:
        cluster.delete(ref)


def test_an_image_that_does_not_exist_ends_the_wait(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str
) -> None:
    script.write(sandbox.script, Script(images=(ImageRule("missing", fail="ErrImagePull"),)))
    ref = started(cluster, workload(namespace, "example.com/missing:1"))
    with pytest.raises(NotReady) as caught:
        wait(cluster, ref)
    assert caught.value.kind == "image-pull"
    assert caught.value.message.startswith(
        f"Deployment {namespace}/web: container main cannot pull image example.com/missing:1"
    )
    assert "not found" in caught.value.message
    assert "registry" in caught.value.remedy


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_crash_loop_ends_the_wait_with_the_last_output(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str, kind: str
) -> None:
    rule = ImageRule("crashing", fail="crash", exit_code=3, message="no such flag")
    script.write(sandbox.script, Script(images=(rule,)))
    ref = started(cluster, workload(namespace, "example.com/crashing:1", kind))
    with pytest.raises(NotReady) as caught:
        wait(cluster, ref)
    assert caught.value.kind == "crash-loop"
    assert "ended with exit code 3" in caught.value.message
    assert "no such flag" in caught.value.message
    assert caught.value.remedy.startswith(f"read why: kubectl logs -n {namespace} ")


def test_a_failed_job_ends_the_wait_with_the_last_output(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str
) -> None:
    rule = ImageRule("failing", fail="crash", exit_code=7, message="cannot migrate")
    script.write(sandbox.script, Script(images=(rule,)))
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "example.com/failing:1"}],
    }
    ref = started(
        cluster,
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "migrate", "namespace": namespace},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        },
    )
    with pytest.raises(NotReady) as caught:
        wait(cluster, ref)
    assert caught.value.object == str(ref)
    assert "exit code 7" in caught.value.message
    assert "cannot migrate" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_quota_ends_the_wait(cluster: Cluster, namespace: str, kind: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    cluster.create(quota)
    ref = started(cluster, workload(namespace, kind=kind))
    with pytest.raises(NotReady) as caught:
        wait(cluster, ref, patience=Patience(refused=0))
    assert caught.value.kind == "quota"
    assert "exceeded quota: none" in caught.value.message
    assert caught.value.remedy.startswith(f"raise the ResourceQuota of namespace {namespace}")


def test_pods_of_a_replaced_template_do_not_end_the_wait(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str
) -> None:
    rules = (ImageRule("missing", fail="ErrImagePull"), ImageRule("slow", pull_seconds=3))
    script.write(sandbox.script, Script(images=rules))
    ref = started(cluster, workload(namespace, "example.com/missing:1"))
    with pytest.raises(NotReady):
        wait(cluster, ref)
    image = [
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "a/slow:1"}
    ]
    cluster.patch(ref, image, type="json")
    wait(cluster, ref)


def test_the_deadline_names_what_is_missing_and_why(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str
) -> None:
    script.write(sandbox.script, Script(images=(ImageRule("full", fail="pending"),)))
    ref = started(cluster, workload(namespace, "example.com/full:1"))
    gone = Ref("v1", "ConfigMap", namespace, "nowhere")
    with pytest.raises(NotReady) as caught:
        wait(cluster, ref, gone, deadline=5)
    assert caught.value.kind == "unschedulable"
    assert caught.value.object == f"Deployment {namespace}/web"
    assert f"ConfigMap {namespace}/nowhere (does not exist yet)" in caught.value.message


def test_a_cancelled_wait_ends(cluster: Cluster, namespace: str) -> None:
    gone = Ref("v1", "ConfigMap", namespace, "nowhere")
    run = Running(
        lambda progress, cancel: wait_ready(
            cluster, [gone], deadline=PATIENCE, cancel=cancel, progress=progress
        )
    )
    with pytest.raises(Interrupted), run:
        _cancel_once_shown(run)


def _cancel_once_shown(run: Running) -> None:
    run.progress.until("does not exist yet")
    run.cancel.stop()


def test_a_restart_of_the_api_server_is_waited_through(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str
) -> None:
    script.write(sandbox.script, Script(images=(ImageRule("stuck", fail="never-ready"),)))
    ref = started(cluster, workload(namespace, "example.com/stuck:1"))
    with Running(
        lambda progress, cancel: wait_ready(
            cluster, [ref], deadline=PATIENCE, cancel=cancel, progress=progress
        )
    ) as run:
        run.progress.until("0 of 1 pods are available")
        restart(sandbox.name, "kube-apiserver")
        script.write(sandbox.script, Script())
        cluster.patch(ref, {"spec": {"template": {"metadata": {"labels": {"again": "yes"}}}}})
    assert run.progress.shown[-1] == []


@pytest.mark.parametrize("fault", ["expired", "cut"])
def test_a_watch_that_breaks_is_resumed(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str, tmp_path: Path, fault: str
) -> None:
    expired = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n'
    gone = Ref("v1", "ConfigMap", namespace, "late")
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        if fault == "expired":
            broken = proxy.on("GET", r"configmaps\?.*watch=1", status=200, body=expired)
        else:
            broken = proxy.on("GET", r"configmaps\?.*watch=1", close=True)
        through = Cluster.connect(kubeconfig=str(proxy.kubeconfig))
        with Running(
            lambda progress, cancel: wait_ready(
                through, [gone], deadline=PATIENCE, cancel=cancel, progress=progress
            )
        ):
            assert broken.met.wait(PATIENCE)
            metadata = {"name": "late", "namespace": namespace}
            cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def test_a_kind_that_is_served_only_later_is_waited_for(cluster: Cluster, namespace: str) -> None:
    group = f"late-{namespace}.example.com"
    ref = Ref(f"{group}/v1", "Late", namespace, "it")
    with Running(
        lambda progress, cancel: wait_ready(
            cluster, [ref], deadline=PATIENCE, cancel=cancel, progress=progress
        )
    ) as run:
        run.progress.until("does not exist yet")
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object"}},
        }
        definition = started(
            cluster,
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"lates.{group}"},
                "spec": {
                    "group": group,
                    "scope": "Namespaced",
                    "names": {"plural": "lates", "kind": "Late"},
                    "versions": [version],
                },
            },
        )
        wait(cluster, definition)
        body = {"apiVersion": f"{group}/v1", "kind": "Late", "metadata": {"name": "it"}}
        cluster.request("POST", f"/apis/{group}/v1/namespaces/{namespace}/lates", body=body)
    cluster.delete(definition)


def test_history_that_etcd_has_compacted_is_listed_anew(
    cluster: Cluster, sandbox: SandboxInfo, namespace: str
) -> None:
    etcdctl = shutil.which("etcdctl")
    if etcdctl is None:
        pytest.skip("etcdctl is not installed")

    def ask(*words: str) -> str:
        command = [etcdctl, "--endpoints=unix://etcd:0", *words]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(
            command, cwd=sandbox.state_dir, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    found: queue.SimpleQueue[Message] = queue.SimpleQueue()
    topic = Topic("v1", "ConfigMap", namespace, "metadata.name=late")
    feed: Feed[str] = Feed(cluster, topic, lambda item: item["metadata"]["name"], found)
    assert feed.list() == {}
    metadata = {"name": "late", "namespace": namespace}
    late = ref_of(cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}))
    status = json.loads(ask("endpoint", "status", "--write-out=json"))
    ask("compact", str(status[0]["Status"]["header"]["revision"]))
    restart(sandbox.name, "kube-apiserver")  # it remembers no more than etcd now
    feed.start()
    assert found.get(timeout=PATIENCE) == Reset(topic, {late: "late"})
    feed.stop()

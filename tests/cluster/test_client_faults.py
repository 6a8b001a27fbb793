"""The API server or its etcd goes away while we work."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.events import Event
from installer.core.objects import Object, Ref
from installer.sandbox import lifecycle
from installer.sandbox.options import SandboxInfo

pytestmark = pytest.mark.cluster


def config_map(number: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"through-faults-{number}",
            "namespace": "default",
            "labels": {"test": "faults"},
        },
        "data": {"number": str(number)},
    }


def written(sandbox: SandboxInfo) -> list[str]:
    """What the server has after all, asked on fresh connections."""
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    found = cluster.list("v1", "ConfigMap", "default", label_selector="test=faults").items
    cluster.close()
    return sorted(item["data"]["number"] for item in found)


@pytest.fixture
def connect(sandbox: SandboxInfo) -> Iterator[Callable[..., Cluster]]:
    opened: list[Cluster] = []

    def open_one(**options: Any) -> Cluster:
        opened.append(Cluster.connect(kubeconfig=str(sandbox.kubeconfig), **options))
        return opened[-1]

    yield open_one
    cluster = open_one()
    for number in range(40):
        cluster.delete(Ref("v1", "ConfigMap", "default", f"through-faults-{number}"))
    for cluster in opened:
        cluster.close()


def test_nothing_is_lost_when_the_api_server_is_killed_and_comes_back(
    sandbox: SandboxInfo, connect: Callable[..., Cluster]
) -> None:
    retried: list[Event] = []
    noticed = threading.Event()

    def emit(event: Event) -> None:
        retried.append(event)
        noticed.set()

    def start_again() -> None:
        noticed.wait()
        lifecycle.start_component(sandbox.name, "kube-apiserver")

    cluster = connect(emit=emit)
    with ThreadPoolExecutor(9) as pool:
        cluster.apply(config_map(0))
        lifecycle.stop_component(sandbox.name, "kube-apiserver", signum=signal.SIGKILL)
        started = pool.submit(start_again)
        applied = list(pool.map(cluster.apply, [config_map(number) for number in range(20)]))
        started.result()
    assert len(applied) == 20
    assert {event.name for event in retried} == {"retrying"}
    assert written(sandbox) == sorted(str(number) for number in range(20))


def test_requests_go_on_once_a_stopped_etcd_does(
    sandbox: SandboxInfo, connect: Callable[..., Cluster]
) -> None:
    causes: list[str] = []

    def emit(event: Event) -> None:
        causes.append(event.fields["cause"])
        if len(causes) == 2:
            lifecycle.signal_component(sandbox.name, "etcd", signal.SIGCONT)

    cluster = connect(emit=emit, request_timeout=1.0)
    cluster.resource("v1", "ConfigMap")
    lifecycle.signal_component(sandbox.name, "etcd", signal.SIGSTOP)
    try:
        stored = cluster.apply(config_map(30))
    finally:
        lifecycle.signal_component(sandbox.name, "etcd", signal.SIGCONT)
    assert stored["data"] == {"number": "30"}
    assert len(causes) >= 2
    assert all(sandbox.server in cause for cause in causes)
    assert written(sandbox) == ["30"]


def test_a_watch_from_a_compacted_version_says_so(
    sandbox: SandboxInfo, connect: Callable[..., Cluster]
) -> None:
    etcdctl = shutil.which("etcdctl")
    if etcdctl is None:
        pytest.skip("etcdctl is not installed: nothing else compacts etcd on demand")
    cluster = connect()
    before = cluster.list("v1", "ConfigMap", "default").resource_version
    for number in range(3):
        cluster.apply(config_map(number))
    newest = cluster.list("v1", "ConfigMap", "default").resource_version
    subprocess.run(
        [etcdctl, "--endpoints", "unix://etcd:0", "compact", newest],
        cwd=sandbox.state_dir,
        env={"ETCDCTL_API": "3"},
        check=True,
        capture_output=True,
    )
    # Events are the one kind that the API server does not cache: it asks etcd for the old version
    with pytest.raises(ApiError) as caught:
        list(cluster.watch("v1", "Event", resource_version=before, timeout=60))
    assert caught.value.kind == "gone"


def test_a_lost_watch_passes_and_the_next_one_goes_on(
    sandbox: SandboxInfo, connect: Callable[..., Cluster]
) -> None:
    cluster = connect()
    start = cluster.list("v1", "ConfigMap", "default").resource_version
    cluster.apply(config_map(1))
    watched = cluster.watch("v1", "ConfigMap", "default", resource_version=start, timeout=120)
    change, seen = next(watched)
    assert (change, seen["kind"], seen["data"]) == ("ADDED", "ConfigMap", {"number": "1"})
    lifecycle.stop_component(sandbox.name, "kube-apiserver", signum=signal.SIGKILL)
    with pytest.raises(ApiError) as caught:
        list(watched)
    assert caught.value.failure.transient
    lifecycle.start_component(sandbox.name, "kube-apiserver")
    cluster.apply(config_map(2))
    version = seen["metadata"]["resourceVersion"]
    again = cluster.watch("v1", "ConfigMap", "default", resource_version=version, timeout=120)
    numbers = (obj["data"]["number"] for change, obj in again if change == "ADDED")
    assert next(numbers) == "2"

"""Requests to a real API server, in good and in bad times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy

from installer.cluster import watching
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.errors import Interrupted
from installer.core.events import Event, silent
from installer.core.objects import Object, Ref
from installer.sandbox.options import SandboxInfo

pytestmark = pytest.mark.cluster


@pytest.fixture
def proxy(sandbox: SandboxInfo, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(sandbox.kubeconfig, tmp_path) as started:
        yield started


@pytest.fixture
def direct(sandbox: SandboxInfo) -> Iterator[Cluster]:
    """A cluster without faults, to look at the end state."""
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    yield cluster
    cluster.close()


@pytest.fixture
def settings(direct: Cluster, request: pytest.FixtureRequest) -> Iterator[Object]:
    """A ConfigMap that is not there before the test nor after it."""
    name = request.node.name.replace("_", "-").split("[")[0][:60].strip("-")
    yield config_map(name)
    direct.delete(Ref("v1", "ConfigMap", "default", name))


def config_map(name: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": data or {"colour": "blue"},
    }


def ref_to(obj: Object) -> Ref:
    return Ref("v1", "ConfigMap", "default", obj["metadata"]["name"])


class Events(list[Event]):
    """An `Emit` that keeps what it gets."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def retries(self) -> list[dict[str, Any]]:
        return [dict(event.fields) for event in self if event.name == "retrying"]


def through(proxy: FaultProxy, emit: Callable[[Event], None] = silent, **more: Any) -> Cluster:
    return Cluster.connect(kubeconfig=str(proxy.kubeconfig), emit=emit, **more)


def test_the_server_says_who_it_is(direct: Cluster, sandbox: SandboxInfo) -> None:
    identity = direct.identity()
    assert str(identity.version) == sandbox.kubernetes
    assert identity.server == sandbox.server
    assert identity.context == sandbox.context
    assert identity.nodes == sandbox.nodes


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_apply_goes_on_after_a_server_error(
    proxy: FaultProxy, direct: Cluster, settings: Object, status: int
) -> None:
    events = Events()
    rule = proxy.on("PATCH", status=status, times=2, body=b"<html>oh no</html>")
    through(proxy, events).apply(settings)
    assert rule.hits == 2
    assert [retry["attempt"] for retry in events.retries()] == [1, 2]
    assert all("oh no" not in retry["cause"] for retry in events.retries())
    assert direct.get(ref_to(settings)) is not None


def test_the_server_decides_how_long_to_wait(proxy: FaultProxy, settings: Object) -> None:
    events = Events()
    proxy.on("PATCH", status=429, headers={"Retry-After": "1"}, body=b"busy")
    through(proxy, events).apply(settings)
    assert [retry["delay"] for retry in events.retries()] == [1.0]


def test_waiting_is_not_longer_than_allowed(proxy: FaultProxy, settings: Object) -> None:
    proxy.on("PATCH", status=429, headers={"Retry-After": "3600"}, times=None, body=b"busy")
    with pytest.raises(ApiError) as caught:
        through(proxy).apply(settings)
    assert caught.value.failure.kind == "throttled"
    assert caught.value.failure.retry_after == 3600
    assert caught.value.object == f"ConfigMap default/{settings['metadata']['name']}"


def test_a_permanent_failure_is_told_at_once(proxy: FaultProxy, settings: Object) -> None:
    settings["metadata"]["name"] = "Not_A_Name"
    events = Events()
    with pytest.raises(ApiError) as caught:
        through(proxy, events).apply(settings)
    assert caught.value.kind == "invalid"
    assert proxy.count("PATCH") == 1
    assert not events.retries()


def test_a_connection_closed_before_the_answer_is_used_again(
    proxy: FaultProxy, direct: Cluster, settings: Object
) -> None:
    proxy.on("PATCH", close=True, times=2)
    through(proxy).apply(settings)
    assert direct.get(ref_to(settings)) is not None


def test_a_create_whose_answer_was_lost_finds_its_own_object(
    proxy: FaultProxy, direct: Cluster, settings: Object
) -> None:
    proxy.on("POST", lose=True)
    with pytest.raises(ApiError) as caught:
        through(proxy).create(settings)
    assert caught.value.kind == "already-exists"
    assert direct.get(ref_to(settings)) is not None


def test_a_generated_name_is_not_asked_for_twice(proxy: FaultProxy, direct: Cluster) -> None:
    nameless = config_map("")
    nameless["metadata"] = {
        "generateName": "once-",
        "namespace": "default",
        "labels": {"test": "once"},
    }
    proxy.on("POST", lose=True)
    with pytest.raises(ApiError) as caught:
        through(proxy).create(nameless)
    assert caught.value.kind == "unreachable"
    made = direct.list("v1", "ConfigMap", "default", label_selector="test=once").items
    assert len(made) == 1
    direct.delete(ref_to(made[0]))


def test_a_server_that_hangs_is_given_up(proxy: FaultProxy, settings: Object) -> None:
    proxy.on("PATCH", hang=True, times=None)
    cluster = through(proxy, request_timeout=0.3, retry_for=0.5)
    with pytest.raises(ApiError) as caught:
        cluster.apply(settings)
    assert caught.value.kind == "timeout"
    assert proxy.url in caught.value.message
    assert "tried for" in caught.value.message


def test_an_outdated_replace_is_not_repeated(
    proxy: FaultProxy, direct: Cluster, settings: Object
) -> None:
    stored = direct.create(settings)
    direct.apply({**settings, "data": {"colour": "red"}}, force=True)
    with pytest.raises(ApiError) as caught:
        through(proxy).replace(stored)
    assert caught.value.kind == "conflict"
    assert proxy.count("PUT") == 1


def test_only_requests_that_can_change_something_count_as_writes(
    proxy: FaultProxy, settings: Object
) -> None:
    cluster = through(proxy)
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}},
    }
    cluster.get(ref_to(settings))
    cluster.list("v1", "ConfigMap", "default")
    cluster.apply(settings, dry_run=True)
    cluster.create(review)
    assert cluster.writes == 0
    proxy.on("PATCH", status=503, body=b"")
    cluster.apply(settings)
    assert cluster.delete(ref_to(settings))
    assert not cluster.delete(ref_to(settings))
    assert cluster.writes == 4


def test_a_long_list_is_read_in_pages_of_one_snapshot(proxy: FaultProxy, direct: Cluster) -> None:
    roles = direct.list("rbac.authorization.k8s.io/v1", "ClusterRole")
    by_twenty = read_by_twenty(through(proxy))
    assert [r["metadata"]["name"] for r in by_twenty] == [
        r["metadata"]["name"] for r in roles.items
    ]
    assert proxy.count("GET", "continue=") > 1
    assert all(r["kind"] == "ClusterRole" for r in roles.items)
    assert all(r["apiVersion"] == "rbac.authorization.k8s.io/v1" for r in roles.items)


def test_a_list_begins_again_when_its_snapshot_is_gone(proxy: FaultProxy) -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    rule = proxy.on("GET", "continue=", status=410, body=gone)
    names = [r["metadata"]["name"] for r in read_by_twenty(through(proxy))]
    assert rule.hits == 1
    assert len(names) == len(set(names)) > 20


def read_by_twenty(cluster: Cluster) -> list[Object]:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    items, _ = watching.pages(
        lambda query: cluster.request("GET", path, query={**query, "limit": "20"}), {}
    )
    return items


def test_deleting_one_object_spares_its_successor(direct: Cluster, settings: Object) -> None:
    direct.create(settings)
    with pytest.raises(ApiError) as caught:
        direct.delete(ref_to(settings), uid="00000000-0000-0000-0000-000000000000")
    assert caught.value.kind == "conflict"
    assert direct.get(ref_to(settings)) is not None


def test_a_kind_that_is_not_served_is_named(direct: Cluster) -> None:
    with pytest.raises(ApiError) as caught:
        direct.list("serving.kserve.io/v1beta1", "InferenceService")
    assert caught.value.kind == "no-match"
    assert "InferenceService" in caught.value.object
    assert direct.get(Ref("serving.kserve.io/v1beta1", "InferenceService", "a", "b")) is None


def test_a_cancelled_run_leaves_a_hanging_request(proxy: FaultProxy, settings: Object) -> None:
    cancel = Cancel()
    rule = proxy.on("PATCH", hang=True, times=None)
    stopper = threading.Thread(target=lambda: (rule.met.wait(), cancel.stop()))
    stopper.start()
    with pytest.raises(Interrupted):
        through(proxy, cancel=cancel, request_timeout=250).apply(settings)
    stopper.join()
    assert not rule.released.is_set()


def test_a_cancelled_run_leaves_a_wait_between_tries(proxy: FaultProxy, settings: Object) -> None:
    cancel = Cancel()

    def emit(event: Event) -> None:
        if event.name == "retrying":
            cancel.stop()

    proxy.on("PATCH", status=429, headers={"Retry-After": "250"}, times=None, body=b"")
    with pytest.raises(Interrupted):
        through(proxy, emit, cancel=cancel, retry_for=500).apply(settings)


def test_a_cancelled_run_still_has_its_last_word(
    sandbox: SandboxInfo, direct: Cluster, settings: Object
) -> None:
    cancel = Cancel()
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig), cancel=cancel)
    cluster.get(ref_to(settings))
    cancel.stop()
    with pytest.raises(Interrupted):
        cluster.apply(settings)
    cluster.uncancelled().apply(settings)
    assert direct.get(ref_to(settings)) is not None
    assert cluster.writes == 1

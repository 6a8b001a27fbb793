"""Lists and watches that are broken off again and again, through a proxy before an API server."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy

from installer.cluster import feeds, watching
from installer.cluster.client import Cluster
from installer.cluster.feeds import Feed, Message, Reset
from installer.cluster.topics import Topic
from installer.core.events import Event
from installer.core.objects import Object, Ref, dig
from installer.sandbox.options import SandboxInfo

pytestmark = pytest.mark.cluster

ROLES = Topic("rbac.authorization.k8s.io/v1", "ClusterRole")
MAPS = Topic("v1", "ConfigMap", "default")
GONE: Object = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
GONE_LINE = json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n"


class Heard:
    """What a feed sends and tells."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def told(self, count: int) -> list[dict[str, Any]]:
        """The fields of the next events."""
        return [dict(self.events.get(timeout=30).fields) for _ in range(count)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def proxy(sandbox: SandboxInfo, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(sandbox.kubeconfig, tmp_path) as started:
        yield started


@pytest.fixture
def cluster(proxy: FaultProxy, heard: Heard) -> Iterator[Cluster]:
    opened = Cluster.connect(kubeconfig=str(proxy.kubeconfig), emit=heard.events.put)
    yield opened
    opened.delete(Ref("v1", "ConfigMap", "default", "fed"))
    opened.close()


def name_of(obj: Object) -> str:
    return str(dig(obj, "metadata", "name"))


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"close": True}, "the connection was closed"),
        ({"lines": 0}, "the server ended the watch early"),
        ({"lines": 0, "ending": GONE_LINE}, "too old"),
        ({"status": 410, "body": GONE}, "too old"),
        ({"status": 503, "body": {"message": "not now"}}, "not now"),
    ],
)
def test_a_watch_that_never_holds_is_begun_again_with_growing_pauses(
    proxy: FaultProxy, cluster: Cluster, heard: Heard, fault: dict[str, Any], cause: str
) -> None:
    rule = proxy.on("GET", "watch=1", times=4, **fault)
    feed = Feed(cluster, MAPS, name_of, heard.messages)
    feed.list()
    feed.start()
    told = heard.told(4)
    assert [event["attempt"] for event in told] == [1, 2, 3, 4]
    assert [event["delay"] for event in told] == [0.1, 0.2, 0.4, 0.8]
    assert {event["object"] for event in told} == {"watch of ConfigMap"}
    assert all(cause in event["cause"] for event in told)
    config_map = {"apiVersion": "v1", "kind": "ConfigMap"}
    cluster.create({**config_map, "metadata": {"name": "fed", "namespace": "default"}})
    while True:
        message = heard.messages.get(timeout=30)
        facts = message.facts.values() if isinstance(message, Reset) else [message.fact]  # type: ignore[union-attr]
        if "fed" in facts:
            break
    feed.stop()
    assert rule.hits == 4


def test_a_server_that_asks_to_wait_before_the_next_watch_gets_its_time(
    proxy: FaultProxy, cluster: Cluster, heard: Heard
) -> None:
    proxy.on("GET", "watch=1", status=429, headers={"Retry-After": "7"}, body={"message": "busy"})
    feed = Feed(cluster, MAPS, name_of, heard.messages)
    feed.list()
    feed.start()
    assert heard.told(1)[0]["delay"] == 7
    feed.stop()


def test_a_list_of_a_feed_whose_pages_never_hold_is_read_in_one_answer(
    proxy: FaultProxy, cluster: Cluster, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(feeds._PAGES, "ClusterRole", 20)
    rule = proxy.on("GET", "continue=", times=None, status=410, body=GONE)
    found = Feed(cluster, ROLES, name_of, heard.messages).list()
    assert len(found) > 20
    assert [event["attempt"] for event in heard.told(3)] == [1, 2, 3]
    assert rule.hits == watching.RESTARTS


def test_a_list_whose_pages_never_hold_is_read_in_one_answer(
    proxy: FaultProxy, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAGE", 20)
    rule = proxy.on("GET", "continue=", times=None, status=410, body=GONE)
    assert len(cluster.list(ROLES.api_version, ROLES.kind).items) > 20
    assert rule.hits == watching.RESTARTS


def test_a_server_that_asks_for_no_pause_at_all_is_not_asked_without_one(
    proxy: FaultProxy, cluster: Cluster, heard: Heard
) -> None:
    busy = {"status": 429, "headers": {"Retry-After": "0"}, "body": {"message": "busy"}}
    proxy.on("GET", "/namespaces/default$", times=3, **busy)
    assert cluster.get(Ref("v1", "Namespace", "", "default"))
    assert all(event["delay"] > 0 for event in heard.told(3))


def test_a_feed_that_was_stopped_tells_nothing(
    proxy: FaultProxy, cluster: Cluster, heard: Heard
) -> None:
    rule = proxy.on("GET", "watch=1", hang=True)
    feed = Feed(cluster, MAPS, name_of, heard.messages)
    feed.list()
    feed.start()
    assert rule.met.wait(30)
    feed.stop()
    rule.close = True
    rule.release()
    for thread in threading.enumerate():
        if thread.name == "watch ConfigMap":
            thread.join(30)
    assert heard.events.empty()
    assert heard.messages.empty()

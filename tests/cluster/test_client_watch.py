"""Watches, through a proxy that breaks them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_proxy import FaultProxy

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.errors import Interrupted
from installer.sandbox.options import SandboxInfo

pytestmark = pytest.mark.cluster


@pytest.fixture
def proxy(sandbox: SandboxInfo, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(sandbox.kubeconfig, tmp_path) as started:
        yield started


def test_a_watch_ends_when_the_server_ends_it(proxy: FaultProxy) -> None:
    cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig))
    version = cluster.list("v1", "Namespace").resource_version
    namespaces = cluster.watch("v1", "Namespace", resource_version=version, timeout=1)
    assert [change for change, _ in namespaces if change != "BOOKMARK"] == []


def test_an_answer_cut_within_a_line_is_a_lost_watch(proxy: FaultProxy) -> None:
    proxy.on("GET", "watch=1", cut=40)
    cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig))
    with pytest.raises(ApiError) as caught:
        list(cluster.watch("v1", "Namespace", resource_version="0", timeout=60))
    assert (caught.value.kind, caught.value.failure.transient) == ("unreachable", True)


def test_an_expired_version_is_told_whichever_way_it_is_answered(proxy: FaultProxy) -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    line = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n'
    proxy.on("GET", "watch=1", status=410, body=status)
    proxy.on("GET", "watch=1", status=200, body=line)
    cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig))
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            list(cluster.watch("v1", "Namespace", resource_version="0", timeout=60))
        assert caught.value.kind == "gone"


def test_a_cancelled_run_leaves_a_silent_watch(proxy: FaultProxy) -> None:
    cancel = Cancel()
    cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig), cancel=cancel)
    version = cluster.list("v1", "Namespace").resource_version
    rule = proxy.on("GET", "watch=1")
    stopper = threading.Thread(target=lambda: (rule.met.wait(), cancel.stop()))
    stopper.start()
    with pytest.raises(Interrupted):
        list(cluster.watch("v1", "Namespace", resource_version=version, timeout=280))
    stopper.join()


def test_leaving_a_watch_early_leaves_the_next_request_alone(proxy: FaultProxy) -> None:
    cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig))
    for _ in range(3):
        watched = cluster.watch("v1", "Namespace", resource_version="0", timeout=60)
        assert next(watched)[0] == "ADDED"
        watched.close()  # type: ignore[attr-defined]
        assert cluster.list("v1", "Namespace").items


def test_credentials_that_ran_out_before_a_watch_are_renewed(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("fresh")
    config = json.loads(proxy.kubeconfig.read_text())
    config["users"] = [{"name": "ann", "user": {"tokenFile": str(tmp_path / "token")}}]
    config["contexts"][0]["context"]["user"] = "ann"
    proxy.kubeconfig.write_text(json.dumps(config))
    cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig))
    rule = proxy.on("GET", "watch=1", status=401, body={"kind": "Status", "code": 401})
    watched = cluster.watch("v1", "Namespace", resource_version="0", timeout=60)
    assert next(watched)[0] == "ADDED"
    assert rule.hits == 1

"""A restore that the API server leaves alone, or that it refuses single objects of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy
from harness import Place

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.identity import read_uid
from installer.core.cancel import Cancel
from installer.core.errors import ExitCode, InstallerError
from installer.core.events import Event
from installer.core.objects import Ref
from installer.operations.backup_file import Writer, write
from installer.operations.restore import Existing, Judged, Restored, judge, restore
from installer.plan.backup_form import USER, Head, Record

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

COUNT = 250
"""More than are read from the file at once, and many more than are written at a time."""


def config_map(number: int, value: str = "rose") -> dict[str, Any]:
    metadata = {"name": f"labels-{number}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": value}}


@pytest.fixture
def proxy(there: Place, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(there.sandbox.kubeconfig, tmp_path) as started:
        yield started


@pytest.fixture
def judged(there: Place, tmp_path: Path) -> Judged:
    """COUNT ConfigMaps, of which the last is there already and differs."""
    cluster = there.cluster()
    cluster.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ledgers.NAMESPACE}}
    )
    cluster.create(config_map(COUNT - 1, "tulip"))
    head = Head("2024-01-01T00:00:00Z", "1", read_uid(cluster.get), "https://x", "v1.20.2", "", "")

    def fill(writer: Writer) -> None:
        for number in range(COUNT):
            writer.add(Record(USER, config_map(number)))

    file = tmp_path / "a.backup.gz"
    write(file, head, fill)
    return judge(cluster, str(file), Cancel(), lambda *_: None)


def run(
    proxy: FaultProxy, judged: Judged, events: list[Event], existing: Existing = "keep"
) -> Restored:
    """Restore through the proxy; what passes is tried again for two seconds."""
    cancel = Cancel()
    cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig), cancel=cancel, retry_for=2.0)
    return restore(cluster, judged, existing, events.append, cancel)


def made(there: Place) -> dict[str, str]:
    found = there.cluster().list("v1", "ConfigMap", "default").items
    return {
        item["metadata"]["name"]: item["data"]["a"]
        for item in found
        if item["metadata"]["name"].startswith("labels-")
    }


def test_an_api_server_that_goes_away_ends_a_restore_which_says_how_far_it_came_and_goes_on(
    there: Place, proxy: FaultProxy, judged: Judged
) -> None:
    last = proxy.on("POST", "/configmaps", every=40, close=True)
    proxy.on(times=None, after=last, close=True)
    events: list[Event] = []
    with pytest.raises(InstallerError, match="no answer from the API server") as caught:
        run(proxy, judged, events)
    error = caught.value
    assert (error.kind, error.exit_code) == ("unreachable", ExitCode.FAILED)
    came = re.search(rf"came to (\d+) of {COUNT} objects: (\d+) created, 0 changed", error.message)
    assert came, error.message
    told = [event for event in events if event.name == "object"]
    assert int(came[1]) == int(came[2]) == len(told)
    assert {Ref.from_dict(e.fields["object"]).name for e in told} <= made(there).keys()
    assert error.remedy.endswith("run the same command again: it goes on with the rest")
    tried = {path for method, path in proxy.seen if method == "GET" and "/labels-" in path}
    assert len(tried) < 60, "what came later was tried all the same"

    proxy.clear()
    done = run(proxy, judged, events)
    assert done.created + done.unchanged == COUNT
    assert made(there) == {f"labels-{n}": "rose" for n in range(COUNT - 1)} | {
        f"labels-{COUNT - 1}": "tulip"
    }


def test_what_is_refused_or_was_changed_just_now_is_named_and_the_rest_is_restored(
    there: Place, proxy: FaultProxy, judged: Judged
) -> None:
    def status(code: int, reason: str, message: str) -> dict[str, Any]:
        body = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason}
        return {"status": code, "body": {**body, "message": message}}

    proxy.on("POST", "/configmaps", every=40, **status(422, "Invalid", "no such flower"))
    changed = proxy.on("PUT", "/labels-", **status(409, "Conflict", "the object has been modified"))
    with pytest.raises(InstallerError, match="2 objects could not be restored") as caught:
        run(proxy, judged, [], "overwrite")
    assert caught.value.kind == "not-restored"
    assert "no such flower" in caught.value.message
    last = f"labels-{COUNT - 1}"
    assert f"ConfigMap default/{last}: the object has been modified" in caught.value.message
    assert changed.hits == 1
    assert len(made(there)) == COUNT - 1
    assert made(there)[last] == "tulip"

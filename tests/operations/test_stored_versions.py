"""Migration of stored versions on a real API server."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conversion_webhook import ConversionWebhook
from etcd_truth import versions_in_etcd
from fault_proxy import FaultProxy
from notes import CRD, GROUP, NAME, await_served, definition, note, stored

from installer.cluster import unconverted
from installer.cluster.client import Cluster
from installer.cluster.definitions import wait_established
from installer.cluster.deletion import wait_gone
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Cursor
from installer.cluster.unconverted import readable_pages
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InstallerError
from installer.core.events import Event, silent
from installer.core.objects import Ref
from installer.operations import stored_versions
from installer.operations.stored_versions import check_stored, migrate
from installer.plan.stored import versions_of
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo

pytestmark = pytest.mark.cluster

COUNT = 25


@pytest.fixture
def cluster(sandbox: SandboxInfo) -> Any:
    """A cluster with notes that were stored at v1, in a CRD that stores v2 now."""
    found = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    found.apply(definition("v1", storage="v1"))
    wait_established(found, [CRD], deadline=30, cancel=Cancel())
    await_served(found, "v1")
    for index in range(COUNT):
        found.create(note(index, text=str(index)))
    found.apply(definition("v1", "v2", storage="v2"))
    await_served(found, "v2")
    yield found
    found.delete(CRD)
    wait_gone(found, [CRD], deadline=30, cancel=Cancel())


def test_objects_are_rewritten_before_the_version_they_were_stored_at_goes(
    cluster: Cluster, sandbox: SandboxInfo
) -> None:
    after = definition("v2", storage="v2")
    assert versions_in_etcd(sandbox)[GROUP, "Note"] == {"v1"}
    with pytest.raises(ApiError):
        cluster.apply(after)
    events: list[Event] = []
    migrate(cluster, [after], events.append, Cancel())
    assert stored(cluster) == ["v2"]
    assert versions_in_etcd(sandbox)[GROUP, "Note"] == {"v2"}
    assert [(e.name, e.fields.get("objects")) for e in events] == [
        ("migrating", None),
        ("stored", COUNT),
    ]
    cluster.apply(after)
    notes = cluster.list(f"{GROUP}/v2", "Note", "default").items
    assert sorted(int(note["text"]) for note in notes) == list(range(COUNT))
    migrate(cluster, [after], events.append, Cancel())
    assert len(events) == 2, "there is nothing to migrate any more"


def test_where_both_crds_have_no_version_in_common_nothing_is_written(cluster: Cluster) -> None:
    after = definition("v3", storage="v3")
    with pytest.raises(ChecksFailed, match="v2"):
        check_stored(cluster, {NAME: [versions_of(after)]})
    with pytest.raises(ChecksFailed):
        migrate(cluster, [after], silent, Cancel())
    assert stored(cluster) == ["v1", "v2"]


class Kept:
    """A bookmark in memory; `every` cursor that was kept."""

    def __init__(self) -> None:
        self.every: list[Cursor | None] = [None]

    def read(self) -> Cursor | None:
        return self.every[-1]

    def keep(self, cursor: Cursor | None) -> None:
        self.every.append(cursor)


def texts(cluster: Cluster) -> list[int]:
    """What the notes say; a LIST fails when one is stored at a version that is gone."""
    return sorted(int(n["text"]) for n in cluster.list(f"{GROUP}/v2", "Note", "default").items)


def through(proxy: FaultProxy) -> Cluster:
    return Cluster.connect(kubeconfig=str(proxy.kubeconfig), retry_for=2.0)


def test_a_note_that_somebody_writes_meanwhile_keeps_what_they_wrote(
    cluster: Cluster, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    theirs = Ref(f"{GROUP}/v2", "Note", "default", "note-7")
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        slow = proxy.on("PUT", r"/note-7", hang=True)

        worker = threading.Thread(
            target=lambda: migrate(
                through(proxy), [definition("v2", storage="v2")], silent, Cancel()
            )
        )
        worker.start()
        assert slow.met.wait(30)
        cluster.patch(theirs, {"text": "700"})
        slow.release()
        worker.join(60)
    assert stored(cluster) == ["v2"]
    cluster.apply(definition("v2", storage="v2"))
    assert texts(cluster) == [*(n for n in range(COUNT) if n != 7), 700]


def test_objects_whose_conversion_fails_are_all_named_and_nothing_is_struck_off(
    cluster: Cluster, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    message = "conversion webhook for notes.example.com/v1, Kind=Note failed: no such field"
    status = {"kind": "Status", "code": 500, "message": message}
    after = definition("v2", storage="v2")
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        proxy.on("PUT", r"/note-(7|11)\?", times=None, status=500, body=status)
        with pytest.raises(InstallerError) as caught:
            migrate(through(proxy), [after], silent, Cancel())
    assert caught.value.kind == "not-migrated"
    assert "default/note-7: " in caught.value.message
    assert "default/note-11: " in caught.value.message
    assert stored(cluster) == ["v1", "v2"]
    migrate(cluster, [after], silent, Cancel())
    cluster.apply(after)
    assert texts(cluster) == list(range(COUNT))


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[ConversionWebhook]:
    folder = tmp_path / "webhook"
    folder.mkdir()
    with ConversionWebhook(folder) as found:
        yield found


def impatient(sandbox: SandboxInfo) -> Cluster:
    """Who does not try again for long what fails."""
    return Cluster.connect(kubeconfig=str(sandbox.kubeconfig), retry_for=1.0)


def converted_by(cluster: Cluster, webhook: ConversionWebhook) -> None:
    """Have the API server ask the webhook, and wait until it does."""
    cluster.apply(definition("v1", "v2", storage="v2", conversion=webhook.conversion))
    cancel = Cancel(60)
    while not webhook.asked:
        cluster.list(f"{GROUP}/v2", "Note", "default")
        cancel.sleep(0.1, "for the conversion webhook to be asked")


def test_objects_that_no_list_can_convert_are_named_and_the_rest_is_written(
    cluster: Cluster,
    sandbox: SandboxInfo,
    webhook: ConversionWebhook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_versions, "_PAGE", 10)
    monkeypatch.setattr(unconverted, "_PATIENCE", 0.5)
    converted_by(cluster, webhook)
    webhook.refused = {"note-7", "note-11"}
    with pytest.raises(ApiError):
        cluster.list(f"{GROUP}/v2", "Note", "default")
    with pytest.raises(InstallerError) as caught:
        list(readable_pages(impatient(sandbox), f"{GROUP}/v2", "Note", size=10))
    assert caught.value.kind == "unconverted"
    assert "default/note-7: " in caught.value.message
    assert "default/note-11: " in caught.value.message
    after = definition("v2", storage="v2", conversion={"strategy": "None"})
    kept = Kept()
    with pytest.raises(InstallerError) as caught:
        migrate(impatient(sandbox), [after], silent, Cancel(), kept)
    assert caught.value.kind == "not-migrated"
    assert caught.value.message.startswith("2 objects of notes.notes.example.com")
    for name in ("note-7", "note-11"):
        assert f"default/{name}: " in caught.value.message
        assert f"{name} has a field that is no more" in caught.value.message
    assert stored(cluster) == ["v1", "v2"]
    assert kept.read() is None, "the next run must meet them again"
    assert len(cluster.list(f"{GROUP}/v1", "Note", "default").items) == COUNT, "nothing is lost"

    webhook.refused = set()
    webhook.asked.clear()
    migrate(impatient(sandbox), [after], silent, Cancel(), kept)
    again = {name for name, version in webhook.asked if version == f"{GROUP}/v2"}
    assert again == {"note-7", "note-11"}, "every other one was stored at v2 already"
    assert stored(cluster) == ["v2"]
    cluster.apply(after)
    assert texts(cluster) == list(range(COUNT))


def test_a_webhook_that_is_down_in_the_middle_only_delays(
    cluster: Cluster, webhook: ConversionWebhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_versions, "_PAGE", 5)
    converted_by(cluster, webhook)
    back = threading.Timer(2.0, webhook.up)

    def emit(event: Event) -> None:
        if event.name == "migrating" and not back.is_alive() and not back.finished.is_set():
            webhook.down()
            back.start()

    after = definition("v2", storage="v2", conversion={"strategy": "None"})
    migrate(cluster, [after], emit, Cancel())
    assert back.finished.is_set()
    assert stored(cluster) == ["v2"]
    cluster.apply(after)
    assert texts(cluster) == list(range(COUNT))


def test_an_api_server_that_restarts_in_the_middle_only_delays(
    cluster: Cluster, sandbox: SandboxInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_versions, "_PAGE", 5)
    restarted: list[str] = []

    def emit(event: Event) -> None:
        if event.name == "migrating" and not restarted:
            restarted.append(sandbox.name)
            lifecycle.restart(sandbox.name, "kube-apiserver")

    after = definition("v2", storage="v2")
    migrate(cluster, [after], emit, Cancel())
    assert restarted
    assert stored(cluster) == ["v2"]
    cluster.apply(after)
    assert texts(cluster) == list(range(COUNT))


def test_a_webhook_that_stays_down_is_named_and_the_same_run_goes_on_when_it_is_back(
    cluster: Cluster,
    sandbox: SandboxInfo,
    webhook: ConversionWebhook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_versions, "_PAGE", 5)
    monkeypatch.setattr(unconverted, "_PATIENCE", 0.5)
    converted_by(cluster, webhook)

    def emit(event: Event) -> None:
        if event.name == "migrating":
            webhook.down()

    after = definition("v2", storage="v2", conversion={"strategy": "None"})
    with pytest.raises(InstallerError, match=r"conversion of Note\.notes"):
        migrate(impatient(sandbox), [after], emit, Cancel())
    assert stored(cluster) == ["v1", "v2"]
    webhook.up()
    migrate(cluster, [after], silent, Cancel())
    assert stored(cluster) == ["v2"]
    cluster.apply(after)
    assert texts(cluster) == list(range(COUNT))


def test_a_crd_that_stores_another_version_by_now_is_not_struck_off_its_list(
    cluster: Cluster,
) -> None:
    def emit(event: Event) -> None:
        if event.name == "migrating":  # when the objects are written, before the list is cut down
            cluster.apply(definition("v1", "v2", "v3", storage="v3"))

    with pytest.raises(InstallerError, match="somebody else"):
        migrate(cluster, [definition("v2", storage="v2")], emit, Cancel())
    assert stored(cluster) == ["v1", "v2", "v3"]


def test_another_change_of_the_crd_does_not_stop_it(cluster: Cluster) -> None:
    def emit(event: Event) -> None:
        if event.name == "migrating":
            cluster.patch(CRD, {"metadata": {"labels": {"seen": "yes"}}})

    migrate(cluster, [definition("v2", storage="v2")], emit, Cancel())
    assert stored(cluster) == ["v2"]


def test_a_snapshot_that_was_compacted_away_is_gone_on_from_where_it_was(
    cluster: Cluster,
    sandbox: SandboxInfo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_versions, "_PAGE", 10)
    pages = list(cluster.pages(f"{GROUP}/v2", "Note", size=10))
    assert [len(page.items) for page in pages] == [10, 10, 5]
    gone = {
        "kind": "Status",
        "code": 410,
        "reason": "Expired",
        "message": "too old",
        "metadata": {"continue": pages[0].token},
    }
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        rule = proxy.on("GET", "/notes.*continue=", status=410, body=gone)
        client = through(proxy)
        kept = Kept()
        kept.keep(Cursor(f"{NAME} v2", "an-expired-token", 10))
        migrate(client, [definition("v2", storage="v2")], silent, Cancel(), kept)
        assert rule.hits == 1
        assert proxy.count("PUT", "/note-") == COUNT - 10
    assert stored(cluster) == ["v2"]


def test_a_migration_that_is_killed_goes_on_where_it_was(
    cluster: Cluster, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    script = tmp_path / "migrate.py"
    script.write_text(KILLED)
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        words = [sys.executable, str(script), str(proxy.kubeconfig), str(tmp_path / "cursor")]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "migrating 10\n"
            first.send_signal(signal.SIGKILL)
        assert stored(cluster) == ["v1", "v2"]
        before = proxy.count("PUT", "/note-")
        second = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        assert proxy.count("PUT", "/note-") - before == COUNT - 10
    assert second.stdout.splitlines()[-1] == "stored 25"
    cluster.apply(definition("v2", storage="v2"))
    assert texts(cluster) == list(range(COUNT))


KILLED = """
import json, sys, time
from dataclasses import asdict
from pathlib import Path
from installer.cluster.client import Cluster
from installer.cluster.ledger import Cursor
from installer.core.cancel import Cancel
from installer.operations import stored_versions

stored_versions._PAGE = 10
place = Path(sys.argv[2])
resumed = place.exists()

class OnDisk:
    def read(self):
        return Cursor(**json.loads(place.read_text())) if place.exists() else None
    def keep(self, cursor):
        place.write_text(json.dumps(asdict(cursor))) if cursor else place.unlink(missing_ok=True)

def emit(event):
    if event.name in ("migrating", "stored"):
        print(event.name, event.fields.get("done", event.fields.get("objects")), flush=True)
        if not resumed:
            time.sleep(60)

crd = {"metadata": {"name": "notes.notes.example.com"},
       "spec": {"versions": [{"name": "v2", "storage": True}]}}
cluster = Cluster.connect(kubeconfig=sys.argv[1])
stored_versions.migrate(cluster, [crd], emit, Cancel(), OnDisk())
"""

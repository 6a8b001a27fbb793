"""`--timeout` is one limit for the whole run, whatever the run is busy with."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import (
    RELEASE,
    Installer,
    MakePlace,
    Place,
    at_stage,
    audited_writes,
    finish,
    follow,
)

from installer.sandbox import lifecycle, script
from installer.sandbox.script import ImageRule, Script

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def there(place: MakePlace) -> Place:
    """One sandbox for this module, on which no install ends."""
    return place()


@pytest.fixture
def silent_mirror() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_download_ends_with_the_limit_and_nothing_was_written(
    there: Place, silent_mirror: str, tmp_path: Path
) -> None:
    before = len(audited_writes(there.audit_log))
    nothing_kept = {"KSERVE_INSTALLER_CACHE": str(tmp_path)}
    installer = Installer(there.installer.kubeconfig, silent_mirror, nothing_kept)  # type: ignore[arg-type]
    ended = installer.run("install", RELEASE, "--timeout", "2s")
    assert ended.code == 4, ended.stderr
    assert "the limit of 2 s for the whole run has passed" in ended.finished["error"]["message"]
    assert ended.finished["seconds"] < 10
    assert audited_writes(there.audit_log)[before:] == []


def test_a_server_that_stops_answering_ends_the_run_with_the_limit(there: Place) -> None:
    process = there.installer.start("install", RELEASE, "--timeout", "15s")
    follow(process, at_stage("istio", "crds"))
    lifecycle.signal_component(there.sandbox.name, "etcd", signal.SIGSTOP)
    try:
        ended = finish(process)
    finally:
        lifecycle.signal_component(there.sandbox.name, "etcd", signal.SIGCONT)
    assert ended.code == 4, ended.stderr
    assert ended.finished["error"]["kind"] == "deadline"
    # the limit, and last words to a server that is mute
    assert ended.finished["seconds"] < 15 + 20


def test_what_was_waited_for_is_named_when_the_limit_has_passed(there: Place) -> None:
    slow = ImageRule(match="istio/pilot", ready_seconds=3600)
    script.write(there.sandbox.script, Script(images=(slow,)))
    ended = there.installer.run("install", RELEASE, "--timeout", "40s")
    script.write(there.sandbox.script, Script())
    assert ended.code == 4
    error = ended.finished["error"]
    assert error["object"], error
    assert " after " in error["message"]
    assert ended.finished["seconds"] < 60


def test_a_dry_run_tells_every_object_as_an_event_and_writes_nothing(there: Place) -> None:
    before = len(audited_writes(there.audit_log))
    dry = there.installer.run("install", RELEASE, "--dry-run")
    assert dry.code == 0, dry.stderr
    planned = dry.of("planned")[0]
    told = [event["action"] for event in dry.of("object")]
    assert (told.count("create"), told.count("change")) == (planned["create"], planned["change"])
    assert planned["create"] + planned["change"] > 0
    assert audited_writes(there.audit_log)[before:] == []

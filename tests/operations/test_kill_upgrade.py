"""SIGKILL right after every event of an upgrade; `make test-kill` runs it, as `test_kill` says."""

from __future__ import annotations

import os
import signal
import time

import pytest
from harness import RELEASE, EndState, MakePlace, Place, assert_complete, state_of
from test_kill import shard

from installer.cluster import ledger as ledgers
from installer.sandbox import lifecycle

pytestmark = [pytest.mark.cluster, pytest.mark.kill]

TARGET = "kfserving-0.6.1"


def installed(place: MakePlace) -> Place:
    """A sandbox of its own with RELEASE."""
    there = place()
    assert there.installer.run("install", RELEASE).code == 0
    return there


@pytest.mark.timeout(0)
def test_an_upgrade_killed_at_every_event_ends_the_same_when_run_again(
    place: MakePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every event of the shard in turn, until a run ends before its turn comes."""
    expected, events = undisturbed_upgrade(place)
    index, step = shard(os.environ.get("KILL_SHARD", "1/1"))
    failed: dict[int, str] = {}
    while index < events:
        began = time.monotonic()
        there = installed(place)
        try:
            killed_and_run_again(there, index, expected)
        except AssertionError as error:
            failed[index] = str(error)
        finally:
            lifecycle.down(there.sandbox.name)
        with capsys.disabled():
            said = "FAILED" if index in failed else "ok"
            print(f"\nevent {index}, {said}: {time.monotonic() - began:.0f} s", end="", flush=True)
        index += step
    assert not failed, failed


def undisturbed_upgrade(place: MakePlace) -> tuple[EndState, int]:
    """The end state of an upgrade that nothing disturbs, and how many events it has."""
    there = installed(place)
    done = there.installer.run("upgrade", TARGET)
    assert done.code == 0, done.finished
    cluster = there.cluster()
    owned = [entry.ref for entry in ledgers.read(cluster).owners().values()]
    state = state_of(cluster, owned)
    lifecycle.down(there.sandbox.name)
    return state, len(done.events)


def killed_and_run_again(there: Place, index: int, expected: EndState) -> None:
    """Kill an upgrade and finish it with another."""
    there.installer.run_until(index, signal.SIGKILL, "upgrade", TARGET)
    again = there.installer.run("upgrade", TARGET)
    assert again.code == 0, again.finished.get("error") or again.stderr
    assert_complete(there, expected, TARGET)

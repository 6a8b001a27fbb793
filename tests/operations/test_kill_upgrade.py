"""SIGKILL right after the events of upgrades; `make test-kill` runs it, as `test_kill` says.

`make test` has a spread of it: `test_upgrade` kills an upgrade of one hop at eight places of its
work. What is here takes a sandbox and two whole upgrades for each event, or three hops of the
largest releases there are: minutes at the least, of which `make test` has none to spare.
"""

from __future__ import annotations

import os
import signal
import time

import pytest
from harness import RELEASE, EndState, MakePlace, Place, assert_complete, state_of
from test_catalog_upgrades import MODEL, RUN, left_at_old_versions, uid_of, with_model
from test_kill import shard

from installer.cluster import ledger as ledgers
from installer.core.cancel import Cancel
from installer.operations.upgrade_serving import look
from installer.sandbox import lifecycle

pytestmark = [pytest.mark.cluster, pytest.mark.kill]

TARGET = "kfserving-0.6.1"
HOPS = ("kserve-0.13.1", "kserve-0.15.2", "kserve-0.16.0", "kserve-0.20.0")
"""Three hops, on Kubernetes 1.34.4."""
STRIDE = 150
"""Events from one kill to the next over them; a part of the shards begins within the first."""


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


def whole_state(there: Place) -> EndState:
    """Everything that the ledger owns, as it is on the server."""
    cluster = there.cluster()
    return state_of(cluster, [entry.ref for entry in ledgers.read(cluster).owners().values()])


@pytest.mark.timeout(0)
def test_three_hops_killed_over_and_over_end_as_those_that_nothing_disturbs(
    place: MakePlace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run goes on where the one before it was killed, and is killed later itself."""
    origin, target = HOPS[0], HOPS[-1]
    calm = with_model(place, origin, "1.34.4")
    done = calm.installer.run("upgrade", target, timeout=2 * RUN)
    assert done.code == 0, done.finished
    assert [event["to"] for event in done.of("hop_finished")] == list(HOPS[1:])
    expected = whole_state(calm)
    lifecycle.down(calm.sandbox.name)

    there = with_model(place, origin, "1.34.4")
    uid = uid_of(there.cluster(), MODEL)
    part, parts = shard(os.environ.get("KILL_SHARD", "1/1"))
    index, hit = STRIDE * part // parts, True
    while hit:
        began = time.monotonic()
        ended, hit = there.installer.run_until(index, signal.SIGKILL, "upgrade", target)
        with capsys.disabled():
            at = " ".join(str(ended.events[-1].get(k, "")) for k in ("event", "component", "stage"))
            print(f"\nevent {index}, {at}: {time.monotonic() - began:.0f} s", end="", flush=True)
        index += STRIDE
    assert ended.code == 0, ended.finished
    assert ledgers.read(there.cluster()).before == HOPS[-2]
    assert_complete(there, expected, target)
    assert left_at_old_versions(there) == []
    assert uid_of(there.cluster(), MODEL) == uid
    found = look(there.cluster(), Cancel())
    assert (len(found.services), found.unwell, found.silent) == (1, (), ())
    lifecycle.down(there.sandbox.name)

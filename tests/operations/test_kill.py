"""SIGKILL right after every event of an install; `make test-kill` runs it.

Each event has a sandbox of its own, since a new one is there sooner than an uninstall is done.
All events take hours: KILL_SHARD=3/8 takes the third of eight parts, every eighth event.
"""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from harness import RELEASE, EndState, MakePlace, Place, assert_complete

from installer.sandbox import lifecycle

pytestmark = [pytest.mark.cluster, pytest.mark.kill]


def shard(text: str) -> tuple[int, int]:
    """The first event and the step of a part: "3/8" begins with event 2 and takes every eighth."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(f"KILL_SHARD={text}: want part/parts, such as 3/8")
    return int(found[1]) - 1, int(found[2])


@pytest.mark.timeout(0)
def test_an_install_killed_at_every_event_ends_the_same_when_run_again(
    place: MakePlace, undisturbed: EndState, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every event of the shard in turn, until a run ends before its turn comes."""
    index, step = shard(os.environ.get("KILL_SHARD", "1/1"))
    failed: dict[int, str] = {}
    killed = 0
    while True:
        began = time.monotonic()
        there = place()
        try:
            hit, at = killed_and_run_again(there, index, undisturbed)
        except AssertionError as error:
            hit, at = True, "FAILED"
            failed[index] = str(error)
        finally:
            lifecycle.down(there.sandbox.name)
        if not hit:
            break
        killed += 1
        with capsys.disabled():
            print(f"\nevent {index}, {at}: {time.monotonic() - began:.0f} s", end="", flush=True)
        index += step
    assert not failed, f"{len(failed)} of {killed}: {failed}"
    assert killed * step > len(undisturbed), "an install has more events than objects"


def killed_and_run_again(there: Place, index: int, undisturbed: EndState) -> tuple[bool, str]:
    """Kill an install and finish it with another: whether it was hit, and at which event."""
    ended, hit = there.installer.run_until(index, signal.SIGKILL, "install", RELEASE)
    if not hit:
        assert ended.code == 0, ended.finished.get("error") or ended.stderr
        return False, ""
    again = there.installer.run("install", RELEASE)
    assert again.code == 0, again.finished.get("error") or again.stderr
    assert_complete(there, undisturbed)
    event = ended.events[index]
    return True, " ".join(
        str(event[key]) for key in ("event", "component", "stage") if key in event
    )

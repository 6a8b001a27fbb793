"""The words of a run, from a fixed list of events: golden texts, in a pipe and on a terminal."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import replace

from installer.cli.live import Live
from installer.cli.terminal import Terminal
from installer.cli.text import Text
from installer.cli.wording import Hints
from installer.core.events import Event

HINTS = Hints(
    "kserve-installer",
    "install",
    " --context kind-dev",
    "kserve-installer install kfserving-0.5.1 --yes",
)
HIDE_CURSOR = "\x1b[?25l"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

DONE = """\
[  0.0s] install kfserving-0.5.1 on kind-dev (https://127.0.0.1:6443, Kubernetes 1.20.2, \
3 nodes)
[  0.5s] istio: 800 B from network in 0.2s: https://example.com/istio.yaml
[  1.0s] sources: 2 sources verified, 1.2 MB, from cache and network
[  1.0s] plan: 4 objects: 3 to create, 1 to change, 0 unchanged; istio 1.6.2, kfserving 0.5.1
[  2.0s] istio: workloads: waiting for Deployment istio-system/istiod: 0 of 1 replicas ready \
(and 1 more)
[  4.0s] retrying Deployment istio-system/istiod in 0.5s (try 1 failed): connection refused
[   13s] istio: workloads: 2 objects, 2 written in 0.3s, ready after 12s
[   13s] ✔ istio 1.6.2 ready in 12s
[   14s] ‼ Node a: the clock is 40 s off; use NTP

✔ kfserving-0.5.1 installed: 1 created, 1 changed, 9 writes, 1m15s

  component    stage      apply  wait
  istio 1.6.2  workloads   0.3s   12s

next:
  kserve-installer status --context kind-dev
"""

FAILED = """\

✘ install failed after 1m15s
  what   StatefulSet kfserving-system/kfserving-controller-manager
  why    the image kfserving/manager:v0.5.1 cannot be pulled: not found
  state  done: istio 1.6.2
         stopped: kfserving 0.5.1 in stage workloads, 0 of 2 objects
         1 created, 1 changed, 9 writes; nothing was rolled back, the ledger knows every object
  next   make the image available, then run again
         kserve-installer install kfserving-0.5.1 --yes
"""


def at_four() -> float:
    """Four seconds after the first event."""
    return 1_600_000_004.0


def plain(events: list[Event], *, verbose: bool = False, **abilities: object) -> str:
    stream = io.StringIO()
    terminal = Terminal(**{"unicode": True, **abilities})  # type: ignore[arg-type]
    text = Text(stream, terminal, HINTS, verbose=verbose)
    for event in events:
        text.emit(event)
    return stream.getvalue()


def test_a_run_in_a_pipe_is_one_line_per_meaningful_event(run_done: list[Event]) -> None:
    assert plain(run_done) == DONE


def test_a_failure_says_what_why_in_which_state_and_what_next(run_failed: list[Event]) -> None:
    assert plain(run_failed).endswith(FAILED)


def test_objects_have_lines_only_when_asked_for(run_done: list[Event]) -> None:
    line = "istio: workloads: created Deployment istio-system/istiod"

    assert line not in plain(run_done)
    assert line in plain(run_done, verbose=True)


def test_without_colours_there_is_no_escape_code(run_done: list[Event]) -> None:
    assert "\x1b" not in plain(run_done)
    assert "\x1b[32m✔\x1b[0m" in plain(run_done, colour=True)


def test_colours_change_nothing_but_colours(run_done: list[Event]) -> None:
    assert ESCAPES.sub("", plain(run_done, colour=True)) == DONE


def test_an_encoding_without_the_signs_gets_plain_ones(run_done: list[Event]) -> None:
    assert plain(run_done, unicode=False).isascii()


def test_a_resumed_run_says_what_is_done_and_what_is_left() -> None:
    done, left = ["istio/namespaces", "istio/crds"], ["istio/setup", "kfserving/crds"]

    text = plain([Event("resuming", {"run": "r0", "done": done, "left": left})])

    assert "continuing run r0, which did not end\n" in text
    assert "done before: istio (namespaces, crds)\n" in text
    assert "left to do: istio (setup), kfserving (crds)\n" in text


def test_nothing_to_do_is_said_in_one_line(run_done: list[Event]) -> None:
    counts = {"created": 0, "changed": 0, "unchanged": 4, "deleted": 0, "writes": 0}
    end = Event("finished", {"outcome": "unchanged", "exit_code": 0, "seconds": 0.8, **counts})

    text = plain([run_done[0], end])

    assert "✔ kfserving-0.5.1 is installed: nothing to do, 0 writes, 0.8s\n" in text


def test_a_failure_before_the_first_write_says_that_nothing_was_written() -> None:
    error = {"kind": "usage", "message": "no such context", "object": "", "remedy": ""}
    counts = {"created": 0, "changed": 0, "unchanged": 0, "deleted": 0, "writes": 0}
    fields = {"outcome": "failed", "exit_code": 2, "seconds": 0.1, "error": error, **counts}

    text = plain([Event("finished", fields)])

    assert "state  nothing was written to the cluster" in text
    assert "next" not in text


def test_a_host_that_does_not_answer_has_one_line_for_each_try_whatever_is_wanted_from_it(
    run_done: list[Event],
) -> None:
    def tried(file: str, attempt: int) -> Event:
        fields = {"object": f"https://mirror.test/{file}", "cause": "no route", "delay": 0.5}
        return Event("retrying", {**fields, "attempt": attempt})

    events = [tried(file, attempt) for attempt in (1, 2) for file in ("a.yaml", "b.yaml")]
    said = plain([run_done[0], *events]).splitlines()[1:]
    assert ["try 1" in line for line in said] == [True, False]
    assert len(plain([run_done[0], *events], verbose=True).splitlines()) == 1 + len(events)


def test_an_uninstall_speaks_of_deleting_and_of_no_component() -> None:
    ref = {"apiVersion": "v1", "kind": "Secret", "namespace": "a", "name": "b"}
    stage = {"component": "", "stage": "setup"}
    times = {"seconds": 3.0, "apply_seconds": 1.0, "wait_seconds": 2.0}
    counts = {"created": 0, "changed": 0, "unchanged": 0, "deleted": 1, "writes": 4}
    plan = {"components": [{"name": "istio", "version": "1.6.2"}], "objects": 1}
    events = [
        Event("started", {"command": "uninstall", "release": "", "cluster": {}}, 0),
        Event("planned", {**plan, "create": 0, "change": 0, "unchanged": 0}, 0),
        Event("stage_started", {**stage, "objects": 1}, 1),
        Event("object", {**stage, "action": "deleted", "object": ref}, 2),
        Event("stage_finished", {**stage, **times}, 4),
        Event("finished", {"outcome": "done", "exit_code": 0, "seconds": 4.0, **counts}, 4),
    ]

    assert plain(events).splitlines()[1:-2] == [
        "[  0.0s] plan: 1 object to delete; istio 1.6.2",
        "[  4.0s] setup: 1 object, 1 deleted in 1.0s, gone after 2.0s",
        "",
        "✔ the stack removed: 1 deleted, 4 writes, 4.0s",
        "",
        "  stage  apply  wait",
        "  setup   1.0s  2.0s",
        "",
    ]


def test_an_uninstall_of_nothing_says_whose_things_it_looked_for() -> None:
    counts = {"created": 0, "changed": 0, "unchanged": 0, "deleted": 0, "writes": 0}
    plan = {"components": [], "objects": 0, "create": 0, "change": 0, "unchanged": 0, "delete": 0}
    events = [
        Event("started", {"command": "uninstall", "release": "", "cluster": {}}, 0),
        Event("planned", plan, 0),
        Event("finished", {"outcome": "unchanged", "exit_code": 0, "seconds": 0.1, **counts}, 0),
    ]

    lines = plain(events).splitlines()

    assert lines[1] == "[  0.0s] plan: 0 objects to delete"
    assert "✔ nothing is installed here by kserve-installer: nothing to do, 0 writes, 0.1s" in lines


WAITS_FOR_SERVER = Event(
    "waiting",
    {
        "component": "",
        "stage": "connect",
        "for": [{"object": "https://1.2.3.4", "state": "progressing", "reason": "asked"}],
        "pending": 1,
        "total": 1,
    },
    1_600_000_000,
)


def test_what_is_waited_for_before_any_component_is_no_component() -> None:
    error = {"kind": "unreachable", "message": "no answer", "object": "", "remedy": ""}
    counts = {"created": 0, "changed": 0, "unchanged": 0, "deleted": 0, "writes": 1}
    fields = {"outcome": "failed", "exit_code": 1, "seconds": 0.1, "error": error, **counts}

    text = plain([WAITS_FOR_SERVER, Event("finished", fields, 1_600_000_000)])

    assert text.startswith("[  0.0s] connect: waiting for https://1.2.3.4: asked\n")
    assert "not begun" not in text


def live(events: list[Event], **abilities: object) -> str:
    stream = io.StringIO()
    terminal = Terminal(**{"unicode": True, "live": True, "width": 80, **abilities})  # type: ignore[arg-type]
    renderer = Live(stream, terminal, HINTS, clock=at_four)
    for event in events:
        renderer.emit(event)
    renderer.close()
    return stream.getvalue()


def test_finished_lines_stay_above_the_live_region(run_done: list[Event]) -> None:
    shown = live(run_done)

    assert "✔ istio 1.6.2 ready in 12s" in shown
    assert ESCAPES.sub("", shown).endswith(DONE[DONE.index("\n✔ kfserving") :])


def test_a_terminal_shows_what_is_waited_for_before_there_is_a_region() -> None:
    assert "connect: waiting for https://1.2.3.4: asked" in live([WAITS_FOR_SERVER])


def test_the_live_region_says_what_is_waited_for(run_done: list[Event]) -> None:
    stream = io.StringIO()
    renderer = Live(stream, Terminal(unicode=True, live=True, width=100), HINTS, clock=at_four)
    for event in run_done[:9]:
        renderer.emit(event)
    renderer._region.refresh()  # type: ignore[union-attr]
    renderer.close()

    shown = ESCAPES.sub("", stream.getvalue())

    why = "Deployment istio-system/istiod: 0 of 1 replicas ready"
    assert f" istio 1.6.2  workloads 2/2  3.0s  {why}" in shown
    assert "· kfserving 0.5.1\n" in shown
    assert "2 of 4 objects, 4.0s" in shown


def test_components_that_begin_at_once_share_one_region(run_done: list[Event]) -> None:
    stream = io.StringIO()
    renderer = Live(stream, Terminal(unicode=True, live=True, width=80), HINTS, clock=at_four)
    begins = [run_done[4], Event("component_started", {"component": "knative", "version": "1"})]
    gate = threading.Barrier(len(begins))

    def begin(event: Event) -> None:
        gate.wait()
        renderer.emit(event)

    threads = [threading.Thread(target=begin, args=(event,)) for event in begins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    renderer.close()

    assert stream.getvalue().count(HIDE_CURSOR) == 1


def test_the_live_region_fits_a_narrow_terminal(run_done: list[Event]) -> None:
    stream = io.StringIO()
    renderer = Live(stream, Terminal(unicode=True, live=True, width=40), HINTS, clock=at_four)
    for event in run_done[:9]:
        renderer.emit(event)
    before = len(stream.getvalue())
    renderer._region.refresh()  # type: ignore[union-attr]
    drawn = ESCAPES.sub("", stream.getvalue()[before:])
    renderer.close()

    assert max(len(line) for line in re.split(r"[\r\n]", drawn)) <= 40


def test_the_live_region_has_no_colours_when_they_are_off(run_done: list[Event]) -> None:
    codes = re.findall(r"\x1b\[([0-9;]*)m", live(run_done))

    assert not any(code for code in codes if set(code.split(";")) - {"", "0", "2"})


def test_the_cursor_is_shown_again_at_the_end(run_failed: list[Event]) -> None:
    shown = live(run_failed)

    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0


def ended(command: str, *, dry_run: bool = False, outcome: str = "done", **counts: int) -> str:
    """The last line of a command."""
    shown = replace(HINTS, command=command, dry_run=dry_run)
    out = io.StringIO()
    text = Text(out, Terminal(unicode=True), shown)
    begun = {"command": command, "release": "", "context": "here", "server": "s"}
    text.emit(Event("started", {**begun, "kubernetes": "1.20.2", "nodes": 1}))
    fields = {"outcome": outcome, "exit_code": 0, "seconds": 1.0, "writes": 0, **counts}
    text.emit(Event("finished", fields))
    return next(line for line in out.getvalue().splitlines() if "✔" in line)


def test_commands_without_a_release_say_what_they_have_done() -> None:
    assert ended("backup") == "✔ backed up: 0 writes, 1.0s"
    assert ended("rollback", changed=2, writes=3) == "✔ rolled back: 2 changed, 3 writes, 1.0s"
    assert ended("restore", outcome="unchanged").startswith("✔ everything in the backup is here: ")
    said = ended("restore", dry_run=True, created=4, unchanged=2)
    assert said == "✔ dry run: nothing was written; 4 to create, 0 to change, 2 as they are"

"""SIGINT and SIGTERM: once to stop in order, twice to stop at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cli_process import ROOT, environment

ENGINE = """
import sys, threading
from installer.cli.commands import parse
from installer.cli.session import Session

def orderly(session):
    print("at work", file=sys.stderr, flush=True)
    session.cancel.sleep(60, "sleeping")
    return {}

def stubborn(session):
    print("at work", file=sys.stderr, flush=True)
    threading.Event().wait(60)
    return {}

work = {"orderly": orderly, "stubborn": stubborn}[sys.argv[1]]
sys.exit(Session(parse(["install", "r", *sys.argv[2:]]), "install").run(work))
"""


@contextmanager
def engine(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({"PYTHONPATH": str(ROOT)}),
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "at work\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_in_order_with_130(number: signal.Signals) -> None:
    with engine("orderly") as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "install was interrupted after" in said
    assert "run the same command again" in said


def test_the_last_json_line_tells_of_the_interruption() -> None:
    with engine("orderly", "-o", "json") as process:
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=30)

    last = json.loads(printed.splitlines()[-1])
    assert (last["event"], last["outcome"], last["exit_code"]) == ("finished", "interrupted", 130)
    assert last["error"]["kind"] == "interrupted"


def test_a_second_signal_does_not_wait_for_anything() -> None:
    with engine("stubborn") as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        assert "once more to stop at once" in process.stderr.readline()
        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=30) == 130
        assert "stopped at once" in process.stderr.read()

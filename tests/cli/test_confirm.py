"""Before the first write a person says yes, or a flag does. A pseudo-terminal plays the person."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cli_process import ROOT, environment

ENGINE = """
import sys
from installer.cli.commands import parse
from installer.cli.session import Session

def work(session):
    session.confirm("About to install", [("context", "kind-dev"), ("nodes", "3"), ("empty", "")])
    print("the work begins", file=sys.stderr, flush=True)
    return {"outcome": "done"}

sys.exit(Session(parse(["install", "r", *sys.argv[1:]]), "install").run(work))
"""


@dataclass
class Person:
    """A process on a pseudo-terminal, and what it has said so far."""

    process: subprocess.Popen[bytes]
    terminal: int
    said: str = ""

    def reads(self, words: str) -> None:
        """Wait until the process has said these words."""
        while words not in self.said:
            assert self._more(), f"it ended without {words!r}: {self.said!r}"

    def types(self, words: str) -> None:
        """Press these keys."""
        os.write(self.terminal, words.encode())

    def ends(self) -> int:
        """Read to the end; the exit code."""
        while self._more():
            pass
        return self.process.wait(timeout=30)

    def _more(self) -> bool:
        ready, _, _ = select.select([self.terminal], [], [], 30)
        assert ready, f"silence after {self.said!r}"
        try:
            data = os.read(self.terminal, 4096)
        except OSError:  # the other side has closed
            return False
        self.said += data.decode()
        return bool(data)


@pytest.fixture
def person() -> Iterator[Person]:
    """Somebody at a terminal in front of an engine that asks."""
    terminal, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE],
        stdin=side,
        stdout=side,
        stderr=side,
        env=environment({"PYTHONPATH": str(ROOT)}),
        start_new_session=True,
    )
    os.close(side)
    try:
        yield Person(process, terminal)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def engine(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENGINE, *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment({"PYTHONPATH": str(ROOT)}),
        check=False,
    )


def test_the_cluster_is_shown_and_yes_begins_the_work(person: Person) -> None:
    person.reads("Continue? [y/N] ")
    assert "context  kind-dev" in person.said
    assert "empty" not in person.said
    person.types("y\n")

    assert person.ends() == 0
    assert "the work begins" in person.said


@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n", "\x04"])
def test_any_other_answer_writes_nothing(person: Person, answer: str) -> None:
    person.reads("Continue? [y/N] ")
    person.types(answer)

    assert person.ends() == 1
    assert "the work begins" not in person.said
    assert "nothing was written" in person.said


def test_an_interrupt_at_the_question_ends_with_130(person: Person) -> None:
    person.reads("Continue? [y/N] ")
    person.process.send_signal(signal.SIGINT)

    assert person.ends() == 130
    assert "the work begins" not in person.said


def test_without_a_terminal_it_stops_with_2_and_says_so() -> None:
    done = engine()

    assert done.returncode == 2
    assert "context  kind-dev" in done.stderr
    assert "standard input is not a terminal" in done.stderr
    assert "--yes" in done.stderr
    assert "the work begins" not in done.stderr


def test_yes_shows_the_cluster_and_does_not_ask() -> None:
    done = engine("--yes")

    assert done.returncode == 0
    assert "context  kind-dev" in done.stderr
    assert "Continue?" not in done.stderr
    assert "the work begins" in done.stderr


def test_with_json_and_yes_standard_error_is_left_alone() -> None:
    done = engine("--yes", "-o", "json")

    assert done.stderr == "the work begins\n"
    assert done.stdout.count("\n") == 1

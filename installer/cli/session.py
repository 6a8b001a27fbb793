"""One command's run against a cluster: renderer, signals, counts, and the `finished` event."""

from __future__ import annotations

import math
import shlex
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from installer.cli import confirm
from installer.cli.failure import COUNTS, explained, print_error, unwritten
from installer.cli.interrupts import Interrupts
from installer.cli.progress import Progress
from installer.cli.terminal import Terminal
from installer.cli.wording import Hints
from installer.core.cancel import Cancel
from installer.core.errors import ExitCode
from installer.core.events import Emit, Event, silent
from installer.core.masking import masked


class Renderer(Protocol):
    """What shows events: text, live, JSON lines.

    lost: why standard output took no more; None while all that had to be there is there.
    """

    lost: OSError | None

    def emit(self, event: Event) -> None:
        """Show one event; any thread, never raises."""

    def pause(self) -> None:
        """Leave the terminal to a prompt."""

    def close(self) -> None:
        """Leave the terminal for good."""


class Writer(Protocol):
    """What counts write requests: a `Cluster`."""

    @property
    def writes(self) -> int:
        """Write requests sent so far."""


def hints(args: Namespace) -> Hints:
    """Suggested commands keep the flags that choose the cluster."""
    target = ""
    for flag in ("kubeconfig", "context"):
        value = getattr(args, flag, None)
        if value:
            target += f" --{flag} {shlex.quote(value)}"
    same = again(args.program, args.words)
    return Hints(args.program, args.command, target, same, getattr(args, "dry_run", False))


def again(program: str, words: Sequence[str]) -> str:
    """A command line to be typed, without the secrets in it."""
    return " ".join([program, *map(shown, words)])


def without_looks(words: Sequence[str]) -> list[str]:
    """The words without what only says how the output looks."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ("-o", "--output"):
            next(rest, None)
        elif word not in _LOOKS and not word.startswith(("--output=", "-o")):
            kept.append(word)
    return kept


_LOOKS = ("--no-color", "-v", "--verbose", "--debug")


def shown(word: str) -> str:
    """A word of the command line, quoted to be typed again; not where a secret was taken out."""
    safe = masked(word)
    return safe if safe != word else shlex.quote(word)


def renderer(args: Namespace) -> Renderer:
    """The renderer that `-o` and the terminal ask for."""
    if args.output == "json":
        from installer.cli.jsonlines import JsonLines

        return JsonLines(sys.stdout)
    terminal = Terminal.of(sys.stderr, no_colour=args.no_color)
    if terminal.live:
        from installer.cli.live import Live

        return Live(sys.stderr, terminal, hints(args), verbose=args.verbose)
    from installer.cli.text import Text

    return Text(sys.stderr, terminal, hints(args), verbose=args.verbose)


def plain(args: Namespace) -> Emit:
    """Plain lines on stderr beside a document on stdout; none with `-o json`."""
    if args.output == "json":
        return silent
    from installer.cli.text import Text

    terminal = Terminal.of(sys.stderr, no_colour=args.no_color)
    return Text(sys.stderr, terminal, Hints(args.program), verbose=args.verbose).emit


def reading(args: Namespace) -> Emit:
    """Like `plain`, for commands that show what they decided themselves."""
    emit = plain(args)

    def but_the_plan(event: Event) -> None:
        if event.name != "planned":
            emit(event)

    return but_the_plan


class Session:
    """Runs one engine and reports how it ended; the last event is always `finished`."""

    def __init__(self, args: Namespace, command: str):
        self.args = args
        self.command = command
        self.cancel = Cancel(getattr(args, "timeout", math.inf))
        self.cluster: Writer | None = None
        self._renderer = renderer(args)
        self._interrupts = Interrupts(self.cancel)
        self._progress = Progress()
        self._telling = threading.Condition()
        self._under_way = 0
        self._over = False
        self._begun = time.monotonic()

    def emit(self, event: Event) -> None:
        """The `Emit` of every engine; threads that a failure left behind are not heard any more."""
        with self._telling:
            if self._over:
                return
            self._progress.on(event)
            self._under_way += 1
        try:
            self._renderer.emit(event)
        finally:
            with self._telling:
                self._under_way -= 1
                self._telling.notify_all()

    def run(self, work: Callable[[Session], Mapping[str, Any]]) -> int:
        """Do the work; it returns the fields of `finished` that differ from what was counted.

        Raises InstallerError when the work is done, but standard output did not take the events.
        """
        with self._interrupts:
            try:
                fields = dict(work(self))
                outcome, code = str(fields.pop("outcome", "done")), ExitCode.DONE
                self._finish(outcome, code, fields)
            except Exception as problem:
                return self._fail(problem)
            finally:
                self._renderer.close()
        if self._renderer.lost is not None:
            raise unwritten(self._renderer.lost)
        return code

    def confirm(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Show what is about to be changed and ask; see `confirm.confirm`."""
        self._renderer.pause()
        shown = self.args.output != "json" or not self.args.yes
        asked = time.monotonic()
        confirm.confirm(
            confirm.identity_lines(title, rows) if shown else (),
            yes=self.args.yes,
            stdin=sys.stdin,
            stderr=sys.stderr,
            interrupts=self._interrupts,
        )
        self.cancel.prolong(time.monotonic() - asked)

    def _fail(self, problem: Exception) -> int:
        error = explained(problem, debug=self.args.debug)
        interrupted = error.exit_code == ExitCode.INTERRUPTED
        outcome = "interrupted" if interrupted else "failed"
        self._finish(outcome, error.exit_code, {"error": error.to_dict()})
        if self.args.output == "json":
            print_error(error)
        return error.exit_code

    def _finish(self, outcome: str, code: int, fields: Mapping[str, Any]) -> None:
        with self._telling:
            self._over = True
            self._telling.wait_for(lambda: not self._under_way)
        counted = {**self._progress.counts, "writes": self.cluster.writes if self.cluster else 0}
        known = {name: fields[name] for name in COUNTS if name in fields}
        rest = {name: value for name, value in fields.items() if name not in COUNTS}
        self._renderer.emit(
            Event(
                "finished",
                {
                    "outcome": outcome,
                    "exit_code": int(code),
                    **counted,
                    **known,
                    "seconds": round(time.monotonic() - self._begun, 3),
                    **rest,
                },
            )
        )

"""Entry point of `kserve-installer` and `kubectl kserve`: parse, run, errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from installer.cli.commands import parse
from installer.cli.parser import PROGRAM, WrongWords, format_asked
from installer.core.errors import ExitCode, Interrupted

_PLUGIN = "kubectl-kserve"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the process's exit code."""
    words = list(sys.argv[1:] if words is None else words)
    _open_streams()
    try:
        return _flushed(_run(words))
    except BrokenPipeError:  # who read what was asked for had enough of it
        _forget_stdout()
        return ExitCode.DONE
    except KeyboardInterrupt:
        return _report(Interrupted(), words)
    except Exception as problem:
        return _report(problem, words)


def _run(words: list[str]) -> int:
    try:
        args = parse(words, _program())
    except SystemExit as ended:  # --help and --version have said what they had to
        return int(ended.code or 0)
    return int(_function(args)(args))


def _program() -> str:
    return "kubectl kserve" if PurePath(sys.argv[0]).stem == _PLUGIN else PROGRAM


def _function(args: Namespace) -> Callable[[Namespace], int]:
    if args.run is None:
        args.parser.print_help(sys.stderr)
        return lambda _: ExitCode.USAGE
    module, _, name = args.run.partition(":")
    function: Callable[[Namespace], int] = getattr(importlib.import_module(module), name)
    return function


def _flushed(code: int) -> int:
    """The exit code, which a reader that has gone does not change; a full disk raises, unless
    something else had failed before."""
    try:
        sys.stdout.flush()
    except OSError as problem:
        if code == ExitCode.DONE and not isinstance(problem, BrokenPipeError):
            raise
        _forget_stdout()
    return code


def _report(problem: BaseException, words: list[str]) -> int:
    from installer.cli.failure import explained, print_answer, print_error

    error = explained(problem, debug="--debug" in words)
    if not isinstance(problem, Interrupted):
        print_error(error)
    events = isinstance(problem, WrongWords) and problem.events
    print_answer(error, format_asked(words), events=events)
    _forget_stdout()
    return error.exit_code


def _open_streams() -> None:
    """A stream that whoever started us has closed: what is said there is lost, nothing else."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _forget_stdout() -> None:
    # The interpreter flushes stdout when it ends; a reader that has gone, or a full disk, would
    # make it print a second error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

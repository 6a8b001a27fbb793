"""Entry point of `kserve-installer` and `kubectl kserve`: parse, run, errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import PurePath

from installer.cli.parser import PROGRAM, parse
from installer.core.errors import ExitCode, InstallerError

_PLUGIN = "kubectl-kserve"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the process's exit code."""
    debug = "--debug" in (sys.argv if words is None else words)
    try:
        args = parse(sys.argv[1:] if words is None else words, _program())
        code = int(_function(args)(args))
        return _flushed(code)
    except BrokenPipeError:  # who read what was asked for had enough of it
        _forget_stdout()
        return ExitCode.DONE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as problem:
        return _report(problem, debug)


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
    """The exit code, which a reader that has gone does not change; a full disk raises."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    return code


def _report(problem: Exception, debug: bool) -> int:
    from installer.cli.session import explained, print_error

    error = explained(problem, debug=debug)
    print_error(error)
    _forget_stdout()
    return InstallerError.exit_code if error is not problem else error.exit_code


def _forget_stdout() -> None:
    # The interpreter flushes stdout when it ends; a reader that has gone, or a full disk, would
    # make it print a second error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

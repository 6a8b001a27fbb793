"""How a command that failed says so: a sentence on stderr, and on stdout what `-o` asked for."""

from __future__ import annotations

import contextlib
import errno
import sys
import traceback

from installer.core.errors import InstallerError
from installer.core.events import Event
from installer.core.masking import masked

COUNTS = ("created", "changed", "unchanged", "deleted", "writes")
"""The numbers in a `finished` event."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def explained(problem: BaseException, *, debug: bool) -> InstallerError:
    """The problem as an error for users, without secrets; its traceback only with --debug."""
    if debug:
        sys.stderr.write(masked("".join(traceback.format_exception(problem))))
    error = problem if isinstance(problem, InstallerError) else _unexpected(problem, debug)
    error.message = masked(error.message)
    error.object = masked(error.object)
    error.remedy = masked(error.remedy)
    return error


def unwritten(problem: OSError) -> InstallerError:
    """Standard output that takes no more: a full disk, mostly."""
    return InstallerError(
        f"the output cannot be written: {problem.strerror}",
        kind="output",
        remedy="make room where the output goes, then run the same command again",
    )


def _unexpected(problem: BaseException, debug: bool) -> InstallerError:
    # What is written to a file names it, or was explained where it was written.
    if isinstance(problem, OSError) and problem.filename is None and problem.errno in _FULL:
        return unwritten(problem)
    return InstallerError(
        f"internal error: {type(problem).__name__}: {problem}",
        kind="internal",
        remedy="" if debug else "run the same command with --debug and report what it prints",
    )


def print_error(error: InstallerError) -> None:
    """One sentence for people, and what to do."""
    from installer.cli.terminal import Terminal

    terminal = Terminal.of(sys.stderr)
    about = f"{error.object}: " if error.object and error.object not in error.message else ""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{terminal.paint('error:', 'red')} {about}{error.message}\n")
        if error.remedy:
            sys.stderr.write(f"{error.remedy}\n")


def print_answer(error: InstallerError, form: str, *, events: bool) -> None:
    """What takes the place of the output that was asked for; nothing for people.

    form: the value of `-o`. events: the command prints event lines, so the last of them.
    """
    if form not in ("json", "yaml"):
        return
    if events:
        from installer.cli.jsonlines import JsonLines

        JsonLines(sys.stdout).emit(failed(error))
        return
    from installer.cli.documents import document

    with contextlib.suppress(OSError):
        answer = {"error": error.to_dict(), "exit_code": int(error.exit_code)}
        sys.stdout.write(document(answer, form))
        sys.stdout.flush()


def failed(error: InstallerError) -> Event:
    """The `finished` of a command that could not even begin."""
    counts = dict.fromkeys(COUNTS, 0)
    fields = {"outcome": "failed", "exit_code": int(error.exit_code), **counts, "seconds": 0.0}
    return Event("finished", {**fields, "error": error.to_dict()})

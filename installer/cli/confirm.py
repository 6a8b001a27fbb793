"""Which cluster is about to be changed, and the question before the first write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from installer.cli.interrupts import Interrupts
from installer.cli.terminal import table
from installer.core.errors import InstallerError, UsageError


def identity_lines(title: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    """A heading and label-value rows."""
    return [f"{title}:", *table([list(row) for row in rows if row[1]]), ""]


def confirm(
    lines: Sequence[str],
    *,
    yes: bool,
    stdin: TextIO,
    stderr: TextIO,
    interrupts: Interrupts,
) -> None:
    """Show the lines; go on only when a person at a terminal says yes, or `yes` was given.

    Raises UsageError where there is nobody to ask, InstallerError on any other answer.
    """
    stderr.write("".join(f"{line}\n" for line in lines))
    stderr.flush()
    if yes:
        return
    if not (stdin.isatty() and stderr.isatty()):
        raise UsageError(
            "nobody is there to confirm this: standard input is not a terminal",
            kind="not-confirmed",
            remedy="look at the cluster named above; if it is the right one, add --yes",
        )
    with interrupts.prompting():
        stderr.write("Continue? [y/N] ")
        stderr.flush()
        answer = stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise InstallerError(
            "not confirmed; nothing was written to the cluster", kind="not-confirmed"
        )

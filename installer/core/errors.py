"""Errors and exit codes: the contract between engines and the command line.

Every error a user can meet is an `InstallerError`: one sentence of what went wrong, the object
it concerns, and what to do. `cli/` prints it and exits with `exit_code`; nothing else exits.
"""

from __future__ import annotations

from enum import IntEnum

from installer.core import words


class ExitCode(IntEnum):
    """Process exit codes, documented in the README."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECKS_FAILED = 3
    NOT_READY = 4
    DIFFERENCES = 5
    INTERRUPTED = 130


class InstallerError(Exception):
    """A failure explained to the user.

    kind: a short stable word for machines (`not-found`, `webhook-refused`, …), kebab-case.
    object: what it concerns, as `Kind namespace/name`, a file or a URL; empty when none.
    remedy: what to do, one sentence; empty when nothing sensible can be said.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, kind: str = "failed", object: str = "", remedy: str = ""):
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.object = object
        self.remedy = remedy

    def to_dict(self) -> dict[str, str]:
        """The `error` member of the `finished` event: {kind, message, object, remedy}."""
        return {
            "kind": self.kind,
            "message": self.message,
            "object": self.object,
            "remedy": self.remedy,
        }


class UsageError(InstallerError):
    """Wrong words on the command line, or a file given there that cannot be used."""

    exit_code = ExitCode.USAGE


class ChecksFailed(InstallerError):
    """Something that must hold before work starts does not; nothing was written."""

    exit_code = ExitCode.CHECKS_FAILED


class NotReady(InstallerError):
    """Applied, but not ready within the deadline, or failed for good while starting."""

    exit_code = ExitCode.NOT_READY


class Interrupted(InstallerError):
    """Stopped by SIGINT or SIGTERM; a later run picks up."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, message: str = "interrupted"):
        super().__init__(
            message,
            kind="interrupted",
            remedy="run the same command again: it continues where this run stopped",
        )


class InvalidInput(UsageError):
    """Untrusted input (catalog, settings, …) with every problem found, not only the first.

    what: its name, as the subject of a sentence; plural: whether that is more than one thing.
    """

    def __init__(
        self, what: str, problems: list[Problem], *, remedy: str = "", plural: bool = False
    ):
        lines = "\n".join(f"  {problem}" for problem in problems)
        count = words.plural(len(problems), "problem")
        verb = "have" if plural else "has"
        files = {problem.file for problem in problems}
        super().__init__(
            f"{what} {verb} {count}:\n{lines}",
            kind="invalid-input",
            object=files.pop() if len(files) == 1 else "",
            remedy=remedy,
        )
        self.problems = problems


class Problem:
    """One thing wrong in an input file: where (file and path in it), what, what was expected."""

    __slots__ = ("expected", "file", "found", "path")

    def __init__(self, file: str, path: str, found: str, expected: str):
        self.file = file
        self.path = path
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else self.file
        said = f"{where}: {self.found}"
        return f"{said}; expected {self.expected}" if self.expected else said

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

"""Objects before and after as unified YAML diffs, or handed to the user's own diff program.

What is given here has its Secrets masked already.
"""

from __future__ import annotations

import difflib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from installer.cli.terminal import Terminal
from installer.core.errors import InstallerError, UsageError
from installer.core.objects import Object
from installer.operations.planning import ObjectRow
from installer.plan.diff import comparable

VARIABLE = "KUBECTL_EXTERNAL_DIFF"
"""As kubectl reads it: a program with arguments, called with two directories."""
_CONTEXT = 3
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Readable(_Dumper):  # type: ignore[misc]
    """Texts of several lines as blocks, so that their lines can be compared."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's name
        return True


def _text(dumper: Any, value: str) -> Any:
    # a block cannot hold a line that ends in a space, nor a tab
    lines = value.split("\n")
    fits = len(lines) > 1 and not any(line != line.rstrip() or "\t" in line for line in lines)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if fits else None)


_Readable.add_representer(str, _text)


def differing(rows: Sequence[ObjectRow]) -> list[ObjectRow]:
    """The rows that have something to show."""
    return [row for row in rows if row.changes or (row.before is None) != (row.after is None)]


def unified(rows: Sequence[ObjectRow], terminal: Terminal) -> Iterator[str]:
    """Every difference as lines, without line ends."""
    for row in differing(rows):
        name = f"{row.ref} ({row.ref.api_version})"
        old, new = _lines(row.before), _lines(row.after)
        found = difflib.unified_diff(
            old,
            new,
            f"live: {name}" if row.before else "/dev/null",
            f"wanted: {name}" if row.after else "/dev/null",
            n=_CONTEXT,
            lineterm="",
        )
        yield ""
        yield terminal.paint(f"{row.action} {row.ref}: {row.reason}", "bold")
        for line in found:
            yield terminal.paint(line, _COLOURS.get(line[:1], "dim"))


def external(rows: Sequence[ObjectRow], environ: Mapping[str, str]) -> None:
    """Call the program in KUBECTL_EXTERNAL_DIFF with the directories LIVE-… and MERGED-….

    Raises UsageError when it cannot be started, InstallerError when it fails; 1 is its answer
    that something differs.
    """
    words = _words(environ[VARIABLE])
    with tempfile.TemporaryDirectory(prefix="kserve-installer-diff-") as folder:
        sides = [Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder)) for name in _SIDES]
        for row in differing(rows):
            for side, obj in zip(sides, (row.before, row.after), strict=True):
                if obj is not None:
                    text = "".join(f"{line}\n" for line in _lines(obj))
                    (side / _file_name(row)).write_text(text, encoding="utf-8")
        sys.stdout.flush()
        try:
            done = subprocess.run([*words, *map(str, sides)], check=False)
        except OSError as problem:
            raise UsageError(
                f"{VARIABLE} names {words[0]!r}, which cannot be started: {problem.strerror}",
                kind="external-diff",
                remedy=f"correct {VARIABLE}, or unset it",
            ) from problem
    if done.returncode not in (os.EX_OK, 1):
        raise InstallerError(
            f"{words[0]} (from {VARIABLE}) ended with {done.returncode}", kind="external-diff"
        )


def _words(value: str) -> list[str]:
    try:
        words = shlex.split(value)
    except ValueError as problem:
        raise UsageError(
            f"{VARIABLE} cannot be read: {problem}",
            kind="external-diff",
            remedy=f"correct {VARIABLE}, or unset it",
        ) from problem
    return words or ["diff", "-u", "-N"]


_SIDES = ("LIVE", "MERGED")


def _file_name(row: ObjectRow) -> str:
    """As kubectl names it: group.version.Kind.namespace.name."""
    group, _, version = row.ref.api_version.rpartition("/")
    parts = [group, version, row.ref.kind, row.ref.namespace, row.ref.name]
    return ".".join(part for part in parts if part).replace("/", "_").replace(":", "_")


def _lines(obj: Object | None) -> list[str]:
    if obj is None:
        return []
    shown = yaml.dump(
        comparable(obj), Dumper=_Readable, sort_keys=True, allow_unicode=True, width=1000
    )
    return shown.splitlines()

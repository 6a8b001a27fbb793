"""`status --drift` as text: every field that differs, under its object, with who made it."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from installer.cli.terminal import Terminal
from installer.core.words import plural
from installer.operations.drift_report import EXPECTED, LEFT, Difference, DriftReport
from installer.plan.diff import ABSENT

_VALUE = 60
_COLOURS = {**dict.fromkeys(EXPECTED, "dim"), "version": "cyan", "added": "cyan"}


def lines(report: DriftReport, release: str, terminal: Terminal, args: Namespace) -> Iterator[str]:
    """The section after the status report; args.verbose: with what is expected."""
    if not release:
        return  # the status says that nothing is installed
    told = [item for item in report.differences if item.origin not in EXPECTED]
    quiet = len(report.differences) - len(told)
    shown = report.differences if args.verbose else told
    yield ""
    for said in filter(None, (report.problem, report.note)):
        yield terminal.paint(f"{terminal.icon('warn')} {said}", "yellow")
    if shown:
        yield "drift:"
    for ref, items in groupby(shown, key=lambda item: item.ref):
        yield from _object(str(ref), list(items), terminal)
    if not shown:
        seen = "no object was changed since it" if report.problem else "everything is as it"
        yield f"no drift: {seen} was installed"
    if quiet and not args.verbose:
        by = "by controllers and by the server, as expected; see -v"
        yield f"  ({plural(quiet, 'field')} written {by})"
    if any(item.origin not in LEFT for item in told):
        yield ""
        yield from _repair(release, args.program)


def _object(name: str, items: Sequence[Difference], terminal: Terminal) -> Iterator[str]:
    if len(items) == 1 and not items[0].path:
        item = items[0]
        yield terminal.paint(f"  {name}: {_who(item)}", _COLOURS.get(item.origin, "yellow"))
        return
    yield f"  {name}"
    for item in items:
        values = ""
        if item.live is not ABSENT or item.installed is not ABSENT:
            values = f": {_value(item.live)}, wanted {_value(item.installed)}"
        text = f"    {item.path}{values} ({_who(item)})"
        yield terminal.paint(text, _COLOURS.get(item.origin, "yellow"))


def _who(item: Difference) -> str:
    by = f" by {item.manager}" if item.manager else ""
    when = f" at {item.time}" if item.time else ""
    return {
        "deleted": "deleted by somebody",
        "edit": f"changed{by}{when}",
        "added": f"added{by}{when}; an install leaves it",
        "version": "this installer or its settings want it otherwise than what is installed",
        "controller": f"changed{by}{when}, a controller",
        "others": f"written{by}{when}, and never ours",
        "server": "filled in by the server, which follows from another field",
        "unknown": "changed; nobody is noted",
    }[item.origin]


def _value(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"


def _repair(release: str, program: str) -> Iterator[str]:
    yield f"`{program} plan {release} --diff` shows what an install would change;"
    yield f"`{program} install {release}` puts it back."

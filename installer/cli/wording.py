"""Events as words: the lines that text output is made of, on a terminal and in a pipe alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from installer.cli.progress import DONE, FAILED, WAITS, Progress, Stage
from installer.cli.terminal import Terminal, duration, table
from installer.core.words import plural

_SHOWN_STAGE = 0.05


@dataclass(frozen=True, slots=True)
class Hints:
    """What suggested commands are made of.

    program: the command's name as the user typed it; command: `install`, `uninstall`, ….
    target: flags that choose the cluster, with a leading space, empty when none were given.
    again: the whole command line, to be repeated.
    dry_run: nothing was to be written.
    """

    program: str = "kserve-installer"
    command: str = ""
    target: str = ""
    again: str = ""
    dry_run: bool = False


def cluster_line(cluster: Mapping[str, Any]) -> str:
    """`kind-dev (https://127.0.0.1:6443, Kubernetes v1.20.2, 3 nodes)`."""
    version = str(cluster.get("version", "")).removeprefix("v")
    nodes = plural(int(cluster.get("nodes", 0)), "node")
    server = cluster.get("server", "")
    return f"{cluster.get('context', '')} ({server}, Kubernetes {version}, {nodes})"


def counts_line(fields: Mapping[str, Any]) -> str:
    """`292 to create, 3 to change, 0 unchanged` of a `planned` event."""
    line = (
        f"{fields.get('create', 0)} to create, {fields.get('change', 0)} to change, "
        f"{fields.get('unchanged', 0)} unchanged"
    )
    return line + (f", {fields['delete']} to delete" if fields.get("delete") else "")


def handed_over(fields: Mapping[str, Any]) -> list[str]:
    """The lines of a `handed_over` event."""
    what = ", ".join(fields["components"])
    place = f"{fields['namespace']}/{fields['name']}"
    said = f"Helm release {place} let go of {what}: Helm knows nothing of it any more"
    if fields["keeper"] != "helm":
        said = f"KnativeServing {place} is gone and {what} stay; Knative's operator runs without it"
    lines, left = [said], fields["left"]
    if left:
        lines.append(f"no part of the release, and left as they are: {', '.join(left)}")
    return lines


def checks_line(counts: Mapping[str, int]) -> str:
    """`30 checks ok, 2 warnings, 1 failed` from the numbers by verdict."""
    said = [f"{plural(counts.get('ok', 0), 'check')} ok"]
    if number := counts.get("warning"):
        said.append(plural(number, "warning"))
    for verdict, words in (
        ("unknown", "could not look"),
        ("failed", "failed"),
        ("skipped", "skipped"),
    ):
        if number := counts.get(verdict):
            said.append(f"{number} {words}")
    return ", ".join(said)


def object_name(ref: Mapping[str, str]) -> str:
    """`Deployment istio-system/istiod`."""
    place = f"{ref['namespace']}/{ref['name']}" if ref.get("namespace") else ref.get("name", "")
    return f"{ref.get('kind', '')} {place}"


def waiting_line(items: list[Mapping[str, str]], pending: int) -> str:
    """The most telling thing that is waited for, and how many more there are."""
    if not items:
        return ""
    first = items[0]
    reason = first.get("reason") or first.get("state", "")
    line = f"{first.get('object', '')}: {reason}" if reason else str(first.get("object", ""))
    rest = max(pending, len(items)) - 1
    return f"{line} (and {rest} more)" if rest > 0 else line


def stage_line(stage: Stage) -> str:
    """`25 objects, 25 written in 0.4s, ready after 0.2s`."""
    parts = [plural(stage.objects, "object")]
    if stage.written:
        verb = "deleted" if stage.deleted else "written"
        parts.append(f"{stage.written} {verb} in {duration(stage.apply_seconds)}")
    else:
        parts.append("nothing to write")
    if stage.wait_seconds >= _SHOWN_STAGE:
        verb = "gone" if stage.deleted else "ready"
        parts.append(f"{verb} after {duration(stage.wait_seconds)}")
    return ", ".join(parts)


def summary(
    progress: Progress, fields: Mapping[str, Any], terminal: Terminal, hints: Hints
) -> list[str]:
    """The lines that end a run which did what it was asked for."""
    took = duration(float(fields.get("seconds", 0.0)))
    ok = terminal.paint(terminal.icon("ok"), "green")
    if hints.dry_run and progress.command == "restore":
        would = ("created", "to create"), ("changed", "to change"), ("unchanged", "as they are")
        said = ", ".join(f"{fields.get(name, 0)} {word}" for name, word in would)
        return [f"{ok} dry run: nothing was written; {said}"]
    if hints.dry_run and fields.get("outcome") != "unchanged":
        return [f"{ok} dry run: nothing was written; without --dry-run the above is done"]
    if fields.get("outcome") == "unchanged":
        lines = [f"{ok} {_unchanged(progress)}: nothing to do, 0 writes, {took}"]
    else:
        lines = [f"{ok} {_subject(progress)}: {_counts(fields)}, {took}"]
        lines += [] if progress.command == "verify" else timing(progress)
    return lines + _next(progress, hints)


_DONE = {
    "backup": "backed up",
    "restore": "restored",
    "rollback": "rolled back",
    "upgrade": "upgraded",
    "rehearse": "rehearsed",
}
"""What is said of commands whose end is not that one release is there, or gone."""


def _subject(progress: Progress) -> str:
    if progress.command == "verify":
        return "a model answers through the ingress"
    if progress.command in _DONE:
        return _DONE[progress.command]
    past = {"install": "installed", "uninstall": "removed"}
    what = progress.release or "the stack"
    return f"{what} {past.get(progress.command, 'done')}"


def _unchanged(progress: Progress) -> str:
    if progress.command == "uninstall":
        return "nothing is installed here by kserve-installer"
    if progress.command == "restore":
        return "everything in the backup is here"
    return f"{progress.release or 'the stack'} is installed"


def _counts(fields: Mapping[str, Any]) -> str:
    names = ("created", "changed", "unchanged", "deleted")
    said = [f"{fields.get(name, 0)} {name}" for name in names if fields.get(name)]
    return ", ".join([*said, plural(int(fields.get("writes", 0)), "write")])


def timing(progress: Progress) -> list[str]:
    """A table of every stage that took time: applying and waiting apart."""
    rows = [["component", "stage", "apply", "wait"]]
    last = ""
    for name, entry in progress.components.items():
        for stage in (s for s in progress.stages.values() if s.component == name and s.finished):
            if stage.apply_seconds + stage.wait_seconds < _SHOWN_STAGE:
                continue
            title = entry.title if name != last else ""
            apply, wait = duration(stage.apply_seconds), duration(stage.wait_seconds)
            rows.append([title, stage.name, apply, wait])
            last = name
    if len(rows) == 1:
        return []
    if not any(row[0] for row in rows[1:]):  # an uninstall works on all components at once
        return ["", *table([row[1:] for row in rows], right=frozenset({1, 2}))]
    return ["", *table(rows, right=frozenset({2, 3}))]


def _next(progress: Progress, hints: Hints) -> list[str]:
    commands = {
        "install": [f"{hints.program} status{hints.target}"],
        "uninstall": [f"{hints.program} releases"],
    }.get(progress.command, [])
    return ["", "next:", *[f"  {command}" for command in commands]] if commands else []


def failure(
    progress: Progress, fields: Mapping[str, Any], terminal: Terminal, hints: Hints
) -> list[str]:
    """What failed, why, in which state the cluster is, and the next command."""
    error: Mapping[str, str] = fields.get("error") or {}
    command = hints.command or progress.command
    took = duration(float(fields.get("seconds", 0.0)))
    interrupted = fields.get("outcome") == "interrupted"
    verb = "was interrupted" if interrupted else "failed"
    sign = terminal.paint(terminal.icon("failed"), "red")
    lines = [f"{sign} {command} {verb} after {took}"]
    rows = [("what", error.get("object", ""))]
    rows += [("why", "" if interrupted else error.get("message", ""))]
    rows += [("state", state) for state in _state(progress, fields)]
    rows += [("next", step) for step in _steps(error, fields, hints)]
    last = ""
    for label, text in rows:
        for line in text.splitlines():
            lines.append(f"  {'' if label == last else label:<6} {line}")
            last = label
    return lines


def _state(progress: Progress, fields: Mapping[str, Any]) -> list[str]:
    if not progress.planned and not fields.get("writes"):
        return ["nothing was written to the cluster"]
    done = [entry.title for entry in progress.in_state(DONE)]
    left = [entry.title for entry in progress.in_state(WAITS)]
    lines = [f"done: {', '.join(done)}"] if done else []
    for entry in progress.in_state(FAILED):
        where = [entry.title] if entry.title else []
        if stage := entry.stage:
            where.append(f"in stage {stage.name}, {stage.done} of {stage.objects} objects")
        lines.append(f"stopped: {' '.join(where)}")
    lines += [f"not begun: {', '.join(left)}"] if left else []
    if progress.command == "verify":
        kept = int(fields.get("created", 0)) - int(fields.get("deleted", 0))
        return [f"{_counts(fields)}" + (f"; {kept} objects were kept" if kept > 0 else "")]
    if fields.get("writes"):
        lines.append(f"{_counts(fields)}; nothing was rolled back, the ledger knows every object")
    else:
        lines.append("nothing was written to the cluster")
    return lines


def _steps(error: Mapping[str, str], fields: Mapping[str, Any], hints: Hints) -> list[str]:
    again = [hints.again] if fields.get("writes") and hints.again else []
    if again and fields.get("outcome") == "interrupted":
        return again  # the remedy says the same in words
    return [error["remedy"], *again] if error.get("remedy") else again

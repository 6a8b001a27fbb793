"""Plain lines: one per meaningful event, no escape codes beyond colour. For pipes and logs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, TextIO
from urllib.parse import urlsplit

from installer.cli import wording
from installer.cli.progress import Progress
from installer.cli.terminal import Terminal, duration, size
from installer.cli.verify_view import check_lines
from installer.cli.wording import Hints
from installer.core.events import Event
from installer.core.words import plural


class Text:
    """Turns events into lines; `write` decides where a line goes.

    Elapsed times come from the events, so that the same events give the same text.
    """

    def __init__(self, stream: TextIO, terminal: Terminal, hints: Hints, *, verbose: bool = False):
        self.stream = stream
        self.terminal = terminal
        self.hints = hints
        self.verbose = verbose
        self.progress = Progress()
        self.lost: OSError | None = None  # no data goes through here
        self._lock = threading.Lock()
        self._tried: set[tuple[str, int]] = set()
        self._waits: dict[tuple[str, str], str] = {}
        self._sources: list[Mapping[str, Any]] = []

    def emit(self, event: Event) -> None:
        """Show one event. Safe to call from any thread."""
        with self._lock:
            self.progress.on(event)
            lines = self._lines(event)
        self.write(lines)

    def write(self, lines: list[str]) -> None:
        """Print whole lines; that nobody can read them any more does not stop the work."""
        if not lines:
            return
        with contextlib.suppress(OSError):
            self.stream.write("".join(f"{line}\n" for line in lines))
            self.stream.flush()

    def pause(self) -> None:
        """Get out of the way of a prompt."""

    def close(self) -> None:
        """Give the terminal back."""

    def _lines(self, event: Event) -> list[str]:
        if event.name == "finished":
            return self._finished(event.fields)
        if event.name == "source":
            return self._source(event.fields)
        words = getattr(self, f"_say_{event.name}", None)
        lines = words(event.fields) if words is not None else []
        if event.name == "planned":
            lines = self._verified() + lines
        return [self._stamp() + line for line in lines]

    @property
    def _is_verify(self) -> bool:
        """Its checks say all that components and stages would."""
        return self.progress.command == "verify"

    def _stamp(self) -> str:
        return self.terminal.paint(f"[{duration(self.progress.elapsed):>6}]", "dim") + " "

    def _finished(self, fields: Mapping[str, Any]) -> list[str]:
        failed = fields.get("outcome") in ("failed", "interrupted")
        block = wording.failure if failed else wording.summary
        return ["", *block(self.progress, fields, self.terminal, self.hints)]

    def _source(self, fields: Mapping[str, Any]) -> list[str]:
        self._sources.append(fields)
        if not self.verbose and fields.get("origin") != "network":
            return []
        took = duration(float(fields.get("seconds", 0.0)))
        what = f"{size(fields.get('bytes', 0))} from {fields.get('origin')} in {took}"
        return [self._stamp() + f"{fields.get('component')}: {what}: {fields.get('url')}"]

    def _verified(self) -> list[str]:
        if not self._sources:
            return []
        origins = sorted({str(source.get("origin")) for source in self._sources})
        total = size(sum(source.get("bytes", 0) for source in self._sources))
        count = plural(len(self._sources), "source")
        self._sources = []
        return [f"sources: {count} verified, {total}, from {' and '.join(origins)}"]

    def _say_started(self, fields: Mapping[str, Any]) -> list[str]:
        what = f"{fields['command']} {fields.get('release', '')}".rstrip()
        place = wording.cluster_line(fields.get("cluster") or {})
        return [f"{what} on {place}"]

    def _say_resuming(self, fields: Mapping[str, Any]) -> list[str]:
        return [
            f"continuing run {fields.get('run', '')}, which did not end",
            f"done before: {_grouped(fields.get('done') or ())}",
            f"left to do: {_grouped(fields.get('left') or ())}",
        ]

    def _say_handed_over(self, fields: Mapping[str, Any]) -> list[str]:
        return wording.handed_over(fields)

    def _say_planned(self, fields: Mapping[str, Any]) -> list[str]:
        names = ", ".join(f"{c['name']} {c['version']}".rstrip() for c in fields["components"])
        objects = plural(int(fields.get("objects", 0)), "object")
        if self.progress.command == "uninstall":
            said = f"{objects} to delete"
        else:
            said = f"{objects}: {wording.counts_line(fields)}"
        return ["plan: " + "; ".join(part for part in (said, names) if part)]

    def _say_check(self, fields: Mapping[str, Any]) -> list[str]:
        if self._is_verify:
            return check_lines(fields, self.terminal)
        if fields["verdict"] not in ("warning", "unknown"):
            return []  # what failed ends the run, which says so
        sign = self.terminal.paint(self.terminal.icon("warn"), "yellow")
        return [
            f"{sign} {fields['check']}: {detail['reason']}"
            for detail in fields["details"]
            if detail["verdict"] in ("warning", "unknown")
        ]

    def _say_checked(self, fields: Mapping[str, Any]) -> list[str]:
        if self._is_verify:
            return []  # each was shown
        return [f"preflight: {wording.checks_line(fields)}"]

    def _say_stage_started(self, fields: Mapping[str, Any]) -> list[str]:
        if not self.verbose:
            return []
        objects = plural(int(fields.get("objects", 0)), "object")
        return [f"{_stage(fields)}: begins, {objects}"]

    def _say_object(self, fields: Mapping[str, Any]) -> list[str]:
        if not self.verbose:
            return []
        name = wording.object_name(fields["object"])
        return [f"{_stage(fields)}: {fields['action']} {name}"]

    def _say_retrying(self, fields: Mapping[str, Any]) -> list[str]:
        delay = duration(float(fields.get("delay", 0.0)))
        attempt = int(fields.get("attempt", 1))
        host = urlsplit(str(fields["object"])).netloc
        if host and not self.verbose:
            # when a host does not answer, every file that is wanted from it is tried again
            if (host, attempt) in self._tried:
                return []
            self._tried.add((host, attempt))
        return [f"retrying {fields['object']} in {delay} (try {attempt} failed): {fields['cause']}"]

    def _say_waiting(self, fields: Mapping[str, Any]) -> list[str]:
        key = (fields["component"], fields["stage"])
        items = list(fields.get("for", ()))
        first = wording.waiting_line(items[:1], 1)
        if not first or self._waits.get(key) == first:
            return []  # only how many there are behind it has changed
        self._waits[key] = first
        shown = wording.waiting_line(items, int(fields.get("pending", 0)))
        return [f"{_stage(fields)}: waiting for {shown}"]

    def _say_stage_finished(self, fields: Mapping[str, Any]) -> list[str]:
        stage = self.progress.stages[(fields["component"], fields["stage"])]
        quiet = (not stage.written and stage.wait_seconds < 0.05) or self._is_verify
        if quiet and not self.verbose:
            return []
        return [f"{_stage(fields)}: {wording.stage_line(stage)}"]

    def _say_rehearsing(self, fields: Mapping[str, Any]) -> list[str]:
        copied = [
            plural(int(fields["objects"]), "object"),
            plural(int(fields["namespaces"]), "namespace"),
            f"{plural(int(fields['edits']), 'edited key')} of ConfigMaps",
            f"{plural(int(fields['config_maps']), 'ConfigMap')} of users",
            f"{plural(int(fields['secrets']), 'placeholder')} for Secrets",
        ]
        place = f"sandbox {fields['sandbox']} (Kubernetes {fields['kubernetes']})"
        return [f"copied to {place}: {', '.join(copied)}"]

    def _say_hop_started(self, fields: Mapping[str, Any]) -> list[str]:
        lines = [f"hop {fields['hop']} of {fields['hops']}: {fields['from']} → {fields['to']}"]
        if fields.get("done"):
            lines.append(f"done before: {', '.join(fields['done'])}")
        return [self.terminal.paint(line, "bold") for line in lines]

    def _say_step_started(self, fields: Mapping[str, Any]) -> list[str]:
        return [f"{fields['step']}: {fields['about']}"]

    def _say_hop_finished(self, fields: Mapping[str, Any]) -> list[str]:
        ok = self.terminal.paint(self.terminal.icon("ok"), "green")
        return [f"{ok} {fields['to']} is installed, in {duration(float(fields['seconds']))}"]

    def _say_moved(self, fields: Mapping[str, Any]) -> list[str]:
        ref = fields["object"]
        models = plural(int(fields["trained_models"]), "TrainedModel")
        more = f", {models}" if fields["trained_models"] else ""
        name = f"{ref['namespace']}/{ref['name']}"
        return [f"moved {name}{more} ({fields['done']} of {fields['total']})"]

    def _say_edit(self, fields: Mapping[str, Any]) -> list[str]:
        by = f" by {fields['manager']}" if fields["manager"] else ""
        key = f"{fields['object']['name']}/{fields['key']}"
        return [f"edit{by} of {key}: {_EDITS[fields['how']]}"]

    def _say_backup(self, fields: Mapping[str, Any]) -> list[str]:
        held = f"{plural(int(fields['objects']), 'object')}, {size(int(fields['bytes']))}"
        return [f"backup: {held}, sha256 {fields['sha256'][:16]}…: {fields['file']}"]

    def _say_migrating(self, fields: Mapping[str, Any]) -> list[str]:
        left = f", {fields['left']} left" if fields["left"] else ""
        count = plural(int(fields["done"]), "object")
        return [f"{fields['definition']}: {count} rewritten{left}"] if left or self.verbose else []

    def _say_stored(self, fields: Mapping[str, Any]) -> list[str]:
        count = plural(int(fields["objects"]), "object")
        old = ", ".join(fields["dropped"])
        return [f"{fields['definition']}: {count} rewritten as {fields['version']}; {old} may go"]

    def _say_serving(self, fields: Mapping[str, Any]) -> list[str]:
        total = plural(int(fields["total"]), "InferenceService")
        return [
            f"{total}: {fields['ready']} Ready, "
            f"{fields['answering']} of {fields['asked']} asked answer"
        ]

    def _say_component_finished(self, fields: Mapping[str, Any]) -> list[str]:
        return [] if self._is_verify else [self.finished_component(fields)]

    def finished_component(self, fields: Mapping[str, Any]) -> str:
        """The line of a component whose every stage holds."""
        entry = self.progress.component(fields["component"])
        ok = self.terminal.paint(self.terminal.icon("ok"), "green")
        verb = "removed" if self.progress.command == "uninstall" else "ready"
        return f"{ok} {entry.title} {verb} in {duration(entry.seconds)}"

    def _say_warning(self, fields: Mapping[str, Any]) -> list[str]:
        sign = self.terminal.paint(self.terminal.icon("warn"), "yellow")
        about = f"{fields['object']}: " if fields.get("object") else ""
        remedy = f"; {fields['remedy']}" if fields.get("remedy") else ""
        return [f"{sign} {about}{fields['message']}{remedy}"]


_EDITS = {
    "kept": "kept",
    "merged": "kept, with what the release has changed beside it",
    "released": "the release's value is taken",
    "unknown": "kept, though the release no longer brings this",
    "forgotten": "kept; the ConfigMap's own `_example` no longer explains this key, so see whether "
    "it is still read, and under which name",
    "pinned": "written down as it was understood, since the next version understands it otherwise",
    "renamed": "goes on under the name that the next version knows",
}


def _stage(fields: Mapping[str, Any]) -> str:
    """`istio: crds`; an uninstall works on all components at once and names only the stage."""
    return ": ".join(part for part in (fields.get("component"), fields.get("stage")) if part)


def _grouped(steps: Sequence[str]) -> str:
    """`istio/crds`, `istio/setup` as `istio (crds, setup)`."""
    stages: dict[str, list[str]] = {}
    for step in steps:
        component, _, stage = step.partition("/")
        stages.setdefault(component, []).append(stage)
    said = [f"{name} ({', '.join(found)})" for name, found in stages.items()]
    return ", ".join(said) or "nothing"

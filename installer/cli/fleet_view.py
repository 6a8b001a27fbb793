"""A run over many clusters: a line for each while it works, one table at its end."""

from __future__ import annotations

import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from installer.cli import wording
from installer.cli.progress import WORKS, Progress
from installer.cli.terminal import Terminal, duration, table
from installer.core.events import Event
from installer.core.words import plural

if TYPE_CHECKING:
    from installer.fleet.model import ClusterRun, FleetOptions
    from installer.fleet.run import FleetReport

_STYLES = {
    "done": "green",
    "unchanged": "green",
    "failed": "red",
    "unreachable": "red",
    "interrupted": "yellow",
    "not-run": "yellow",
}
_FRAMES_PER_SECOND = 4


def show(args: Namespace, names: Sequence[str]) -> FleetShow:
    """What `-o` and the terminal ask for."""
    terminal = Terminal.of(sys.stderr, no_colour=args.no_color)
    if args.output == "json":
        return FleetShow()
    if terminal.live:
        return LiveLines(sys.stderr, terminal, names)
    return PlainLines(sys.stderr, terminal, verbose=args.verbose)


class FleetShow:
    """Shows nothing; what the others do more is in their methods."""

    def began(self, name: str) -> None:
        """Work on a cluster begins."""

    def event(self, name: str, event: Event) -> None:
        """The command on a cluster told something."""

    def ended(self, cluster: ClusterRun) -> None:
        """Work on a cluster ended."""

    def close(self) -> None:
        """The run is over."""


class PlainLines(FleetShow):
    """A line when a cluster begins and ends; with -v one for each stage too."""

    def __init__(self, stream: TextIO, terminal: Terminal, *, verbose: bool = False):
        self._stream = stream
        self._terminal = terminal
        self._verbose = verbose

    def began(self, name: str) -> None:
        """Say so."""
        self.write(f"{name}: begins")

    def event(self, name: str, event: Event) -> None:
        """A stage that begins, with -v."""
        if self._verbose and event.name == "stage_started":
            fields = event.fields
            self.write(f"{name}: {fields.get('component', '')} {fields.get('stage', '')}")

    def ended(self, cluster: ClusterRun) -> None:
        """The outcome, and why."""
        said = f": {cluster.message}" if cluster.message else ""
        self.write(_ended(cluster, self._terminal) + said)

    def write(self, line: str) -> None:
        """One line."""
        self._stream.write(f"{line}\n")
        self._stream.flush()


class LiveLines(FleetShow):
    """A region with a line for each cluster at work; ended ones scroll above it.

    As in `cli.live`, the lock guards the model and is never held while the region draws.
    """

    def __init__(self, stream: TextIO, terminal: Terminal, names: Sequence[str]):
        from rich.console import Console
        from rich.live import Live

        self._terminal = terminal
        self._lock = threading.Lock()
        self._working: dict[str, tuple[float, Progress]] = {}
        self._waiting = list(names)
        self._console = Console(file=stream, force_terminal=True, highlight=False, emoji=False)
        self._region = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._region.start()

    def began(self, name: str) -> None:
        """Give it a line."""
        with self._lock:
            self._working[name] = (time.time(), Progress())
            if name in self._waiting:
                self._waiting.remove(name)

    def event(self, name: str, event: Event) -> None:
        """Keep where it stands."""
        with self._lock:
            if name in self._working:
                self._working[name][1].on(event)

    def ended(self, cluster: ClusterRun) -> None:
        """Its line goes above the region for good; the table says why."""
        from rich.text import Text

        with self._lock:
            self._working.pop(cluster.name, None)
            if cluster.name in self._waiting:
                self._waiting.remove(cluster.name)
        self._console.print(Text.from_ansi(_ended(cluster, self._terminal)))

    def close(self) -> None:
        """Take the region away."""
        self._region.stop()

    def _draw(self) -> Any:
        from rich.text import Text

        now = time.time()
        with self._lock:
            rows = [_row(name, *entry, now) for name, entry in self._working.items()]
            idle = list(self._waiting)
        spinner = self._terminal.spinner(int(now * _FRAMES_PER_SECOND))
        lines = [f"{self._terminal.paint(spinner, 'cyan')} {line}" for line in table(rows, 0)]
        if idle:
            said = f"{self._terminal.icon('idle')} to come: {', '.join(idle)}"
            lines.append(self._terminal.paint(said, "dim"))
        text = Text.from_ansi("\n".join(lines))
        text.no_wrap, text.overflow = True, "crop"
        return text


def summary(
    report: FleetReport, options: FleetOptions, terminal: Terminal, again: str
) -> Iterator[str]:
    """The table over all clusters, why some failed, and what to do next.

    again: the whole command line, to be repeated.
    """
    rows = [["CLUSTER", "OUTCOME", "RELEASE", "TIME", ""]]
    for cluster in report.clusters:
        took = "earlier" if cluster.earlier else duration(cluster.seconds)
        took = took if cluster.outcome != "not-run" else "-"
        release = cluster.release or "-"
        rows.append([cluster.name, cluster.outcome, release, took, _said(cluster, options)])
    lines = table(rows, indent=0)
    yield ""
    yield terminal.paint(lines[0], "bold")
    for cluster, line in zip(report.clusters, lines[1:], strict=True):
        style = _STYLES.get(cluster.outcome, "dim")
        yield line.replace(cluster.outcome, terminal.paint(cluster.outcome, style), 1)
    if options.diff:
        for cluster in report.clusters:
            yield from _differences(cluster, terminal)
    if warned := list(_warnings(report.clusters)):
        yield from ("", *(terminal.paint(line, "yellow") for line in warned))
    for cluster in report.clusters:
        if cluster.message:
            yield ""
            yield f"{terminal.paint(cluster.name, 'bold')}: {cluster.message}"
            if cluster.log:
                yield f"  log: {cluster.log}"
    yield ""
    yield f"record: {report.folder.path / 'run.json'}"
    if any(c.outcome not in ("done", "unchanged") for c in report.clusters):
        resume = again if options.resume else f"{again} --resume"
        yield f"What is left: {resume}"


def _warnings(clusters: Sequence[ClusterRun]) -> Iterator[str]:
    """What checks found that stops nothing, each once with the names that it is about."""
    found: dict[str, list[str]] = {}
    for cluster in clusters:
        for finding in cluster.details.get("findings") or ():
            for detail in finding.get("details") or [finding]:
                if detail["verdict"] in ("warning", "unknown"):
                    parts = [f"{finding['check']}: {detail['reason']}", detail.get("remedy")]
                    said = "; ".join(filter(None, parts))
                    found.setdefault(f"{detail['verdict']} {said}", []).append(cluster.name)
    for said, names in found.items():
        yield f"{', '.join(names)}: {said}"


def _differences(cluster: ClusterRun, terminal: Terminal) -> Iterator[str]:
    """What differs on one cluster, as Ansible's modules tell it."""
    found = cluster.details.get("diff") or []
    for pair in [found] if isinstance(found, dict) else found:
        about = str(pair.get("after_header") or "").removeprefix("wanted: ")
        yield ""
        yield terminal.paint(f"{cluster.name}: {about}".rstrip(": "), "bold")
        for sign, side, style in (("-", "before", "red"), ("+", "after", "green")):
            for line in str(pair.get(side) or "").splitlines():
                yield terminal.paint(f"{sign} {line}", style)


def _ended(cluster: ClusterRun, terminal: Terminal) -> str:
    well = cluster.outcome in ("done", "unchanged")
    icon = terminal.paint(terminal.icon("ok" if well else "failed"), "green" if well else "red")
    return f"{icon} {cluster.name} {cluster.outcome} after {duration(cluster.seconds)}"


def _row(name: str, began: float, progress: Progress, now: float) -> list[str]:
    """One cluster at work: what it works on, for how long, what it waits for."""
    working = list(progress.in_state(WORKS))
    at, reason = "", ""
    if working:
        newest = working[-1]
        stage = newest.stage
        at = newest.title + (f" {stage.name} {stage.done}/{stage.objects}" if stage else "")
        waits = next((entry for entry in working if entry.waiting), None)
        reason = wording.waiting_line(waits.waiting, waits.pending) if waits else ""
    return [name, duration(max(now - began, 0.0)), at, reason]


def _said(cluster: ClusterRun, options: FleetOptions) -> str:
    """What its command found or did, in a few words."""
    details = cluster.details
    if options.command == "preflight":
        return wording.checks_line(details["counts"]) if "counts" in details else ""
    if options.command == "status" and "healthy" in details:
        kubernetes = f"Kubernetes {str(details.get('kubernetes', '')).removeprefix('v')}"
        if not cluster.release:
            return f"nothing is installed, {kubernetes}"
        return f"{'ready' if details['healthy'] else 'not ready'}, {kubernetes}"
    if options.command == "backup" and "file" in details:
        return f"{plural(int(details['objects']), 'object')} in {details['file']}"
    would = options.check or options.command == "plan"
    words = {"created": "create", "changed": "change", "deleted": "delete"}
    parts = [
        f"{number} to {words[name]}" if would else f"{number} {name}"
        for name, number in cluster.changes.items()
        if number
    ]
    return ", ".join(parts)

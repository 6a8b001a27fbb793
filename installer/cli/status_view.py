"""The status report as text, JSON or YAML."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from installer.cli.documents import document
from installer.cli.parser import PROGRAM
from installer.cli.terminal import Terminal, table
from installer.core.words import plural


def render(report: Mapping[str, Any], args: Namespace) -> str:
    """The report in the form that `-o` asks for."""
    if args.output != "text":
        return document(report, args.output)
    terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
    return "".join(f"{line}\n" for line in lines(report, terminal))


def lines(report: Mapping[str, Any], terminal: Terminal) -> list[str]:
    """The report for a reader: head, a row per component, problems under their component."""
    where = f"{report['context']} ({report['server']}, Kubernetes {report['kubernetes']})"
    if not report.get("release") and not report.get("components"):
        return [
            *table([["cluster", where]], indent=0),
            "",
            "nothing is installed here by kserve-installer",
        ]
    head = [
        ["cluster", where],
        ["release", f"{report['release']}, {_verdict(report, terminal)}"],
        ["last run", _run(report.get("last_run"), report.get("running", ""))],
        ["drift", _drift(int(report.get("drift", 0)), terminal)],
    ]
    if report.get("external"):
        head.append(["external", ", ".join(report["external"])])
    if report.get("lost"):
        names = ", ".join(report["lost"])
        again = f"`{PROGRAM} install {report['release']}` writes it again"
        head.append(["lost", terminal.paint(f"the ledger's record of {names}; {again}", "red")])
    running = bool(report.get("running"))
    return [*table(head, indent=0), "", *_components(report["components"], terminal, running)]


def _verdict(report: Mapping[str, Any], terminal: Terminal) -> str:
    if report.get("healthy"):
        return terminal.paint("installed and ready", "green")
    if report.get("state") == "installed":
        return terminal.paint("installed, not ready", "red")
    return terminal.paint(f"{report.get('state') or 'not'} (not finished)", "yellow")


def _run(run: Mapping[str, Any] | None, running: str) -> str:
    if not run:
        return "none"
    unfinished = "is running" if running else "was killed or cut off"
    said = f"{run.get('command')} {run.get('outcome') or unfinished}"
    when = f"begun {run.get('started')}"
    if run.get("finished"):
        when = f"ended {run['finished']}"
    message = f": {run['message'].splitlines()[0]}" if run.get("message") else ""
    return f"{said}, {when}, by {run.get('by')} ({run.get('id')}){message}"


def _drift(count: int, terminal: Terminal) -> str:
    if not count:
        return "none"
    return terminal.paint(f"{plural(count, 'object')} not as installed", "yellow")


def _components(
    components: list[Mapping[str, Any]], terminal: Terminal, running: bool
) -> list[str]:
    rows = [["component", "version", "ready", "drift"]]
    for entry in components:
        ready = f"{entry['ready']}/{entry['total']}"
        rows.append([entry["name"], entry["version"], ready, str(entry.get("drift", 0))])
    heading, *body = table(rows, indent=0, right=frozenset({2, 3}))
    result = [f"  {heading}"]
    for entry, line in zip(components, body, strict=True):
        well = entry["ready"] == entry["total"]
        name, style = ("ok", "green") if well else ("failed", "red")
        if running and not well:
            name, style = "idle", "yellow"  # it is being worked on: what is missing is no problem
        result.append(f"{terminal.paint(terminal.icon(name), style)} {line}")
        if running:
            continue
        for problem in entry.get("problems", ()):
            why = ": ".join(part for part in (problem["reason"], problem["message"]) if part)
            result.append(f"    {problem['object']}: {why}")
    return result

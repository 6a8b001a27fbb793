"""Findings as linkerd prints its checks: categories, one line per check, reasons under it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from installer.cli.terminal import Terminal
from installer.cli.wording import checks_line
from installer.core.checks import Finding, counts
from installer.operations.preflight import Report

_LOOKS = {
    "ok": ("holds", "green"),
    "note": ("holds", "green"),
    "warning": ("warn", "yellow"),
    "unknown": ("warn", "yellow"),
    "failed": ("broken", "red"),
    "skipped": ("idle", "dim"),
}


def lines(report: Report, terminal: Terminal, *, verbose: bool) -> Iterator[str]:
    """The whole report; verbose: with the notes of checks that are well."""
    category = ""
    for finding in report.findings:
        if finding.category != category:
            if category:
                yield ""
            category = finding.category
            yield category
            yield "-" * len(category)
        yield from finding_lines(finding, terminal, verbose=verbose)
    yield ""
    yield verdict(report.findings, terminal)


def finding_lines(finding: Finding, terminal: Terminal, *, verbose: bool) -> Iterator[str]:
    """One check: its line, and beneath it reasons, remedies and where docs explain it."""
    icon, colour = _LOOKS[finding.verdict]
    yield terminal.paint(f"{terminal.icon(icon)} {finding.sentence}", colour)
    details = [d for d in finding.details if verbose or d.verdict != "note"]
    for index, detail in enumerate(details):
        shown = detail.object and detail.object not in detail.reason
        first, *more = (f"{detail.object}: {detail.reason}" if shown else detail.reason).split("\n")
        yield f"    {first}"
        after = details[index + 1].remedy if index + 1 < len(details) else ""
        remedy = detail.remedy if detail.remedy != after else ""  # said once, under the last
        for line in [*more, *remedy.split("\n")]:
            if line:
                yield f"      {line}"
    if finding.verdict not in ("ok", "note", "skipped"):
        yield f"    see {finding.hint}"


def verdict(findings: Sequence[Finding], terminal: Terminal) -> str:
    """The line that ends a report."""
    said = checks_line(counts(findings))
    bad = any(finding.verdict == "failed" for finding in findings)
    icon, colour = ("broken", "red") if bad else ("holds", "green")
    return f"Preflight checks are {terminal.paint(terminal.icon(icon), colour)} ({said})"

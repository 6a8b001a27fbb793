"""`autoscaling`: how an InferenceService scales, and why."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from installer.cli.contact import looked_at
from installer.cli.terminal import Terminal, table
from installer.core.errors import ExitCode
from installer.core.words import plural

if TYPE_CHECKING:
    from installer.operations.autoscaling import AutoscalingReport


def autoscaling(args: Namespace) -> int:
    """`autoscaling NAME`."""
    from installer.cli.documents import document
    from installer.operations.autoscaling import autoscaling as look

    with looked_at(args) as cluster:
        report = look(cluster, args.name, args.concurrency)
    if args.output != "text":
        sys.stdout.write(document(report.to_dict(), args.output))
    else:
        terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
        sys.stdout.write("".join(f"{line}\n" for line in lines(report, terminal)))
    return ExitCode.DONE


def lines(report: AutoscalingReport, terminal: Terminal) -> Iterator[str]:
    """The report for a reader: settings with where they come from, then what they mean."""
    revision = f", revision {report.revision}" if report.revision else ", no revision yet"
    knative = f" (Knative Serving {report.version})" if report.version else ""
    yield f"{report.service.ref}{revision}{knative}"
    if report.actual >= 0:
        wanted = f", wants {report.wanted}" if report.wanted >= 0 else ""
        yield f"now: {plural(report.actual, 'pod')}{wanted}"
    yield ""
    rows = [["SETTING", "VALUE", "FROM"]]
    for name, setting in report.settings.items():
        rows.append([name, f"{setting.value} {setting.unit}".strip(), setting.origin])
    yield from table(rows, indent=0)
    yield ""
    yield from report.sentences
    if report.expected is not None:
        load = f"{report.concurrency:g} concurrent requests"
        pods = report.expected.pods
        said = (
            f"{load} would have {plural(pods, 'pod')}" if pods is not None else f"{load}: not known"
        )
        yield ""
        yield f"{terminal.paint(said, 'bold')}: {report.expected.why}"
    for text in report.warnings:
        yield f"{terminal.paint(terminal.icon('warn'), 'yellow')} {text}"

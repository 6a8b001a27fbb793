"""`bench`: load on an InferenceService, and what it did."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

from installer.cli.bench_flags import wanted
from installer.cli.contact import looked_at
from installer.cli.files import write_file
from installer.cli.serving_flags import asking
from installer.cli.terminal import Terminal
from installer.core.errors import ExitCode

if TYPE_CHECKING:
    from installer.load.recorder import Row
    from installer.operations.bench import Progress
    from installer.serving.bench.pods import State
    from installer.serving.bench.report import Report

_EVERY = 5
"""Seconds between two lines of progress."""


def bench(args: Namespace) -> int:
    """`bench NAME`: exit 3 when a limit of --slo is not kept, 1 when nothing was answered well."""
    from installer.operations.bench import bench as operation

    asked = wanted(args)
    how = replace(asking(args), seconds=asked.load.timeout)
    with looked_at(args) as cluster:
        report = operation(cluster, args.name, asked, how, cluster.cancel, _progress(args))
    if args.html:
        from installer.serving.bench.bench_page import bench_page

        write_file(args.html, bench_page(report))
    _show(args, report)
    return _exit_code(report)


def _exit_code(report: Report) -> int:
    if report.interrupted:
        return ExitCode.INTERRUPTED
    if report.verdict.broken:
        return ExitCode.CHECKS_FAILED
    totals = report.observed.result.totals
    return ExitCode.FAILED if totals.wrong >= totals.done else ExitCode.DONE


def _progress(args: Namespace) -> Progress:
    from installer.cli.bench_view import second
    from installer.operations.bench import Progress
    from installer.serving.bench.hey import CSV_HEAD, csv_line

    def says(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def each(row: Row, state: State) -> None:
        if row.seconds > 0.5 and round(row.at + row.seconds) % _EVERY == 0:
            says(second(row, state))

    if args.output != "csv":
        return Progress(says, each)
    sys.stdout.write(f"{CSV_HEAD}\n")
    return Progress(says, each, lambda sample: void(sys.stdout.write(f"{csv_line(sample)}\n")))


def void(_: object) -> None:
    """What `write` returns is of no interest."""


def _show(args: Namespace, report: Report) -> None:
    from installer.cli.bench_view import lines, verdict_lines

    if args.output == "json":
        from installer.cli.documents import document

        sys.stdout.write(document(report.to_dict(), "json"))
        return
    out = sys.stderr if args.output == "csv" else sys.stdout
    terminal = Terminal.of(out, no_colour=args.no_color)
    shown = verdict_lines if args.output == "csv" else lines
    out.write("".join(f"{line}\n" for line in shown(report, terminal)))

"""`trace`: what an InferenceService made, and where a request to it ends."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from installer.cli.contact import looked_at
from installer.cli.files import write_file
from installer.cli.serving_flags import asking
from installer.cli.terminal import Terminal
from installer.core.errors import ExitCode
from installer.core.objects import dig

if TYPE_CHECKING:
    from installer.operations.trace import TraceReport


def trace(args: Namespace) -> int:
    """`trace NAME`: exit 3 when a link is broken."""
    from installer.operations.trace import trace as look

    wanted = asking(args)
    with looked_at(args) as cluster:
        report = look(cluster, args.name, wanted, cluster.cancel, send=args.request)
    if args.html:
        _write_page(args.html, report)
    _show(args, report)
    return ExitCode.CHECKS_FAILED if report.first_broken else ExitCode.DONE


def _show(args: Namespace, report: TraceReport) -> None:
    if args.output == "json":
        from installer.cli.documents import document

        sys.stdout.write(document(report.to_dict(), "json"))
    elif args.output == "dot":
        from installer.serving.dot import dot

        sys.stdout.write(dot(report.tree, [report.outside, report.inside]))
    else:
        from installer.cli.trace_view import lines

        terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
        sys.stdout.write("".join(f"{line}\n" for line in lines(report, terminal)))


def _write_page(name: str, report: TraceReport) -> None:
    from installer.serving.trace_page import trace_page

    facts = [
        ("cluster", report.context),
        ("address", str(dig(report.service.obj, "status", "url", default="none yet"))),
        *[("could not look at", line) for line in report.unseen],
        *[("to ask", line) for line in report.curl],
    ]
    found = trace_page(str(report.service.ref), facts, report.tree, [report.outside, report.inside])
    write_file(name, found)

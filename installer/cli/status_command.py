"""`status`, and with `--drift` every field that differs."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from installer.cli.contact import looked_at
from installer.cli.options import install_options
from installer.cli.session import plain, reading
from installer.cli.terminal import Terminal
from installer.core.errors import ExitCode

if TYPE_CHECKING:
    from installer.operations.choice import InstallOptions


def status(args: Namespace) -> int:
    """`status`: the report on stdout; 5 with --exit-code when something is not as installed."""
    from installer.cli.status_view import render
    from installer.operations.status import status as read_status

    with looked_at(args, plain(args)) as cluster:
        report = read_status(cluster).to_dict()
        if args.drift:
            from installer.operations.drift_report import drift

            found = drift(cluster, _as_installed(args), reading(args), cluster.cancel)
            report["drift_report"] = found.to_dict()
    sys.stdout.write(render(report, args))
    if args.drift and args.output == "text":
        from installer.cli import drift_view

        terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
        said = drift_view.lines(found, report["release"], terminal, args)
        sys.stdout.writelines(f"{line}\n" for line in said)
    as_installed = report["healthy"] and not report["drift"]
    return ExitCode.DIFFERENCES if args.exit_code and not as_installed else ExitCode.DONE


def _as_installed(args: Namespace) -> InstallOptions:
    """Where the manifests are of what is installed; the ledger names the release."""
    args.release = ""
    return install_options(args)

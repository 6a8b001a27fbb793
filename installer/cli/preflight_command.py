"""`preflight`: looks at a cluster from every side before anything is written."""

from __future__ import annotations

import sys
from argparse import Namespace

from installer.cli.contact import looked_at
from installer.cli.documents import document
from installer.cli.options import install_options
from installer.cli.parser import split
from installer.cli.terminal import Terminal, table
from installer.core.errors import ExitCode, UsageError
from installer.core.events import silent


def preflight(args: Namespace) -> int:
    """`preflight [RELEASE]`: exit 0 with warnings, 3 with failures."""
    if args.list:
        return _list(args)
    if args.all_releases:
        return _all_releases(args)
    if not args.release:
        raise UsageError(
            "which release is to be installed?",
            kind="usage",
            remedy=f"{args.program} preflight RELEASE; see: {args.program} releases",
        )
    from installer.cli.preflight_view import lines
    from installer.operations import preflight as operation
    from installer.operations.choice import choose

    selection = operation.Selection(split(args.skip), split(args.only))
    selection.checks()
    choice = choose(install_options(args))
    with looked_at(args, must_answer=False) as cluster:  # that is the first of the checks
        report = operation.preflight(cluster, choice, selection, silent, cluster.cancel)
    if args.output != "text":
        sys.stdout.write(document(report.to_dict(), args.output))
    else:
        terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
        for line in lines(report, terminal, verbose=args.verbose):
            sys.stdout.write(f"{line}\n")
    return ExitCode.DONE if report.passed else ExitCode.CHECKS_FAILED


def _all_releases(args: Namespace) -> int:
    """`preflight --all-releases`: exit 0 whatever fits, it answers a question."""
    if args.release:
        raise UsageError(
            f"--all-releases looks at every release: leave {args.release} out", kind="usage"
        )
    from installer.cli.matrix_view import lines
    from installer.operations.matrix import matrix
    from installer.operations.preflight import Selection

    selection = Selection(split(args.skip), split(args.only))
    selection.checks()
    args.release = ""
    options = install_options(args)
    with looked_at(args) as cluster:
        found = matrix(cluster, options, selection, silent, cluster.cancel)
    if args.output != "text":
        sys.stdout.write(document(found.to_dict(), args.output))
        return ExitCode.DONE
    terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
    for line in lines(found, terminal, verbose=args.verbose):
        sys.stdout.write(f"{line}\n")
    return ExitCode.DONE


def _list(args: Namespace) -> int:
    from installer.preflight.registry import CHECKS

    if args.output != "text":
        data = [{"check": c.id, "category": c.category, "sentence": c.sentence} for c in CHECKS]
        sys.stdout.write(document(data, args.output))
        return ExitCode.DONE
    rows = [["CHECK", "CATEGORY", "HOLDS WHEN"], *[[c.id, c.category, c.sentence] for c in CHECKS]]
    sys.stdout.write("".join(f"{line}\n" for line in table(rows, indent=0)))
    return ExitCode.DONE

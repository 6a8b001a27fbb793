"""`plan`: what an install would do here, object by object and field by field."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from installer.cli.terminal import Terminal
from installer.core.errors import ExitCode

if TYPE_CHECKING:
    from installer.operations.planning import Plan


def plan(args: Namespace) -> int:
    """`plan RELEASE`: the plan on stdout; 5 with --exit-code when something differs."""
    from installer.cli.contact import looked_at
    from installer.cli.options import install_options
    from installer.cli.session import reading
    from installer.operations.choice import choose
    from installer.operations.planning import make_plan

    choice = choose(install_options(args))
    emit = reading(args)
    with looked_at(args, emit) as cluster:
        made = make_plan(cluster, choice, emit, cluster.cancel)
        if args.save:
            from installer.operations.saved_plan import save

            save(cluster, made, args.save, args.settings)
    _show(made, args)
    return ExitCode.DIFFERENCES if args.exit_code and made.differs else ExitCode.DONE


def _show(made: Plan, args: Namespace) -> None:
    if args.output != "text":
        from installer.cli.documents import document

        sys.stdout.write(document(made.to_dict(created=args.diff), args.output))
        return
    from installer.cli.plan_view import lines, verdict

    terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
    sys.stdout.writelines(f"{line}\n" for line in lines(made, terminal, verbose=args.verbose))
    if args.diff:
        from installer.cli import plan_diff

        if os.environ.get(plan_diff.VARIABLE):
            plan_diff.external(made.objects, os.environ)
        else:
            sys.stdout.writelines(f"{line}\n" for line in plan_diff.unified(made.objects, terminal))
    sys.stdout.write("\n")
    sys.stdout.writelines(f"{line}\n" for line in verdict(made, terminal, args.program))
    if args.save:
        again = f"{args.program} install --plan {args.save}"
        sys.stdout.write(f"Saved; `{again}` does exactly this, or says what has changed since.\n")

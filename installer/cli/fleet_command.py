"""`fleet …`: the same outcome on every cluster of an inventory."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from installer.cli import confirm
from installer.cli.interrupts import Interrupts
from installer.cli.session import hints
from installer.cli.terminal import Terminal
from installer.core.cancel import Cancel
from installer.core.words import plural

if TYPE_CHECKING:
    from installer.fleet.inventory import Inventory
    from installer.fleet.model import ClusterRun, FleetOptions


def fleet(args: Namespace) -> int:
    """`fleet COMMAND`: a table over all clusters on stdout; exits with the worst of their codes."""
    from installer.cli import fleet_view
    from installer.cli.documents import document
    from installer.fleet import identities, inventory, run
    from installer.fleet.model import WRITING

    options = _options(args)
    earlier: list[ClusterRun] = []
    if options.resume:
        options, earlier = run.resumed(options)
    cancel = Cancel()
    with Interrupts(cancel) as interrupts:
        found = inventory.load(options, cancel)
        cancel.check("reading the inventory")
        if options.command in WRITING:
            options = identities.told_apart(options, found.hosts, cancel)
            if not options.check:
                _confirm(args, options, found, interrupts)
        show = fleet_view.show(args, [host.name for host in found.hosts])
        try:
            report = run.run_fleet(options, found, earlier, show, cancel)
        finally:
            show.close()
    if args.output == "json":
        sys.stdout.write(document(report.record, "json"))
        return report.code
    terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
    for line in fleet_view.summary(report, options, terminal, hints(args).again):
        sys.stdout.write(f"{line}\n")
    return report.code


def _options(args: Namespace) -> FleetOptions:
    from installer.fleet.model import FleetOptions

    password = args.vault_password_file
    return FleetOptions(
        command=args.subcommand,
        inventory=tuple(Path(name) for name in args.inventory),
        limit=args.limit,
        serial=args.serial,
        canary=getattr(args, "canary", "canary"),
        max_fail=getattr(args, "max_fail", 0),
        check=getattr(args, "check", False),
        diff=getattr(args, "diff", False),
        resume=args.resume,
        vault_password_file=Path(password).resolve() if password else None,
    )


def _confirm(
    args: Namespace, options: FleetOptions, found: Inventory, interrupts: Interrupts
) -> None:
    """Name every cluster that is about to be changed, and ask."""
    rows = []
    for host in found.hosts:
        release = "" if args.subcommand == "uninstall" else host.variables.get("kserve_release")
        first = "canary" if host.name in found.canaries else ""
        rows.append((host.name, "  ".join(filter(None, (str(release or "-"), first)))))
    title = f"About to {options.command} on {plural(len(rows), 'cluster')}"
    shown = args.output != "json" or not args.yes
    confirm.confirm(
        confirm.identity_lines(title, rows) if shown else (),
        yes=args.yes,
        stdin=sys.stdin,
        stderr=sys.stderr,
        interrupts=interrupts,
    )

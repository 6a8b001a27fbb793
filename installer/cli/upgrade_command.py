"""`upgrade` and `upgrade plan`: options into the engine, the way as tables."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.cli.contact import connect, identity_rows, looked_at
from installer.cli.options import install_options, skipped
from installer.cli.parser import split
from installer.cli.session import Session, plain
from installer.core.errors import ExitCode, UsageError
from installer.core.events import Event

if TYPE_CHECKING:
    from installer.cluster.client import Cluster, Identity
    from installer.operations.prepare import Prepared
    from installer.operations.upgrade import Way
    from installer.operations.upgrade_hop import UpgradeOptions


def upgrade(args: Namespace) -> int:
    """`upgrade RELEASE`."""
    return Session(args, "upgrade").run(_upgrade)


def plan(args: Namespace) -> int:
    """`upgrade plan [RELEASE]`: the way on stdout."""
    from installer.cli.upgrade_view import lines
    from installer.operations.upgrade_plan import plan_upgrade

    with looked_at(args, plain(args)) as cluster:
        found = plan_upgrade(cluster, _options(args), cluster.cancel, fetch=args.objects)
    if args.output == "json":
        sys.stdout.write(json.dumps(found.to_dict(), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines(found, args))
    return ExitCode.DONE


def _options(args: Namespace) -> UpgradeOptions:
    from installer.cli.resolutions import read_resolutions
    from installer.operations.upgrade_hop import UpgradeOptions

    resolve = read_resolutions(args.resolve, args.resolve_file)
    if args.discard_edits and resolve:
        raise UsageError(
            "--discard-edits takes the release's values throughout, and with --resolve or "
            "--resolve-file something else is decided",
            kind="usage",
            remedy="give one of them",
        )
    return UpgradeOptions(
        install=install_options(args),
        skip=skipped(args),
        to_hop=getattr(args, "to_hop", 0),
        pause=getattr(args, "pause_between_hops", False),
        discard_edits=args.discard_edits,
        resolve=resolve,
        backups=_backups(args),
        only=split(getattr(args, "only", ())),
        serving_seconds=args.serving_timeout,
    )


def _backups(args: Namespace) -> Path | None:
    """Where backups go; nowhere for a rehearsal, whose cluster goes with it."""
    from installer.cli.backup_command import backup_folder

    if args.command == "rehearse" or args.no_backup:
        return None
    return Path(args.backup_dir) if args.backup_dir else backup_folder()


def _upgrade(session: Session) -> Mapping[str, Any]:
    args = session.args
    options = _options(args)
    from installer.operations import upgrade as operation

    cluster, identity = connect(session, options.install.release)
    if args.dry_run:
        return _show(session, cluster, options)
    if options.install.adopt:
        _adopt(session, cluster, identity, options)
        options = replace(options, install=replace(options.install, adopt=()))

    def decide() -> Way:
        return operation.find_way(cluster, options)

    way = decide()
    if not way.nothing_to_do:
        operation.check_hop(way, way.hops[0])
        hops = [f"{hop.origin} → {hop.target}" for hop in way.hops]
        rows = [*identity_rows(identity), ("from", way.ledger.release)]
        rows += [("to", way.hops[-1].target), ("hops", ", ".join(hops))]
        session.confirm("About to upgrade", rows)
    outcome = operation.execute_upgrade(cluster, way, session.emit, session.cancel, decide)
    return {"outcome": outcome.outcome}


def _show(session: Session, cluster: Cluster, options: UpgradeOptions) -> Mapping[str, Any]:
    """The way with everything that there is to say about it; nothing is written."""
    from installer.cli.upgrade_view import lines
    from installer.operations.upgrade_plan import plan_upgrade

    args = session.args
    found = plan_upgrade(cluster, options, session.cancel, fetch=True)
    if args.output == "json":
        for number, row in enumerate(found.hops, 1):
            fields = {"from": row.hop.origin, "to": row.hop.target, "hop": number}
            hops = {"hops": len(found.hops), "plan": row.to_dict()}
            session.emit(Event("hop_planned", {**fields, **hops}))
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines(found, args))
    return {"outcome": "done" if found.hops else "unchanged"}


def _adopt(session: Session, cluster: Cluster, identity: Identity, options: UpgradeOptions) -> None:
    """Install, over what others have installed, the release that it is; once that is done the
    ledger knows it and there is nothing to adopt any more."""
    from installer.catalog.load import load
    from installer.cluster import ledger as ledgers
    from installer.operations import install as installing
    from installer.operations.adopted_edits import adopted_edits
    from installer.operations.preflight import check_first
    from installer.operations.recognise import adopting, recognise

    ledger = ledgers.read(cluster)
    if ledger.state not in ("", "installing") or ledger.upgrade is not None:
        return
    catalog = load(options.install.catalog)
    release = ledger.release or recognise(cluster, identity, catalog, options.install).release
    asked = adopting(options.install, catalog, release)
    choice = installing.choose(asked)
    if not options.discard_edits:
        edits, outcomes = adopted_edits(cluster, choice, session.cancel)
        choice = installing.choose(replace(asked, edits=edits))
        for outcome in outcomes:
            session.emit(outcome.event())

    def decide() -> Prepared:
        return installing.prepare_first(cluster, choice, session.emit, session.cancel)

    prepared = decide()
    check_first(cluster, prepared, options.skip, session.emit, session.cancel)
    rows = [
        *identity_rows(identity),
        ("release", release),
        ("adopted", ", ".join(choice.options.adopt)),
        ("to let go", ", ".join(map(str, prepared.handovers))),
    ]
    session.confirm("About to take over", rows)
    installing.execute(cluster, prepared, session.emit, session.cancel, decide)


def rollback(args: Namespace) -> int:
    """`rollback`."""
    args.release = ""
    return Session(args, "rollback").run(_rollback)


def _rollback(session: Session) -> Mapping[str, Any]:
    args = session.args
    options = _options(args)
    from installer.operations import rollback as operation
    from installer.operations.telling import warning
    from installer.operations.upgrade import check_hop, execute_upgrade

    cluster, identity = connect(session, "")

    def decide() -> Way:
        return operation.find_way_back(cluster, options)

    way = decide()
    check_hop(way, way.hops[0])
    for reason in way.stays.values():
        session.emit(
            warning(reason, remedy="declare it external in the settings to install again later")
        )
    external = options.install.settings.external
    final = operation.not_undone(way.catalog, way.path.origin, way.path.target, external)
    for clause in final:
        session.emit(warning(f"cannot be undone: {clause}"))
    if args.dry_run:
        return {"outcome": "done"}
    rows = [*identity_rows(identity), ("from", way.path.origin), ("back to", way.path.target)]
    rows += [("not undone", f"{len(final)} changes" if final else "")]
    session.confirm("About to roll back", rows)
    outcome = execute_upgrade(cluster, way, session.emit, session.cancel, decide)
    return {"outcome": outcome.outcome}


def rehearse(args: Namespace) -> int:
    """`rehearse RELEASE`."""
    return Session(args, "rehearse").run(_rehearse)


def _rehearse(session: Session) -> Mapping[str, Any]:
    args = session.args
    options = _options(args)
    from installer.operations.rehearse import rehearse as run
    from installer.sandbox.options import SandboxOptions

    cluster, _ = connect(session, options.install.release)
    folder = Path(args.control_plane) if args.control_plane else None
    place = SandboxOptions(name=args.name, control_plane=folder, instant=True, tied=not args.keep)
    outcome = run(cluster, options, place, session.emit, session.cancel, keep=args.keep)
    return {"outcome": outcome.outcome}

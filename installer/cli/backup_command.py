"""`backup` and `restore`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.cli.contact import connect, identity_rows
from installer.cli.session import Session
from installer.core.errors import UsageError
from installer.core.state_folder import state_folder

if TYPE_CHECKING:
    from installer.core.objects import Ref


def backup(args: Namespace) -> int:
    """`backup`."""
    return Session(args, "backup").run(_backup)


def restore(args: Namespace) -> int:
    """`restore FILE`."""
    return Session(args, "restore").run(_restore)


def backup_folder() -> Path:
    """Where backups go that no place was given for."""
    return state_folder() / "backups"


def _backup(session: Session) -> Mapping[str, Any]:
    from installer.catalog.load import load
    from installer.cluster import ledger as ledgers
    from installer.operations import backup as operation

    args = session.args
    cluster, _ = connect(session, "")
    catalog = load(Path(args.catalog) if args.catalog else None)
    if args.file:
        target = Path(args.file)
    else:
        target = backup_folder() / operation.file_name(ledgers.read(cluster).release)
    if target.exists():
        raise UsageError(
            "this file is there already",
            kind="backup-file",
            object=str(target),
            remedy="name another, or remove it",
        )
    operation.backup(cluster, catalog, target, session.emit, session.cancel)
    return {"outcome": "done"}


def _restore(session: Session) -> Mapping[str, Any]:
    from installer.operations import restore as operation
    from installer.operations.telling import object_event

    args = session.args
    cluster, identity = connect(session, "")

    def tell(action: str, ref: Ref) -> None:
        if action == "differs":
            action = "change" if args.existing == "overwrite" else "unchanged"
        if args.dry_run:
            session.emit(object_event("", "restore", action, ref))

    judged = operation.judge(cluster, args.file, session.cancel, tell)
    operation.check(judged, args.existing)
    overwritten = len(judged.differing) if args.existing == "overwrite" else 0
    kept = len(judged.differing) - overwritten
    changed = overwritten + judged.complete
    head = judged.summary.head
    if args.dry_run or not (judged.create or changed or judged.ledger):
        outcome = "done" if args.dry_run else "unchanged"
        counts = {"created": judged.create, "changed": changed} if args.dry_run else {}
        return {"outcome": outcome, **counts, "unchanged": judged.unchanged + kept}
    where = "this cluster" if judged.same_cluster else "another cluster"
    rows = [*identity_rows(identity), ("backup of", f"{head.release}, {where}, {head.created}")]
    rows += [("objects", f"{judged.create} to create, {overwritten} to overwrite, {kept} kept")]
    session.confirm("About to restore", rows)
    done = operation.restore(cluster, judged, args.existing, session.emit, session.cancel)
    return {"outcome": "done" if done.created or done.changed else "unchanged"}

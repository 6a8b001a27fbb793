"""`uninstall`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from installer.cli.contact import connect, identity_rows
from installer.cli.dry_run import show
from installer.cli.session import Session
from installer.cli.wording import object_name
from installer.core.errors import InstallerError


def uninstall(args: Namespace) -> int:
    """`uninstall`."""
    return Session(args, "uninstall").run(_uninstall)


def _uninstall(session: Session) -> Mapping[str, Any]:
    from installer.operations import uninstall as operation

    args = session.args
    cluster, identity = connect(session, "")
    options = operation.UninstallOptions(
        delete_inferenceservices=args.delete_inferenceservices,
        delete_custom_resources=args.delete_custom_resources,
    )
    prepared = operation.prepare_uninstall(cluster, options, session.emit, session.cancel)
    doomed = [*prepared.users.inference, *prepared.users.others]
    if args.dry_run:
        show(session, (("delete", "", "", ref) for ref in [*doomed, *prepared.owned]))
        return {"outcome": "unchanged" if prepared.nothing_to_do else "done"}
    if not prepared.nothing_to_do:
        rows = [*identity_rows(identity), ("release", prepared.release)]
        rows += [("objects", f"{len(prepared.owned)} to delete")]
        rows += [("of users", f"{len(doomed)} to delete" if doomed else "")]
        session.confirm("About to remove", rows)
    outcome, left = operation.execute_uninstall(cluster, prepared, session.emit, session.cancel)
    if left:
        lines = [f"  {object_name(item.ref.to_dict())}: {item.reason}" for item in left]
        raise InstallerError("these are left:\n" + "\n".join(lines), kind="leftovers")
    return outcome.counted()

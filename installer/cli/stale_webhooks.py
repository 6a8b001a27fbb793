"""`install --remove-stale-webhooks`: one question for each configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from installer.cli.contact import identity_rows
from installer.cli.dry_run import show
from installer.cli.session import Session
from installer.core.errors import InstallerError, UsageError

if TYPE_CHECKING:
    from installer.cluster.client import Cluster, Identity
    from installer.operations.choice import Choice
    from installer.preflight.stale_webhooks import Stale


def clear(session: Session, cluster: Cluster, identity: Identity, choice: Choice) -> int:
    """Remove what is stale and confirmed; how many were removed. With --dry-run it is shown."""
    from installer.operations import stale_webhooks as operation

    found = operation.find_stale_webhooks(cluster, identity, choice)
    if session.args.dry_run:
        names = [item.project.component if item.project else "" for item in found]
        doomed = zip(names, found, strict=True)
        show(session, (("delete", name, operation.STAGE, item.ref) for name, item in doomed))
        return 0

    def ask(stale: Stale) -> bool:
        why = ", ".join(dict.fromkeys(entry.why for entry in stale.entries))
        title = stale.project.title if stale.project else ""
        more = [("webhooks", str(stale.ref)), ("of", title), ("because", why)]
        try:
            session.confirm(
                "About to delete webhooks that nobody serves", [*identity_rows(identity), *more]
            )
        except UsageError:
            raise
        except InstallerError as answer:
            if answer.kind != "not-confirmed":
                raise
            return False  # this one stays; the next may be wanted
        return True

    return operation.remove_stale_webhooks(cluster, found, ask, session.emit)

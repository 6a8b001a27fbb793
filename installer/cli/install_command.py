"""`install RELEASE`, or `install --plan FILE`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from installer.cli.contact import connect, identity_rows
from installer.cli.dry_run import show
from installer.cli.options import install_options, skipped
from installer.cli.planned_install import promise
from installer.cli.session import Session
from installer.core.errors import InstallerError, UsageError

if TYPE_CHECKING:
    from installer.cluster.client import Identity
    from installer.core.objects import Ref
    from installer.operations.prepare import Prepared


def install(args: Namespace) -> int:
    """`install`."""
    return Session(args, "install").run(_install)


def _install(session: Session) -> Mapping[str, Any]:
    planned = promise(session.args)
    options, skip = install_options(session.args), skipped(session.args)
    from installer.operations import install as operation

    choice = operation.choose(options)
    planned.check_choice(choice)
    cluster, identity = connect(session, options.release)
    planned.check_cluster(cluster)
    removed = 0
    if session.args.remove_stale_webhooks:
        from installer.cli.stale_webhooks import clear

        removed = clear(session, cluster, identity, choice)
        # a dry run removes nothing, so what it would remove is no reason to stop it
        skip = (*skip, "existing-webhooks") if session.args.dry_run else skip

    def decide() -> Prepared:
        found = operation.prepare_first(cluster, choice, session.emit, session.cancel)
        return planned.check(cluster, found)

    prepared = decide()
    if not prepared.nothing_to_do:
        from installer.operations.preflight import check_first

        check_first(cluster, prepared, skip, session.emit, session.cancel)
    if session.args.dry_run:
        show(session, _install_decisions(prepared))
        return {"outcome": "unchanged" if prepared.nothing_to_do else "done"}
    if not prepared.nothing_to_do:
        _confirm_install(session, identity, prepared, removed)
    outcome = operation.execute(cluster, prepared, session.emit, session.cancel, decide)
    return {**outcome.counted(), "deleted": outcome.deleted + removed}


def _confirm_install(
    session: Session, identity: Identity, prepared: Prepared, removed: int
) -> None:
    """Ask before the install. removed: stale webhooks that are gone already."""
    try:
        session.confirm("About to install", [*identity_rows(identity), *_intent(prepared)])
    except UsageError:
        raise
    except InstallerError as answer:
        if not removed or answer.kind != "not-confirmed":
            raise
        message = "not confirmed; nothing was written but the deletion of stale webhooks"
        raise InstallerError(message, kind=answer.kind) from answer


def _intent(prepared: Prepared) -> list[tuple[str, str]]:
    """What is about to be done, for the question before it."""
    counts = {name: prepared.count(name) for name in ("create", "apply", "unchanged")}
    objects = (
        f"{counts['create']} to create, {counts['apply']} to change, "
        f"{counts['unchanged']} unchanged"
    )
    deleted = f", {len(prepared.prune)} to delete" if prepared.prune else ""
    return [
        ("release", prepared.release.name),
        ("external", ", ".join(component.name for component in prepared.external)),
        ("adopted", ", ".join(prepared.options.adopt)),
        ("to let go", ", ".join(map(str, prepared.handovers))),
        ("objects", objects + deleted),
    ]


def _install_decisions(prepared: Prepared) -> Iterator[tuple[str, str, str, Ref]]:
    words = {"create": "create", "apply": "change"}
    for part in prepared.planned:
        for item in part.wanted:
            decision = part.decisions[item.ref.identity]
            if decision in words:
                yield words[decision], part.component.name, item.stage, item.ref
    for ref in prepared.prune:
        yield "delete", "", "prune", ref

"""install, status and uninstall: options into engines, results into output and exit codes."""

from __future__ import annotations

import errno
import functools
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.cli.interrupts import Interrupts
from installer.cli.parser import split
from installer.cli.planned_install import promise
from installer.cli.session import Session, plain, reading
from installer.cli.terminal import Terminal
from installer.cli.wording import object_name
from installer.core.cancel import Cancel
from installer.core.errors import ExitCode, InstallerError, Problem, UsageError
from installer.core.events import Event

if TYPE_CHECKING:
    from installer.catalog.sources import SourceOptions
    from installer.cluster.client import Cluster, Identity
    from installer.core.objects import Ref
    from installer.operations.install import Outcome
    from installer.operations.prepare import InstallOptions, Prepared
    from installer.plan.settings import Settings

_SETTINGS_LIMIT = 1_000_000


def install(args: Namespace) -> int:
    """`install RELEASE`, or `install --plan FILE`."""
    return Session(args, "install").run(_install)


def uninstall(args: Namespace) -> int:
    """`uninstall`."""
    return Session(args, "uninstall").run(_uninstall)


def status(args: Namespace) -> int:
    """`status`: the report on stdout; 5 with --exit-code when something is not as installed."""
    from installer.cli.status_view import render
    from installer.cluster.client import Cluster
    from installer.operations.status import status as read_status

    cancel = Cancel()
    with Interrupts(cancel):
        cluster = Cluster.connect(
            kubeconfig=args.kubeconfig, context=args.context, cancel=cancel, emit=plain(args)
        )
        report = read_status(cluster).to_dict()
        if args.drift:
            from installer.operations.drift_report import drift

            found = drift(cluster, _as_installed(args), reading(args), cancel)
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


def connect(session: Session, release: str) -> tuple[Cluster, Identity]:
    """Connect, ask the server who it is, and tell that the command began."""
    from installer.cluster.client import Cluster

    args = session.args
    cluster = Cluster.connect(
        kubeconfig=args.kubeconfig,
        context=args.context,
        cancel=session.cancel,
        emit=session.emit,
    )
    session.cluster = cluster
    identity = cluster.identity()
    fields = {
        "command": session.command,
        "release": release,
        "cluster": {
            "context": identity.context,
            "server": identity.server,
            "version": identity.git_version,
            "nodes": identity.nodes,
        },
    }
    session.emit(Event("started", fields))
    return cluster, identity


def identity_rows(identity: Identity) -> list[tuple[str, str]]:
    """Which cluster it is, for the question before the first write."""
    return [
        ("context", identity.context),
        ("server", identity.server),
        ("version", identity.git_version),
        ("nodes", str(identity.nodes)),
    ]


def _install(session: Session) -> Mapping[str, Any]:
    planned = promise(session.args)
    options = install_options(session.args)
    from installer.operations import install as operation

    choice = operation.choose(options)
    planned.check_choice(choice)
    cluster, identity = connect(session, options.release)
    planned.check_cluster(cluster)
    skip, removed = split(session.args.skip), 0
    if session.args.remove_stale_webhooks:
        from installer.cli.stale_webhooks import clear

        show = functools.partial(_show_dry_run, session)
        removed = clear(session, cluster, identity, choice, identity_rows(identity), show)
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
        _show_dry_run(session, _install_decisions(prepared))
        return {"outcome": "unchanged" if prepared.nothing_to_do else "done"}
    if not prepared.nothing_to_do:
        _confirm_install(session, identity, prepared, removed)
    outcome = operation.execute(cluster, prepared, session.emit, session.cancel, decide)
    return {**_fields(outcome), "deleted": outcome.deleted + removed}


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
        ("objects", objects + deleted),
    ]


def install_options(args: Namespace) -> InstallOptions:
    """What the flags of `install`, `preflight` and `plan` ask for."""
    from installer.operations.prepare import InstallOptions

    catalog = Path(args.catalog) if args.catalog else None
    settings = read_settings(args.settings, args.release, catalog)
    return InstallOptions(
        release=args.release,
        settings=settings,
        sources=source_options(args),
        take_ownership=getattr(args, "take_ownership", False),
        adopt=split(getattr(args, "adopt", ())),
        wait=getattr(args, "wait", True),
        catalog=catalog,
    )


def source_options(args: Namespace) -> SourceOptions:
    """What `--mirror`, `--bundle` and `--catalog` say."""
    from installer.catalog.sources import SourceOptions

    return SourceOptions(
        bundle=Path(args.bundle) if args.bundle else None,
        mirror=args.mirror or None,
        catalog=Path(args.catalog) if args.catalog else None,
    )


def read_settings(files: list[str], release: str = "", catalog: Path | None = None) -> Settings:
    """Settings of these files. Raises InvalidInput with the problems of all of them.

    release: whose components they may name, where it is known; catalog: where to look it up.
    """
    from installer.plan.settings import Settings

    if not files:
        return Settings()
    from installer.plan.settings_parse import parse

    documents: list[tuple[str, str]] = []
    unreadable: list[Problem] = []
    for name in files:
        try:
            documents.append((name, _text_of(name)))
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
            unreadable.append(Problem(name, "", reason, "a text file of at most 1 MB"))
    return parse(documents, _components(release, catalog), unreadable)


def _text_of(name: str) -> str:
    with Path(name).open(encoding="utf-8") as stream:
        text = stream.read(_SETTINGS_LIMIT + 1)
    if len(text) > _SETTINGS_LIMIT:
        raise OSError(errno.EFBIG, "it is larger")
    return text


def _components(release: str, catalog: Path | None) -> list[str] | None:
    """Names of a release's components; None when it, or its catalog, has to be explained first."""
    from installer.catalog.load import load_releases

    try:
        return [ref.name for ref in load_releases(catalog)[release].components]
    except (KeyError, InstallerError):
        return None


def _show_dry_run(session: Session, decided: Iterable[tuple[str, str, str, Ref]]) -> None:
    """Every object that a run would write: (action, component, stage, reference) as `object`
    events; as text a line each on stdout."""
    from installer.operations.telling import object_event

    for action, component, stage, ref in decided:
        if session.args.output == "json":
            session.emit(object_event(component, stage, action, ref))
        else:
            place = [part for part in (action, component, stage) if part]
            sys.stdout.write(f"{' '.join(place)} {ref}\n")
    sys.stdout.flush()


def _install_decisions(prepared: Prepared) -> Iterator[tuple[str, str, str, Ref]]:
    words = {"create": "create", "apply": "change"}
    for part in prepared.planned:
        for item in part.wanted:
            decision = part.decisions[item.ref.identity]
            if decision in words:
                yield words[decision], part.component.name, item.stage, item.ref
    for ref in prepared.prune:
        yield "delete", "", "prune", ref


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
        _show_dry_run(session, (("delete", "", "", ref) for ref in [*doomed, *prepared.owned]))
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
    return _fields(outcome)


def _fields(outcome: Outcome) -> Mapping[str, Any]:
    names = ("outcome", "created", "changed", "unchanged", "deleted")
    return {name: getattr(outcome, name) for name in names}

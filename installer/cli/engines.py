"""install, status and uninstall: options into engines, results into output and exit codes."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.cli.session import Session
from installer.cli.wording import object_name
from installer.core.errors import ExitCode, InstallerError, UsageError
from installer.core.events import Event

if TYPE_CHECKING:
    from installer.cluster.client import Cluster, Identity
    from installer.operations.install import Outcome
    from installer.operations.prepare import InstallOptions
    from installer.plan.settings import Settings

_SETTINGS_LIMIT = 1_000_000


def install(args: Namespace) -> int:
    """`install RELEASE`."""
    return Session(args, "install").run(_install)


def uninstall(args: Namespace) -> int:
    """`uninstall`."""
    return Session(args, "uninstall").run(_uninstall)


def status(args: Namespace) -> int:
    """`status`: the report on stdout; 5 with --exit-code when something is not as installed."""
    from installer.cli.status_view import render
    from installer.cluster.client import Cluster
    from installer.operations.status import status as read_status

    cluster = Cluster.connect(kubeconfig=args.kubeconfig, context=args.context)
    report = read_status(cluster).to_dict()
    sys.stdout.write(render(report, args))
    as_installed = report["healthy"] and not report["drift"]
    return ExitCode.DIFFERENCES if args.exit_code and not as_installed else ExitCode.DONE


def _connect(session: Session, release: str) -> tuple[Cluster, Identity]:
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


def _identity_rows(identity: Identity) -> list[tuple[str, str]]:
    return [
        ("context", identity.context),
        ("server", identity.server),
        ("version", identity.git_version),
        ("nodes", str(identity.nodes)),
    ]


def _install(session: Session) -> Mapping[str, Any]:
    options = _install_options(session.args)
    from installer.operations import install as operation

    choice = operation.choose(options)
    cluster, identity = _connect(session, options.release)
    prepared = operation.prepare(cluster, choice, session.emit, session.cancel)
    counts = {name: prepared.count(name) for name in ("create", "apply", "unchanged")}
    if session.args.dry_run:
        _print_plan(session, prepared)
        return {"outcome": "unchanged" if prepared.nothing_to_do else "done"}
    if not prepared.nothing_to_do:
        objects = (
            f"{counts['create']} to create, {counts['apply']} to change, "
            f"{counts['unchanged']} unchanged"
        )
        deleted = f", {len(prepared.prune)} to delete" if prepared.prune else ""
        rows = [*_identity_rows(identity), ("release", options.release)]
        rows += [("external", ", ".join(component.name for component in prepared.external))]
        session.confirm("About to install", [*rows, ("objects", objects + deleted)])

    def refresh() -> Any:
        return operation.prepare(cluster, choice, session.emit, session.cancel)

    return _fields(operation.execute(cluster, prepared, session.emit, session.cancel, refresh))


def _install_options(args: Namespace) -> InstallOptions:
    settings = read_settings(args.settings)
    from installer.catalog.sources import SourceOptions
    from installer.operations.prepare import InstallOptions

    catalog = Path(args.catalog) if args.catalog else None
    bundle = Path(args.bundle) if args.bundle else None
    return InstallOptions(
        release=args.release,
        settings=settings,
        sources=SourceOptions(bundle=bundle, mirror=args.mirror or None, catalog=catalog),
        timeout=args.timeout,
        take_ownership=args.take_ownership,
        wait=args.wait,
        catalog=catalog,
    )


def read_settings(files: list[str]) -> Settings:
    """Settings of these files; UsageError when one cannot be read, InvalidInput for problems."""
    from installer.plan.settings import Settings

    if not files:
        return Settings()
    from installer.plan.settings_parse import parse

    documents = []
    for name in files:
        try:
            with Path(name).open(encoding="utf-8") as stream:
                text = stream.read(_SETTINGS_LIMIT + 1)
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"cannot read the settings: {reason}", object=name) from problem
        if len(text) > _SETTINGS_LIMIT:
            raise UsageError("cannot read the settings: more than 1 MB", object=name)
        documents.append((name, text))
    return parse(documents)


def _print_plan(session: Session, prepared: Any) -> None:
    """Every object that a run would write, on stdout; JSON gets it as `object` events."""
    words = {"create": "create", "apply": "change"}
    lines = [
        f"{words[decision]} {part.component.name} {item.stage} {item.ref}"
        for part in prepared.planned
        for item in part.wanted
        if (decision := part.decisions[item.ref.identity]) in words
    ]
    lines += [f"delete {ref}" for ref in prepared.prune]
    if session.args.output != "json":
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


def _uninstall(session: Session) -> Mapping[str, Any]:
    from installer.operations import uninstall as operation

    args = session.args
    cluster, identity = _connect(session, "")
    options = operation.UninstallOptions(
        delete_inferenceservices=args.delete_inferenceservices,
        delete_custom_resources=args.delete_custom_resources,
        timeout=args.timeout,
    )
    prepared = operation.prepare_uninstall(cluster, options, session.emit, session.cancel)
    doomed = [*prepared.users.inference, *prepared.users.others]
    if args.dry_run:
        if args.output != "json":
            refs = [*doomed, *prepared.owned]
            sys.stdout.write("".join(f"delete {ref}\n" for ref in refs))
        return {"outcome": "unchanged" if prepared.nothing_to_do else "done"}
    if not prepared.nothing_to_do:
        rows = [*_identity_rows(identity), ("release", prepared.release)]
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

"""`plan --save` and `install --plan`: a plan kept in a file, and held to it later."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from installer import __version__
from installer.cluster.client import Cluster
from installer.cluster.identity import read_uid
from installer.cluster.ledger import Ledger, Run
from installer.core.errors import ChecksFailed, UsageError
from installer.core.objects import Object, dig, fingerprint
from installer.operations.planning import Plan
from installer.operations.prepare import Prepared
from installer.plan.diff import comparable
from installer.plan.managers import last_writer
from installer.plan.saved import SavedObject, SavedPlan, moved, parse

_LIMIT = 20_000_000
"""Bytes; a plan of one stack has 100 kB."""
_WORKERS = 8
_SHOWN = 10


def save(cluster: Cluster, plan: Plan, file: str, settings: Sequence[str]) -> None:
    """Write a plan that `install --plan` takes; readable by its owner only.

    Raises UsageError when the file cannot be written.
    """
    text = _saved(cluster, plan.prepared, settings).text()
    target = Path(file)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        part.replace(target)
    except OSError as problem:
        part.unlink(missing_ok=True)
        reason = problem.strerror or str(problem)
        raise UsageError(
            f"cannot write the plan: {reason}", kind="plan-file", object=file
        ) from problem


def load(file: str) -> SavedPlan:
    """Read a plan. Raises UsageError when it cannot be read or is none, and what `parse` raises."""
    try:
        with Path(file).open(encoding="utf-8") as stream:
            text = stream.read(_LIMIT + 1)
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(
            f"cannot read the plan: {reason}", kind="plan-file", object=file
        ) from problem
    if len(text) > _LIMIT:
        raise UsageError("cannot read the plan: more than 20 MB", kind="plan-file", object=file)
    return parse(text, file, __version__)


def check_cluster(cluster: Cluster, saved: SavedPlan, file: str) -> None:
    """Raise ChecksFailed unless the plan was made for this cluster."""
    if read_uid(cluster.get) != saved.cluster:
        raise ChecksFailed(
            "this plan was made for another cluster: its namespace kube-system has another uid",
            kind="plan-cluster",
            object=file,
            remedy="choose the cluster with --kubeconfig or --context, or make a new plan",
        )


def check_settings(saved: SavedPlan, digest: str, file: str) -> None:
    """Raise ChecksFailed when the settings files no longer say what they said."""
    if digest != saved.settings_digest:
        files = ", ".join(saved.settings)
        raise ChecksFailed(
            f"the settings changed since this plan was made: {files}",
            kind="plan-outdated",
            object=file,
            remedy="make a new plan",
        )


def check_current(cluster: Cluster, saved: SavedPlan, prepared: Prepared, file: str) -> None:
    """Raise ChecksFailed, naming what changed, when install would decide otherwise now."""
    now = _saved(cluster, prepared, saved.settings)
    reasons = list(_reasons(cluster, saved, now, prepared.ledger))
    if not reasons:
        return
    run = prepared.ledger.last_run
    if run is not None and _carried_out(saved, now, prepared, run):
        raise ChecksFailed(
            f"this plan was carried out already: run {run.id}, by {run.by} at {run.started}, "
            "left what it describes, and nothing differs",
            kind="plan-outdated",
            object=file,
            remedy=f"there is nothing to do; kserve-installer status shows {saved.release}",
        )
    remedy = f"look at a new one: kserve-installer plan {saved.release} --save {file}"
    if prepared.ledger.state == "installing":
        remedy = (
            f"a run began and did not end: kserve-installer install {saved.release} finishes it, "
            "and plan shows what is left"
        )
    more = len(reasons) - _SHOWN
    lines = [f"  {reason}" for reason in reasons[:_SHOWN]]
    lines += [f"  and {more} more"] if more > 0 else []
    raise ChecksFailed(
        "the cluster moved on since this plan was made:\n" + "\n".join(lines),
        kind="plan-outdated",
        object=file,
        remedy=remedy,
    )


def _carried_out(then: SavedPlan, now: SavedPlan, prepared: Prepared, run: Run) -> bool:
    """Whether a later install has left everything as this plan wants it."""
    later = run.id != then.run and run.command == "install" and run.outcome == "done"
    wanted = {item.ref.identity: item.digest for item in then.objects if item.decision != "delete"}
    same = wanted == {item.ref.identity: item.digest for item in now.objects}
    return later and same and prepared.nothing_to_do


def _reasons(cluster: Cluster, then: SavedPlan, now: SavedPlan, ledger: Ledger) -> Iterator[str]:
    if then.kubernetes != now.kubernetes:
        yield f"Kubernetes is {now.kubernetes} now and was {then.kubernetes}"
    if then.ledger != now.ledger:
        run = ledger.last_run
        by = ""
        if run is not None and run.id != then.run:
            by = f": {run.command} of {run.release or 'the stack'} by {run.by} at {run.started}"
        yield f"the ledger of what is installed changed{by}"
    for old, new in moved(then, now):
        yield _moved(cluster, old, new)


def _moved(cluster: Cluster, old: SavedObject | None, new: SavedObject | None) -> str:
    if old is None or new is None:
        item = old or new
        what = "is no longer part of it" if new is None else "was not part of it"
        return f"{item.ref if item else ''} {what}"
    if old.version and not new.version:
        return f"{new.ref} was deleted"
    if old.version == new.version and old.digest != new.digest:
        return f"{new.ref} is wanted otherwise"
    found = cluster.get(new.ref)
    last = last_writer(found or {})
    by = f" by {last}" if last else ""
    return f"{new.ref} was {'changed' if old.version else 'created'}{by}"


def _saved(cluster: Cluster, prepared: Prepared, settings: Sequence[str]) -> SavedPlan:
    options, last = prepared.options, prepared.ledger.last_run
    return SavedPlan(
        installer=__version__,
        cluster=read_uid(cluster.get),
        kubernetes=prepared.identity.git_version,
        release=prepared.release.name,
        settings=tuple(str(Path(name).absolute()) for name in settings),
        settings_digest=options.settings.digest(),
        take_ownership=options.take_ownership,
        adopt=options.adopt,
        catalog=str(options.catalog.absolute()) if options.catalog else "",
        ledger=_ledger_fingerprint(prepared.ledger),
        run=last.id if last else "",
        objects=tuple(_objects(cluster, prepared)),
    )


def _objects(cluster: Cluster, prepared: Prepared) -> Iterator[SavedObject]:
    refs = [
        item.ref
        for part in prepared.planned
        for item in part.wanted
        if part.decisions[item.ref.identity] == "apply"
    ]
    with ThreadPoolExecutor(_WORKERS) as pool:
        asked = [*refs, *prepared.prune]
        read = dict(zip(asked, pool.map(cluster.get, asked), strict=True))
    for part in prepared.planned:
        for item in part.wanted:
            decision = part.decisions[item.ref.identity]
            live = part.live.get(item.ref.identity)
            yield SavedObject(
                item.ref, item.digest, decision, _version(live), _content(read.get(item.ref))
            )
    for ref in prepared.prune:
        yield SavedObject(ref, "", "delete", _version(read[ref]), _content(read[ref]))


def _version(obj: Object | None) -> str:
    return str(dig(obj, "metadata", "resourceVersion", default=""))


def _content(obj: Object | None) -> str:
    """Fingerprint of what an object is, without how it fares."""
    return "" if obj is None else fingerprint(comparable(obj))


def _ledger_fingerprint(ledger: Ledger) -> str:
    return fingerprint(
        [
            ledger.release,
            ledger.state,
            ledger.settings,
            list(ledger.external),
            [
                [record.name, record.version, record.state, sorted(record.stages.items())]
                + [
                    [list(key), e.sent, e.seen, e.created]
                    for key, e in sorted(record.entries.items())
                ]
                for _, record in sorted(ledger.components.items())
            ],
        ]
    )

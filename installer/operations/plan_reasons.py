"""What a decision comes to for one object, and why, in words. Pure."""

from __future__ import annotations

import re

from installer.catalog.model import Component
from installer.core.words import few
from installer.operations.preview import Preview
from installer.plan.diff import Change
from installer.plan.drift import Entry
from installer.plan.managers import Writer, last_writer, writers_of
from installer.plan.wanted import Wanted

OWNERSHIP = "only ownership is recorded"
STOPS = "install stops here without"
_FIELD = re.compile(r"([a-z]\w*(?:\.\w+|\[[^\]]*\])*): (?:Invalid value|Forbidden)")


def action_of(
    item: Wanted, preview: Preview, entry: Entry | None, component: Component, since: str
) -> str:
    """One of `planning.ACTIONS` for an object that install decided to write.

    since: the component's version as installed, whose immutable fields the catalog may name.
    """
    if preview.before is None:
        return "create"
    if preview.immutable or any(
        rule.matches(item.body)
        for change in component.changes
        if change.since == since != component.version
        for rule in change.immutable
    ):
        return "recreate"
    if entry is None:
        return "adopt"
    return "change" if preview.changes or preview.failure else "unchanged"


def reason_of(action: str, item: Wanted, preview: Preview, entry: Entry | None) -> str:
    """Why; empty where the action says it all."""
    if action == "create":
        return _created(preview, entry)
    if action == "recreate":
        return _recreated(preview)
    parts = ["exists, and is not in our ledger"] if action == "adopt" else []
    if preview.changes:
        parts.append(_differing(preview, item, entry))
    elif preview.failure is None:
        parts.append(OWNERSHIP)
    if preview.failure is not None:
        parts.append(_refused(preview))
    owners = sorted({conflict.manager for conflict in preview.conflicts})
    if owners and preview.forced:
        parts.append(f"taken back from {', '.join(owners)}")
    elif owners:
        parts.append(f"{STOPS} --take-ownership: {', '.join(owners)} owns these fields")
    return "; ".join(parts)


def _created(preview: Preview, entry: Entry | None) -> str:
    said = "was deleted since it was installed" if entry and entry.seen else "does not exist"
    if preview.blind:
        told = f"fields cannot be previewed: {preview.blind}"
        return f"{said}; {told}" if entry and entry.seen else told
    return f"{said}; {_refused(preview)}" if preview.failure else said


def _recreated(preview: Preview) -> str:
    cause = preview.failure.cause if preview.failure else ""
    found = sorted(set(_FIELD.findall(cause)))
    what = f"{few(found)} cannot be changed in place" if found else cause
    what = what or "the catalog says that its change cannot be made in place"
    return f"{what}; install does not delete and create it again, so do that first"


def _differing(preview: Preview, item: Wanted, entry: Entry | None) -> str:
    """How many fields differ, which, and by whom: those that others wrote are named first."""
    changes = sorted(preview.changes, key=lambda change: not _others(preview, change))
    fields = (
        f"{len(changes)} field differs" if len(changes) == 1 else f"{len(changes)} fields differ"
    )
    said = f"{fields}: {few([change.where for change in changes])}"
    by = sorted({writer.manager for change in changes for writer in _others(preview, change)})
    if by:
        verb = "written" if entry is None else "changed"
        return f"{said} ({verb} by {', '.join(by)})"
    if entry is not None and entry.sent and entry.sent != item.digest:
        return f"{said} (wanted otherwise than when it was installed)"
    last = last_writer(preview.before or {})
    return f"{said} (last changed by {last})" if entry and last and not last.ours else said


def _others(preview: Preview, change: Change) -> list[Writer]:
    return [w for w in writers_of(preview.before or {}, change.path) if not w.ours][:1]


def _refused(preview: Preview) -> str:
    failure = preview.failure
    if failure is None:
        return ""
    if failure.kind == "dry-run-unsupported":
        return f"{failure.cause}, so the fields shown are those we send"
    if failure.transient:
        return f"could not be previewed: {failure.cause}"
    return f"the server refuses it: {failure.cause}"

"""What the API server would say to each object that is to be written: server-side dry runs.

The same request as an install sends, so it sees schemas, admission, ownership and immutable
fields. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from installer.cluster.apply import LEFTOVERS
from installer.cluster.errors import ApiError, Conflict, Failure
from installer.core.checks import Detail, failed
from installer.core.objects import Ref
from installer.plan.drift import MANAGER
from installer.plan.wanted import Wanted
from installer.preflight.world import World

_PARALLEL = 8
_CRD = "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class Preview:
    """What became of one dry run. failure: None when it passed; unseen: why nothing was learnt.

    doubt: nothing was learnt of an object that may well be refused; without it there was nothing
    to learn yet, or another check tells.
    """

    ref: Ref
    failure: Failure | None = None
    unseen: str = ""
    doubt: bool = False


def dry_runs(world: World) -> Sequence[Preview]:
    """Every object that is to be created or changed, asked once for all checks."""
    found: Sequence[Preview] = world.once("dry-runs", lambda: _ask_all(world))
    return found


def _ask_all(world: World) -> list[Preview]:
    spaces = {str(n["metadata"]["name"]) for n in world.namespaces}
    pending = [item for item in world.target.wanted if world.target.decision(item) != "unchanged"]
    moving = {
        (item.body["spec"]["group"], item.body["spec"]["names"]["kind"])
        for item in pending
        if item.ref.kind == _CRD
    }

    def ask(item: Wanted) -> Preview:
        unasked = _unasked(world, item, spaces, moving)
        if unasked:
            return unasked
        preview = _sent(world, item, force=False)
        foreign = conflicts_of(preview) and not world.forced(item)
        if preview.failure and preview.failure.kind == "field-conflict" and not foreign:
            # the install will take these fields, so what comes of that is seen too
            forced = _sent(world, item, force=True)
            return forced if forced.failure or forced.unseen else preview
        return preview

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(ask, pending))


def _sent(world: World, item: Wanted, *, force: bool) -> Preview:
    try:
        if item.create_only:
            world.cluster.create(item.body, dry_run=True)
        else:
            world.cluster.apply(item.body, dry_run=True, force=force)
    except ApiError as error:
        return judged(item.ref, error.failure)
    return Preview(item.ref)


def _unasked(
    world: World, item: Wanted, spaces: set[str], moving: set[tuple[str, str]]
) -> Preview | None:
    """Why this object is not sent; None when it is."""
    ref, blind = item.ref, _CRD in world.blind
    if ref.namespace and ref.namespace not in spaces:
        return Preview(ref, unseen="their namespace does not exist yet")
    if ref.kind == _CRD and world.target.decision(item) == "create":
        why = "you may not see whether these CRDs exist" if blind else "they are new CRDs"
        return Preview(ref, unseen=why, doubt=blind)
    moves = (ref.group, ref.kind) in moving
    if moves and not blind:
        return Preview(ref, unseen="their CRD is yet to be applied")
    try:
        known = world.cluster.discovery().find(ref.api_version, ref.kind)
    except ApiError as error:
        why = f"discovery of {ref.api_version} failed: {error.message}"
        return Preview(ref, unseen=why, doubt=True)
    if moves:
        if known is None:
            return Preview(ref, unseen="their CRD is yet to be applied")
        return Preview(ref, unseen="you may not see whether their CRD changes", doubt=True)
    return None if known else Preview(ref, unseen="their kind is not served")


def judged(ref: Ref, failure: Failure) -> Preview:
    """A refusal that says something about the object, or why it says nothing. Pure."""
    if failure.kind == "dry-run-unsupported":
        return Preview(ref, unseen=failure.cause, doubt=True)
    if failure.kind.startswith("webhook-"):
        return Preview(ref, unseen=f"webhook {failure.webhook} cannot be called", doubt=True)
    if failure.kind == "forbidden":
        why = "you lack the right (see rights-objects, rights-escalation)"
        return Preview(ref, unseen=why, doubt=True)
    if failure.kind in ("terminating-namespace", "not-found", "no-match"):
        return Preview(ref, unseen=failure.cause, doubt=failure.kind == "terminating-namespace")
    if failure.transient:
        why = f"the API server did not answer: {failure.cause}"
        return Preview(ref, unseen=why, doubt=True)
    return Preview(ref, failure)


def preview_detail(preview: Preview) -> Detail | None:
    """The failure that a dry run foretells; None when there is none, or when it is about who owns
    fields. Pure."""
    failure = preview.failure
    if failure is None or failure.kind == "field-conflict":
        return None
    remedy = (
        failure.remedy or "correct it with the settings, or take a release made for this cluster"
    )
    data = {"kind": failure.kind, **({"webhook": failure.webhook} if failure.webhook else {})}
    return failed(
        f"{preview.ref} would be refused: {failure.cause}", remedy, str(preview.ref), **data
    )


def conflicts_of(preview: Preview) -> list[Conflict]:
    """Fields that an install would not take by itself. Pure.

    What an earlier `kubectl apply` of the client's side left is migrated by an install.
    """
    failure = preview.failure
    if failure is None or failure.kind != "field-conflict":
        return []
    return [
        conflict
        for conflict in failure.conflicts
        if conflict.manager != MANAGER
        and not (conflict.manager in LEFTOVERS and conflict.operation == "Update")
    ]

"""What applying one object would make of it, asked of the server by dry-run. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from installer.cluster.apply import LEFTOVERS
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError, Conflict, Failure
from installer.core.cancel import Cancel
from installer.core.objects import Object, ObjectId, Ref, dig
from installer.operations.live import METADATA_KINDS
from installer.plan.diff import Change, compare, restricted
from installer.plan.drift import MANAGER
from installer.plan.taken import without_leftovers
from installer.plan.wanted import Wanted

WORKERS = 16
PATIENCE = 10.0
"""Seconds in which a passing failure is tried again."""


@dataclass(frozen=True, slots=True)
class Preview:
    """One object before and after.

    before: None when it does not exist. after: as the server would store it; our own body where
    it could not be asked. changes: field by field; of a new object none.
    conflicts: fields that others own; an apply takes them where it is forced, and stops otherwise.
    failure: why the server would
    not say, or what it refuses. blind: its namespace or kind is not there yet, so that it was not
    asked.
    """

    before: Object | None
    after: Object
    changes: Sequence[Change] = ()
    conflicts: Sequence[Conflict] = ()
    forced: bool = False
    failure: Failure | None = None
    blind: str = ""

    @property
    def immutable(self) -> bool:
        """True when the change needs another object in its place."""
        return self.failure is not None and self.failure.kind == "immutable"


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not there yet and would come with the same run: kinds (group, kind), namespaces."""

    kinds: Collection[tuple[str, str]]
    namespaces: Collection[str]

    def why(self, ref: Ref) -> str:
        """Why nothing can be asked about this object; empty when it can."""
        if (ref.group, ref.kind) in self.kinds:
            return "its kind is not served yet"
        return "its namespace does not exist yet" if ref.namespace in self.namespaces else ""


def preview_all(
    cluster: Cluster,
    items: Sequence[Wanted],
    live: Mapping[ObjectId, Object],
    missing: Missing,
    *,
    forced: Callable[[Wanted], bool],
    former: Callable[[Wanted], Collection[str]],
    cancel: Cancel,
) -> dict[ObjectId, Preview]:
    """Previews of objects that are to be written, asked in parallel.

    live: as listed; of METADATA_KINDS only metadata, so that these are read again. forced: whether
    the install takes an object's fields from other managers; former: managers who let go of it.
    Raises what cancels the run; a request that fails is told in its preview.
    """
    if not items:
        return {}
    own = cluster.under(cancel, patience=PATIENCE)
    own.request_timeout = cluster.request_timeout  # a CRD of megabytes takes its time

    def one(item: Wanted) -> Preview:
        cancel.check(f"asking what {item.ref} would become")
        known = live.get(item.ref.identity)
        if known is not None and item.ref.kind in METADATA_KINDS:
            known = own.get(item.ref)
        return _preview(own, item, known, missing, forced(item), former(item))

    try:
        with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
            made = list(pool.map(one, items))
    finally:
        own.close()
    return {item.ref.identity: found for item, found in zip(items, made, strict=True)}


def _preview(
    cluster: Cluster,
    item: Wanted,
    known: Object | None,
    missing: Missing,
    force: bool,
    former: Collection[str],
) -> Preview:
    if known is None:
        return _created(cluster, item, missing.why(item.ref))
    answer = _asked(lambda: cluster.apply(item.body, dry_run=True, force=False))
    conflicts: Sequence[Conflict] = ()
    if isinstance(answer, Failure) and answer.kind == "field-conflict":
        conflicts = [c for c in answer.conflicts if not _is_leftover(c)]
        answer = _asked(lambda: cluster.apply(item.body, dry_run=True, force=True))
    if isinstance(answer, Failure):
        # what our body says of the object, against what is there of it
        changes = compare(restricted(known, item.body), item.body)
        return Preview(known, item.body, changes, conflicts, force, answer)
    after = _taken_over(cluster, known, answer, former)
    return Preview(known, after, compare(known, after), conflicts, force)


def _taken_over(cluster: Cluster, known: Object, after: Object, former: Collection[str]) -> Object:
    """With what an install takes over from an earlier kubectl, and from whoever lets go of the
    object: fields that only they had go."""
    pruned = without_leftovers(known, after, LEFTOVERS, former)
    if pruned is None:
        return after
    version = dig(known, "metadata", "resourceVersion")
    pruned = {**pruned, "metadata": {**pruned["metadata"], "resourceVersion": version}}
    answer = _asked(lambda: cluster.replace(pruned, dry_run=True))  # fills in defaults again
    return pruned if isinstance(answer, Failure) else answer


def _created(cluster: Cluster, item: Wanted, blind: str) -> Preview:
    if blind:
        return Preview(None, item.body, blind=blind)

    def send() -> Object:
        if item.create_only:
            return cluster.create(item.body, dry_run=True)
        return cluster.apply(item.body, dry_run=True)

    answer = _asked(send)
    if not isinstance(answer, Failure):
        return Preview(None, item.body)
    if answer.kind == "not-found":  # the namespace: an apply creates the object itself
        return Preview(None, item.body, blind="its namespace does not exist yet")
    return Preview(None, item.body, failure=answer)


def _asked(send: Callable[[], Object]) -> Object | Failure:
    try:
        return send()
    except ApiError as error:
        return error.failure


def _is_leftover(conflict: Conflict) -> bool:
    """What an install takes over without being told to."""
    return conflict.manager == MANAGER or (
        conflict.manager in LEFTOVERS and conflict.operation == "Update"
    )

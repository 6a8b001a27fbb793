"""Server-side apply of many objects at once.

Objects are sent in parallel; what each became is told as soon as it is known. Fields that an
earlier kubectl left behind are taken over. Fields of any other manager are never taken unless
told to: these conflicts are gathered over all objects, then told in one error.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal, Protocol

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError, Conflict, Failure
from installer.core.objects import Object, ObjectId, Ref, dig
from installer.core.words import plural
from installer.plan.drift import MANAGER
from installer.plan.fields import takeover, vanished
from installer.plan.handover import unmarked

WORKERS = 16
LEFTOVERS = ("kubectl-client-side-apply", "kubectl", "before-first-apply")
"""Managers under which kubectl's client-side apply leaves its fields (operation Update)."""
_NO_MATCH_PAUSE = 0.25
_ATTEMPTS = 5
"""How often fields are taken over anew from an object that others keep writing."""


class Item(Protocol):
    """What can be applied; `plan.wanted.Wanted` is one."""

    @property
    def ref(self) -> Ref: ...
    @property
    def body(self) -> Object: ...
    @property
    def create_only(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Applied:
    """What one object became. object: as the server stored it, managedFields included."""

    ref: Ref
    action: Literal["created", "changed", "unchanged"]
    object: Object


def apply_all(
    cluster: Cluster,
    items: Sequence[Item],
    *,
    live: Mapping[ObjectId, Object] | None = None,
    expected: Collection[tuple[str, str]] = (),
    forced: Collection[Ref] = (),
    former: Mapping[Ref, Collection[str]] | None = None,
    on_result: Callable[[Applied], None] | None = None,
    workers: int = WORKERS,
) -> list[Applied]:
    """Apply every item; results in the order of `items`.

    live: the objects as last listed, by identity: tells changed from unchanged, and whether an
    earlier kubectl's fields are to be taken over. expected: (group, kind) that this run installs,
    so that "not served" passes for a while. forced: objects whose fields are taken from any
    manager. former: managers who let go of an object, so that all that they own of it becomes ours.

    on_result: called in the calling thread, once per object, as soon as its answer is there.

    Raises the ApiError of the first object that failed for good, after those already sent were
    answered; ApiError `field-conflict` naming all conflicts, after everything else was applied.
    """
    job = _Job(cluster, live, frozenset(expected), frozenset(forced), former or {})
    outcome = _Outcome()
    left = deque(range(len(items)))
    with ThreadPoolExecutor(max_workers=min(workers, len(items) or 1)) as pool:
        running: dict[Future[Applied], int] = {}
        while running or left:
            while left and len(running) < workers:
                index = left.popleft()
                running[pool.submit(job.apply, items[index])] = index
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index = running.pop(future)
                result = outcome.take(index, items[index].ref, future)
                if result is not None and on_result is not None:
                    on_result(result)
            if outcome.failed is not None:
                left.clear()
    outcome.check()
    return [outcome.results[index] for index in range(len(items))]


class _Outcome:
    """What has come of the items so far; failed is the first failure that ends the stage."""

    def __init__(self) -> None:
        self.results: dict[int, Applied] = {}
        self.failed: BaseException | None = None
        self._conflicts: list[tuple[Ref, tuple[Conflict, ...]]] = []

    def take(self, index: int, ref: Ref, future: Future[Applied]) -> Applied | None:
        """Note how one item ended; its result if it was applied."""
        error = future.exception()
        if error is None:
            self.results[index] = future.result()
            return self.results[index]
        if isinstance(error, ApiError) and error.failure.kind == "field-conflict":
            self._conflicts.append((ref, error.failure.conflicts))
        else:
            self.failed = self.failed or error
        return None

    def check(self) -> None:
        """Raise what went wrong."""
        if self.failed is not None:
            raise self.failed
        if self._conflicts:
            raise _told(self._conflicts)


class _Job:
    """What all workers of one `apply_all` share."""

    def __init__(
        self,
        cluster: Cluster,
        live: Mapping[ObjectId, Object] | None,
        expected: frozenset[tuple[str, str]],
        forced: frozenset[Ref],
        former: Mapping[Ref, Collection[str]],
    ) -> None:
        self._cluster = cluster
        self._live = live
        self._expected = expected
        self._forced = forced
        self._former = former
        self._rediscovery = threading.Lock()

    def apply(self, item: Item) -> Applied:
        self._await_kind(item.ref)
        return self._create(item) if item.create_only else self._write(item)

    def _await_kind(self, ref: Ref) -> None:
        """Wait until a kind that this run installs is served; others fail when they are sent."""
        if (ref.group, ref.kind) not in self._expected:
            return
        until = time.monotonic() + self._cluster.retry_for
        while self._cluster.discovery().find(ref.api_version, ref.kind) is None:
            if time.monotonic() > until:
                return
            self._cluster.cancel.sleep(
                _NO_MATCH_PAUSE, f"waiting until {ref.kind} {ref.api_version} is served"
            )
            with self._rediscovery:
                if self._cluster.discovery().find(ref.api_version, ref.kind) is None:
                    self._cluster.discovery().forget([ref.api_version])

    def _create(self, item: Item) -> Applied:
        known = self._known(item.ref)
        if known is not None:
            return Applied(item.ref, "unchanged", known)
        try:
            return Applied(item.ref, "created", self._cluster.create(item.body))
        except ApiError as error:
            found = self._cluster.get(item.ref) if error.failure.kind == "already-exists" else None
            if found is None:
                raise
            # not there when listed and there now: a lost answer of our own create
            return Applied(item.ref, "unchanged" if self._live is None else "created", found)

    def _write(self, item: Item) -> Applied:
        known = self._known(item.ref)
        if known is not None:
            known = self._take_over(item.ref, known)
        try:
            answer = self._cluster.apply_answer(item.body, force=item.ref in self._forced)
        except ApiError as error:
            if error.failure.kind == "invalid" and known is not None:
                self._make_way(item, known, error)
            elif not _only_leftovers(error.failure):
                raise
            forced = item.ref in self._forced or error.failure.kind != "invalid"
            answer = self._cluster.apply_answer(item.body, force=forced)
        stored: Object = answer.body
        lost = answer.attempts > 1 and self._live is not None and known is None
        if answer.code == 201 or lost:
            return Applied(item.ref, "created", stored)
        same = known is not None and _version(known) == _version(stored)
        return Applied(item.ref, "unchanged" if same else "changed", stored)

    def _make_way(self, item: Item, known: Object, refused: ApiError) -> None:
        """Remove maps that the new body no longer has; `refused` when there are none."""
        patch = vanished(known, item.body, MANAGER)
        if not patch:
            raise refused
        self._cluster.patch(item.ref, patch)

    def _known(self, ref: Ref) -> Object | None:
        return self._live.get(ref.identity) if self._live is not None else None

    def _take_over(self, ref: Ref, known: Object) -> Object:
        """Make fields that kubectl's client-side apply owns ours, so that we can remove them too,
        and those of whoever lets go of the object.

        Otherwise a field that a newer release no longer has would stay for ever: their entry
        would keep it.
        """
        former = self._former.get(ref, ())
        now: Object | None = known
        for _ in range(_ATTEMPTS):
            if now is None:
                break
            fields = takeover(now, LEFTOVERS, MANAGER, former)
            marks = unmarked(now) if fields is None and former else None
            try:
                if fields is not None:
                    self._cluster.patch(ref, fields, type="json")
                elif marks is not None:
                    self._cluster.patch(ref, marks)
                break
            except ApiError as error:
                if error.failure.kind not in ("conflict", "invalid", "not-found"):
                    raise
                now = self._cluster.get(ref)  # somebody has written it since it was read
        return known


def _version(obj: Object) -> str:
    return str(dig(obj, "metadata", "resourceVersion", default=""))


def _only_leftovers(failure: Failure) -> bool:
    return failure.kind == "field-conflict" and all(
        conflict.manager == MANAGER
        or (conflict.manager in LEFTOVERS and conflict.operation == "Update")
        for conflict in failure.conflicts
    )


def _told(conflicts: Sequence[tuple[Ref, tuple[Conflict, ...]]]) -> ApiError:
    """One error for all conflicts: a line per object, owner and field."""
    every: list[Conflict] = []
    lines = []
    for ref, found in sorted(conflicts):
        every += found
        owners = sorted({conflict.manager for conflict in found})
        for owner in owners:
            fields = ", ".join(c.field for c in found if c.manager == owner)
            lines.append(f"  {ref}: {owner} owns {fields}")
    count = plural(len(conflicts), "object")
    return ApiError(
        Failure(
            "field-conflict",
            False,
            f"other field managers own fields of {count}:\n" + "\n".join(lines),
            "find out who manages these fields; --take-ownership takes them over",
            code=409,
            conflicts=tuple(every),
        ),
        str(conflicts[0][0]) if len(conflicts) == 1 else count,
    )

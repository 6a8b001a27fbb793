"""Rewriting objects so that a CRD may lose a version they were stored at."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Cursor
from installer.cluster.unconverted import (
    ENOUGH,
    impatient,
    is_conversion,
    lines_of,
    names_elsewhere,
    said_of,
)
from installer.cluster.watching import Page
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InstallerError
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig, ref_of
from installer.core.throttle import Throttle
from installer.plan.stored import Versions, dead_end, dropped, versions_of

RATE = 500.0
"""Objects per second that are rewritten at most: an API server has others to serve meanwhile."""
_PARALLEL = 8
_PAGE = 100
"""Whole objects of which two pages are held at once: one is written while the next is read."""
_STRIKES = 5
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


def check_stored(cluster: Cluster, ways: Mapping[str, Sequence[Versions]]) -> set[str]:
    """The CRDs whose objects are rewritten on the way. ways: what is applied, by CRD name.

    Raises ChecksFailed when one cannot go its way.
    """
    lines = []
    found: set[str] = set()
    for crd in _definitions(cluster):
        name = str(dig(crd, "metadata", "name"))
        if name in ways:
            if dropped(_stored(crd), ways[name][-1]):
                found.add(name)
            version = dead_end(_stored(crd), versions_of(crd), ways[name])
            if version:
                lines.append(f"  {name}: objects are stored at {version}")
    if lines:
        raise ChecksFailed(
            "versions would go that objects are stored at, with none in between that both the old "
            "and the new CRD have:\n" + "\n".join(lines),
            kind="stored-version",
            remedy="delete these objects, or convert them by hand",
        )
    return found


class Bookmark(Protocol):
    """Keeps how far a walk came, where the next run finds it."""

    def read(self) -> Cursor | None:
        """What was written last, None when nothing is under way."""

    def keep(self, cursor: Cursor | None) -> None:
        """Keep it; None: the walk is over."""


class Unkept:
    """A bookmark that nobody finds."""

    def read(self) -> Cursor | None:
        """Nothing."""
        return None

    def keep(self, cursor: Cursor | None) -> None:
        """Forget it."""


def migrate(
    cluster: Cluster,
    wanted: Sequence[Object],
    emit: Emit,
    cancel: Cancel,
    bookmark: Bookmark | None = None,
    rate: float = RATE,
) -> None:
    """Make way for these CRDs, which are about to be applied.

    Every object is written that can be, those that cannot are named, and then nothing is struck off
    the list, so that nothing is lost. bookmark: where a run goes on that was killed. rate: objects
    per second at most.
    """
    after = {str(dig(crd, "metadata", "name")): versions_of(crd) for crd in wanted}
    for crd in _definitions(cluster):
        name = str(dig(crd, "metadata", "name"))
        if name in after and dropped(_stored(crd), after[name]):
            _Migration(cluster, crd, after[name], emit, cancel, bookmark or Unkept(), rate).run()


class _Migration:
    """The objects of one CRD."""

    def __init__(
        self,
        cluster: Cluster,
        crd: Object,
        after: Versions,
        emit: Emit,
        cancel: Cancel,
        bookmark: Bookmark,
        rate: float,
    ) -> None:
        self.cluster = cluster
        self.crd = crd
        self.after = after
        self.emit = emit
        self.cancel = cancel
        self.bookmark = bookmark
        self.name = str(dig(crd, "metadata", "name"))
        self.storage = versions_of(crd).storage
        self.api_version = f"{crd['spec']['group']}/{self.storage}"
        self.kind = str(crd["spec"]["names"]["kind"])
        self.quick = impatient(cluster)
        self.throttle = Throttle(rate)
        self.done = 0

    def run(self) -> None:
        """Rewrite, then strike off. Raises InstallerError naming what could not be written."""
        if self.storage not in self.after.names:
            check_stored(self.cluster, {self.name: [self.after]})
        failed = self._rewrite_all()
        if failed:
            self.bookmark.keep(None)  # the next run must meet them again
            raise _not_rewritten(self.name, self.storage, failed)
        self._strike()
        self.bookmark.keep(None)
        fields = {"definition": self.name, "version": self.storage, "objects": self.done}
        self.emit(Event("stored", {**fields, "dropped": dropped(_stored(self.crd), self.after)}))

    def _rewrite_all(self) -> list[tuple[Ref, str]]:
        """What could not be written, with the reason; ends early where there is too much of it."""
        about = f"{self.name} {self.storage}"
        begun = self.bookmark.read()
        token = ""
        if begun is not None and begun.about == about:
            token, self.done = begun.token, begun.done
        failed: list[tuple[Ref, str]] = []
        under_way: deque[tuple[Page, list[Future[str]]]] = deque()

        def settle() -> None:
            """Wait for the page that was begun first."""
            page, writes = under_way.popleft()
            reasons = [write.result() for write in writes]
            pairs = zip(page.items, reasons, strict=True)
            failed.extend((ref_of(obj), why) for obj, why in pairs if why)
            self.done += reasons.count("")
            if page.token and not failed:
                self.bookmark.keep(Cursor(about, page.token, self.done))
            self._tell(page.left)

        with ThreadPoolExecutor(_PARALLEL) as pool:
            try:
                for page in self.cluster.pages(
                    self.api_version, self.kind, size=_PAGE, token=token
                ):  # read while the page before is written
                    under_way.append((page, [pool.submit(self._rewrite, o) for o in page.items]))
                    if len(under_way) > 1:
                        settle()
                    if len(failed) >= ENOUGH:
                        break
            except ApiError as error:
                if not is_conversion(error):
                    raise
                return self._rewrite_by_name(pool, error)
            while under_way:
                settle()
        return failed

    def _rewrite_by_name(self, pool: ThreadPoolExecutor, error: ApiError) -> list[tuple[Ref, str]]:
        """The same, of a kind with objects of which the conversion fails: one by one."""
        failed: dict[Ref, str] = {}
        written: set[Ref] = set()
        for refs in names_elsewhere(self.cluster, self.api_version, self.kind):
            reasons = list(pool.map(self._rewrite_named, refs))
            failed |= {ref: why for ref, why in zip(refs, reasons, strict=True) if why}
            written.update(ref for ref, why in zip(refs, reasons, strict=True) if not why)
            self.done = len(written)
            self._tell(0)
            if len(failed) >= ENOUGH:
                break
        if not failed:
            raise error
        return list(failed.items())

    def _rewrite_named(self, ref: Ref) -> str:
        """Why not; empty when it is done, or the object is gone."""
        try:
            obj = self.quick.get(ref)
        except ApiError as error:
            if not is_conversion(error):
                raise
            return error.message
        return self._rewrite(obj) if obj is not None else ""

    def _tell(self, left: int) -> None:
        fields = {"definition": self.name, "version": self.storage}
        self.emit(Event("migrating", {**fields, "done": self.done, "left": left}))

    def _rewrite(self, obj: Object) -> str:
        """Write an object as it is: the API server stores it at the present version.

        Returns why not; empty when it is done. One that somebody else has written since it was
        read is stored at the present version too, so a conflict is as good as an answer.
        """
        self.throttle.wait(self.cancel, f"rewriting objects of {self.name}")
        try:
            self.cluster.replace(obj)
        except ApiError as error:
            if error.failure.kind in ("conflict", "not-found"):
                return ""
            if error.failure.kind == "unauthorized":
                raise
            return error.message
        return ""

    def _strike(self) -> None:
        """Cut the record down, but only that of the CRD whose objects were rewritten: somebody may
        have made another version the stored one meanwhile."""
        crd = self.crd
        for _ in range(_STRIKES):
            body = {
                "metadata": {"resourceVersion": dig(crd, "metadata", "resourceVersion")},
                "status": {"storedVersions": [self.storage]},
            }
            try:
                self.cluster.patch(ref_of(crd), body, subresource="status")
                return
            except ApiError as error:
                if error.failure.kind != "conflict":
                    raise
            found = self.cluster.get(ref_of(crd))
            if found is None:
                return
            if versions_of(found).storage != self.storage:
                break
            crd = found
        raise InstallerError(
            f"{self.name} was changed by somebody else while its objects were rewritten",
            kind="conflict",
            object=str(ref_of(crd)),
            remedy="run the same command again",
        )


def _not_rewritten(name: str, version: str, failed: Sequence[tuple[Ref, str]]) -> InstallerError:
    return InstallerError(
        f"{said_of(failed)} of {name} could not be stored at {version}:\n{lines_of(failed)}",
        kind="not-migrated",
        object=str(failed[0][0]),
        remedy="nothing is lost, and the versions they are stored at stay: correct or delete them, "
        "then run the same command again",
    )


def _definitions(cluster: Cluster) -> Sequence[Object]:
    return cluster.list(*_CRD).items


def _stored(crd: Object) -> list[str]:
    found: list[str] = dig(crd, "status", "storedVersions", default=[])
    return found

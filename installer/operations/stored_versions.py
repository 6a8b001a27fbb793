"""Rewriting objects so that a CRD may lose a version they were stored at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Cursor
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InstallerError
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig, ref_of
from installer.core.throttle import Throttle
from installer.plan.stored import Versions, dead_end, dropped, versions_of

RATE = 500.0
"""Objects per second that are rewritten at most: an API server has others to serve meanwhile."""
_PARALLEL = 8
_PAGE = 200
"""Whole objects that are held at once."""
_ENOUGH = 50
"""Failures after which it is clear that something is wrong with more than the objects."""
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
        api_version = f"{self.crd['spec']['group']}/{self.storage}"
        kind = self.crd["spec"]["names"]["kind"]
        failed: list[tuple[Ref, str]] = []
        with ThreadPoolExecutor(_PARALLEL) as pool:
            for page in self.cluster.pages(api_version, kind, size=_PAGE, token=token):
                reasons = list(pool.map(self._rewrite, page.items))
                failed += [
                    (ref_of(obj), why) for obj, why in zip(page.items, reasons, strict=True) if why
                ]
                self.done += reasons.count("")
                if len(failed) >= _ENOUGH:
                    break
                if page.token and not failed:
                    self.bookmark.keep(Cursor(about, page.token, self.done))
                fields = {"definition": self.name, "version": self.storage}
                self.emit(Event("migrating", {**fields, "done": self.done, "left": page.left}))
        return failed

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
    lines = [f"  {ref.namespace}/{ref.name}: {why}" for ref, why in failed]
    more = "\n  and there may be more" if len(failed) >= _ENOUGH else ""
    count = "one object" if len(failed) == 1 else f"{len(failed)} objects"
    return InstallerError(
        f"{count} of {name} could not be stored at {version}:\n" + "\n".join(lines) + more,
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

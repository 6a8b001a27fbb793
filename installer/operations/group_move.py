"""Moving InferenceServices and TrainedModels from one API group to the other, one by one.

Each is made in the new group under the same name, then what its controller has made for it gets the
new object as its owner: nothing of that is deleted or made anew, so pods go on serving. The
old object stays until everything is well. Nothing is matched by name: what belongs to an object is
found by the uid in its owner references.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError, NotReady
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations.group_check import sources
from installer.operations.upgrade_serving import ask_all
from installer.plan import api_group
from installer.plan.api_group import (
    INFERENCE,
    TRAINED,
    counterpart,
    handover,
    moved,
    only_defaulted,
    owners_of,
    untouched,
)
from installer.serving.inference_service import of_object

_PARALLEL = 4
"""InferenceServices that are under way at once: each may roll out a revision of its own."""
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Expectations:
    """What each has to be afterwards. unwell, silent: names (`NAMESPACE/NAME`) that need not be
    Ready, or need not answer. seconds: how long one may take."""

    unwell: Collection[str]
    silent: Collection[str]
    seconds: float


@dataclass(slots=True)
class _Place:
    """A namespace's objects by what owns them: uid of the InferenceService → dependents."""

    dependents: dict[str, list[Object]] = field(default_factory=lambda: defaultdict(list))
    models: dict[str, list[Object]] = field(default_factory=lambda: defaultdict(list))


class Move:
    """All objects of `source`, into `group`."""

    def __init__(
        self,
        cluster: Cluster,
        source: str,
        group: str,
        expected: Expectations,
        emit: Emit,
        cancel: Cancel,
    ) -> None:
        self.cluster = cluster
        self.source = source
        self.group = group
        self.expected = expected
        self.emit = emit
        self.cancel = cancel
        self._done = 0
        self._total = 0
        self._guard = threading.Lock()

    def run(self, only: Collection[str] = ()) -> int:
        """Move all, or those named; how many are left. Raises NotReady or InstallerError naming
        what did not become as well as before; the others are moved all the same."""
        self._copy_secrets()
        names = self._names()
        self._total = len(names) if not only else sum(1 for n in names if n in only)
        unknown = sorted(set(only) - set(names))
        if unknown:
            raise InstallerError(
                f"there is no InferenceService {', '.join(unknown)} in {self.source}",
                kind="not-found",
                remedy="give --only NAMESPACE/NAME of one that is there",
            )
        failed: list[tuple[str, str]] = []
        by_place: dict[str, list[Object]] = defaultdict(list)
        for obj in sources(self.cluster, self.source, INFERENCE):
            if not only or name_of(obj) in only:
                by_place[obj["metadata"]["namespace"]].append(obj)
        for namespace, objects in sorted(by_place.items()):
            place = self._look(namespace)
            with ThreadPoolExecutor(_PARALLEL) as pool:
                for obj, why in zip(objects, pool.map(self._guarded(place), objects), strict=True):
                    if why:
                        failed.append((name_of(obj), why))
        if not only:
            self._orphans()
        if failed:
            raise _unwell(failed, self.group)
        return 0 if not only else len(names) - self._total

    def _names(self) -> list[str]:
        version = api_group.api_version(self.source, INFERENCE)
        if self.cluster.discovery().find(version, INFERENCE) is None:
            return []
        return [
            name_of(obj)
            for page in self.cluster.pages(version, INFERENCE, metadata_only=True)
            for obj in page.items
        ]

    def _look(self, namespace: str) -> _Place:
        place = _Place()
        for version, kind in api_group.DEPENDENTS:
            if self.cluster.discovery().find(version, kind) is None:
                continue
            for obj in self.cluster.list(version, kind, namespace, metadata_only=True).items:
                for uid in owners_of(obj, INFERENCE, self.source):
                    place.dependents[uid].append(obj)
        for model in sources_in(self.cluster, self.source, TRAINED, namespace):
            place.models[str(dig(model, "spec", "inferenceService"))].append(model)
        return place

    def _guarded(self, place: _Place) -> Callable[[Object], str]:
        def one(obj: Object) -> str:
            self.cancel.check("moving InferenceServices")
            try:
                self._one(obj, place)
            except (ApiError, NotReady) as error:
                if self.cancel.stopped:
                    raise
                return error.message
            return ""

        return one

    def _one(self, obj: Object, place: _Place) -> None:
        name = name_of(obj)
        there = self._made(obj)
        handed = self._hand_over(obj, there, place.dependents[obj["metadata"]["uid"]])
        ref = ref_of(there)
        if name not in self.expected.unwell:
            deadline = min(self.expected.seconds, self.cancel.left())
            wait_ready(self.cluster, [ref], deadline=deadline, cancel=self.cancel)
            if name not in self.expected.silent:
                self._ask(ref)
        models = place.models[obj["metadata"]["name"]]
        for model in models:
            self._model(model, there)
        with self._guard:
            self._done += 1
            done = self._done
        fields = {
            "object": ref.to_dict(),
            "from": self.source,
            "handed_over": handed,
            "trained_models": len(models),
            "done": done,
            "total": self._total,
        }
        self.emit(Event("moved", fields))

    def _made(self, obj: Object) -> Object:
        """The object in the new group, made where it is not there, and with the spec of the old."""
        wanted = moved(obj, self.group)
        ref = counterpart(ref_of(obj), self.group)
        there = self.cluster.get(ref)
        if there is None:
            try:
                return self.cluster.create(wanted)
            except ApiError as error:
                if error.failure.kind != "already-exists":
                    raise
                there = self.cluster.get(ref)  # made by a try whose answer was lost
                assert there is not None, "it was there a moment ago"
        if untouched(obj):
            return there  # on the way back to what it was made from
        if there.get("spec") != obj.get("spec") and not only_defaulted(obj, there):
            there = self.cluster.replace({**there, "spec": obj.get("spec")})
        return there

    def _hand_over(self, obj: Object, there: Object, dependents: Sequence[Object]) -> int:
        """Make the new object the owner of what the old one owns; how many."""
        old, handed = obj["metadata"]["uid"], 0
        for dependent in dependents:
            patch = handover(dependent, old, there)
            if not patch:
                continue
            try:
                self.cluster.patch(ref_of(dependent), patch, type="json")
            except ApiError as error:
                if error.failure.kind == "not-found":
                    continue
                fresh = self.cluster.get(ref_of(dependent))
                again = handover(fresh, old, there) if fresh is not None else []
                if not again:
                    continue  # somebody else has done it
                self.cluster.patch(ref_of(dependent), again, type="json")
            handed += 1
        return handed

    def _ask(self, ref: Ref) -> None:
        """A real request has to be answered. Raises NotReady."""
        found = self.cluster.get(ref)
        if found is None:
            raise NotReady(f"{ref} is gone", kind="not-serving", object=str(ref))
        service = of_object(found)
        if not service.host:
            return
        said = ask_all(self.cluster, [service], self.cancel).get(service.name)
        if said is not None and said.origin != "model":
            raise NotReady(
                f"it answered before and does not now: {said.says}",
                kind="not-serving",
                object=str(ref),
                remedy=said.remedy,
            )

    def _model(self, model: Object, owner: Object | None) -> None:
        """A TrainedModel, owned by the new InferenceService where the old one owned it."""
        ref = counterpart(ref_of(model), self.group)
        if self.cluster.get(ref) is not None:
            return
        wanted = moved(model, self.group)
        owned = next(owners_of(model, INFERENCE, self.source), "")
        if owner is not None and owned:
            reference = {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
            wanted["metadata"] = {**wanted["metadata"], "ownerReferences": [reference]}
        try:
            self.cluster.create(wanted)
        except ApiError as error:
            if error.failure.kind != "already-exists":
                raise

    def _orphans(self) -> None:
        """TrainedModels whose InferenceService is not there: they are moved as they are."""
        for model in sources(self.cluster, self.source, TRAINED):
            self._model(model, None)

    def _copy_secrets(self) -> None:
        """Storage credentials are described by annotations of the Secrets, with the group's prefix
        (kserve/kserve: pkg/credentials/s3/s3_secret.go)."""
        for secret in self.cluster.list("v1", "Secret", metadata_only=True).items:
            said = dig(secret, "metadata", "annotations", default={})
            new = api_group.renamed(said, self.source, self.group)
            if new != said:
                self.cluster.patch(ref_of(secret), {"metadata": {"annotations": new}})


def sources_in(cluster: Cluster, group: str, kind: str, namespace: str) -> Iterator[Object]:
    """Objects of a kind in one namespace."""
    version = api_group.api_version(group, kind)
    if cluster.discovery().find(version, kind) is not None:
        yield from cluster.list(version, kind, namespace).items


def name_of(obj: Object) -> str:
    """`NAMESPACE/NAME`."""
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def _unwell(failed: Sequence[tuple[str, str]], group: str) -> NotReady:
    lines = [f"  {name}: {why}" for name, why in failed[:_NAMED]]
    if len(failed) > _NAMED:
        lines.append(f"  and {len(failed) - _NAMED} more")
    count = "an InferenceService" if len(failed) == 1 else f"{len(failed)} InferenceServices"
    return NotReady(
        f"{count} did not become as well in {group} as before; the old ones are there still:\n"
        + "\n".join(lines),
        kind="not-moved",
        object=str(Ref("", INFERENCE, *failed[0][0].split("/"))),
        remedy="see why with `kserve-installer trace`, then run the same command again; "
        "`kserve-installer rollback` goes back",
    )

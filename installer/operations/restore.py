"""`restore`: what a backup holds back into a cluster, the same or another.

Everything is judged before anything is written. Objects are made in the order of the file: what
others name comes first. Status is their controllers' affair and finalizers too; owner references
are pointed at the owner that is there now, or left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from installer.cluster import ledger as ledgers
from installer.cluster import lock as locks
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InstallerError
from installer.core.events import Emit
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations.backup import cluster_uid
from installer.operations.backup_file import Summary, records, scan
from installer.operations.runs import begin_run
from installer.operations.telling import object_event
from installer.plan import backup_form as form
from installer.plan.backup_form import Record, restored

Existing = Literal["refuse", "keep", "overwrite"]
"""What becomes of objects that are there and differ."""
MANAGER = "kserve-installer-restore"
"""Not the manager of installs: what users have edited stays theirs."""
_PARALLEL = 8
_CHUNK = 100
_NAMED = 20


@dataclass(slots=True)
class Judged:
    """What a restore comes to. differing: (object, the fields that differ); unserved: kinds that
    the cluster does not serve, with how many objects. complete: objects that only get more."""

    summary: Summary
    same_cluster: bool
    create: int = 0
    complete: int = 0
    unchanged: int = 0
    ledger: bool = False
    differing: list[tuple[Ref, list[str]]] = field(default_factory=list)
    unserved: dict[str, int] = field(default_factory=dict)

    @property
    def objects(self) -> int:
        """How many there are to look at, of kinds that the cluster serves."""
        return self.create + self.complete + self.unchanged + len(self.differing)


def judge(
    cluster: Cluster,
    file: str,
    cancel: Cancel,
    tell: Callable[[str, Ref], None],
) -> Judged:
    """Check the file to its end, then compare every object. Raises UsageError for the file.

    tell: of each that is to be made (`create`), to get what it lacks (`change`), or is otherwise
    than in the backup (`differs`).
    """
    summary = scan(file)
    found = Judged(summary, cluster_uid(cluster) == summary.head.cluster)
    # a ledger says what was applied to one cluster: in another it would be a lie
    found.ledger = found.same_cluster and not ledgers.read(cluster).release
    for chunk in _chunks(file):
        with ThreadPoolExecutor(_PARALLEL) as pool:
            verdicts = list(pool.map(lambda one: _verdict(cluster, cancel, *one), chunk))
        for (_, wanted), verdict in zip(chunk, verdicts, strict=True):
            ref = ref_of(wanted)
            if verdict == "create":
                found.create += 1
                tell("create", ref)
            elif verdict == "unserved":
                kind = f"{ref.kind} {ref.api_version}"
                found.unserved[kind] = found.unserved.get(kind, 0) + 1
            elif verdict and form.only_adds(wanted, list(verdict)):
                found.complete += 1
                tell("change", ref)
            elif verdict:
                found.differing.append((ref, list(verdict)))
                tell("differs", ref)
            else:
                found.unchanged += 1
    return found


def check(judged: Judged, existing: Existing) -> None:
    """Raise ChecksFailed when the restore cannot be done, or would touch what is there."""
    head = judged.summary.head
    if judged.unserved:
        lines = [f"  {kind}: {count}" for kind, count in sorted(judged.unserved.items())]
        raise ChecksFailed(
            "this cluster does not serve kinds that the backup has objects of:\n"
            + "\n".join(lines),
            kind="unserved",
            remedy=f"install {head.release} first, of which the backup is",
        )
    if judged.differing and existing == "refuse":
        differing = [(ref, ", ".join(fields[:5])) for ref, fields in judged.differing]
        raise ChecksFailed(
            f"these objects are there and differ from the backup:\n{_named(differing)}",
            kind="existing",
            object=str(judged.differing[0][0]),
            remedy="--existing keep leaves them as they are, --existing overwrite makes them as in "
            "the backup",
        )


@dataclass(frozen=True, slots=True)
class Restored:
    """How many objects were made, changed, left alone."""

    created: int
    changed: int
    unchanged: int


def restore(
    cluster: Cluster, judged: Judged, existing: Existing, emit: Emit, cancel: Cancel
) -> Restored:
    """Do what was judged, under the lock. Raises InstallerError naming what was refused; what could
    be made is made then, and the same command goes on. A failure that was to pass and did not ends
    it at once, saying how far it came."""
    run = begin_run("restore", judged.summary.head.release)
    with locks.held(cluster, run=run.id, command="restore", emit=emit, cancel=cancel):
        return _Restore(cluster, existing, emit, cancel).run(judged)


class _Restore:
    def __init__(self, cluster: Cluster, existing: Existing, emit: Emit, cancel: Cancel) -> None:
        self.cluster = cluster
        self.existing = existing
        self.emit = emit
        self.cancel = cancel
        self.counts = {"created": 0, "changed": 0, "unchanged": 0}
        self.failed: list[tuple[Ref, str]] = []
        self._guard = Lock()

    def run(self, judged: Judged) -> Restored:
        file = judged.summary.file
        for chunk in _chunks(file):
            try:
                with ThreadPoolExecutor(_PARALLEL) as pool:
                    for refused in pool.map(lambda one: self._one(*one), chunk):
                        self.failed += refused
            except ApiError as error:
                raise _unfinished(error, self.counts, self.failed, judged.objects) from error
        if judged.ledger and not self.failed:
            self._ledger(file)
        if self.failed:
            raise _failed(self.failed)
        return Restored(**self.counts)

    def _one(self, record: Record, wanted: Object) -> list[tuple[Ref, str]]:
        """Do it and tell; of what is refused, why. Raises ApiError where others would fail too."""
        ref = ref_of(wanted)
        try:
            action = self._write(record, wanted)
        except ApiError as error:
            if self.cancel.asked or _waited_in_vain(error):
                self.cancel.stop(error)  # the others need not find out, each for a minute
                raise
            return [(ref, error.message)]
        with self._guard:
            self.counts[action] += 1
        self.emit(object_event("", "restore", action, ref))
        return []

    def _write(self, record: Record, wanted: Object) -> str:
        self.cancel.check("restoring")
        ref = ref_of(wanted)
        live = self.cluster.get(ref)
        if live is None:
            owners = self._owners(record.obj)
            if owners:
                wanted = {**wanted, "metadata": {**wanted["metadata"], "ownerReferences": owners}}
            try:
                self.cluster.create(wanted)
            except ApiError as error:
                if error.failure.kind != "already-exists":
                    raise
                return "unchanged"  # made by a try whose answer was lost
            return "created"
        fields = form.differs(wanted, live, record.role)
        adds = form.only_adds(wanted, fields)
        if not fields or (self.existing != "overwrite" and not adds):
            return "unchanged"
        if ref.kind == "ServiceAccount" or record.role == form.OURS:  # the rest is others'
            body = {k: v for k, v in wanted.items() if k not in ("apiVersion", "kind")}
            self.cluster.patch(ref, body, type="strategic", manager=MANAGER)
        else:
            known = live["metadata"]
            notes = {
                key: {**known.get(key, {}), **wanted["metadata"].get(key, {})}
                for key in ("labels", "annotations")
            }
            self.cluster.replace({**wanted, "metadata": {**known, **notes}})
        return "changed"

    def _owners(self, obj: Object) -> list[Object]:
        """The owner references, with the uids that the owners have here."""
        place = dig(obj, "metadata", "namespace", default="")
        kept = []
        for owner in dig(obj, "metadata", "ownerReferences", default=[]):
            live = None
            for namespace in dict.fromkeys((place, "")):
                ref = Ref(owner["apiVersion"], owner["kind"], namespace, owner["name"])
                try:
                    live = live or self.cluster.get(ref)
                except ApiError as error:
                    if error.failure.kind != "no-match":
                        raise
            if live is not None:
                kept.append({**owner, "uid": live["metadata"]["uid"]})
        return kept

    def _ledger(self, file: str) -> None:
        """The ledger of this cluster, which was lost here."""
        for record in records(file):
            if record.role == form.LEDGER:
                obj = {k: v for k, v in record.obj.items() if k != "status"}
                labels = dig(obj, "metadata", "labels", default={})
                name, space = record.ref.name, record.ref.namespace
                obj["metadata"] = {"name": name, "namespace": space, "labels": labels}
                self.cluster.apply(obj, force=True)
                self.emit(object_event("", "restore", "created", record.ref))


def _chunks(file: str) -> Iterator[list[tuple[Record, Object]]]:
    """What is to be restored, in chunks of one kind each."""
    held: list[tuple[Record, Object]] = []
    for record in records(file):
        wanted = restored(record)
        if wanted is None:
            continue
        if held and (len(held) == _CHUNK or held[-1][0].ref.kind != record.ref.kind):
            yield held
            held = []
        held.append((record, wanted))
    if held:
        yield held


def _verdict(
    cluster: Cluster, cancel: Cancel, record: Record, wanted: Object
) -> Sequence[str] | Literal["create", "unserved"]:
    """The fields that differ, none when it is there as it should be."""
    cancel.check("comparing a backup with the cluster")
    if cluster.discovery().find(record.ref.api_version, record.ref.kind) is None:
        return "unserved"
    live = cluster.get(record.ref)
    return "create" if live is None else form.differs(wanted, live, record.role)


def _waited_in_vain(error: ApiError) -> bool:
    """Whether it was tried again until that was given up: the server, or a webhook, is not there
    for others either. A conflict is of one object, which somebody changed just now."""
    return error.failure.transient and error.failure.kind != "conflict"


def _unfinished(
    error: ApiError, counts: Mapping[str, int], failed: Sequence[tuple[Ref, str]], objects: int
) -> InstallerError:
    """The error of a restore that was left half done. objects: how many there were to do."""
    came = ", ".join(f"{count} {action}" for action, count in counts.items())
    said = (
        f"{error.message}; the restore came to {sum(counts.values())} of {objects} objects: {came}"
    )
    if failed:
        said += f"; refused until then:\n{_named(failed)}"
    again = "run the same command again: it goes on with the rest"
    remedy = f"{error.remedy}; then {again}" if error.remedy else again
    return InstallerError(said, kind=error.kind, object=error.object, remedy=remedy)


def _failed(failed: Sequence[tuple[Ref, str]]) -> InstallerError:
    count = "one object" if len(failed) == 1 else f"{len(failed)} objects"
    return InstallerError(
        f"{count} could not be restored, everything else is:\n{_named(failed)}",
        kind="not-restored",
        object=str(failed[0][0]),
        remedy="see what each says, then run the same command again: it goes on with these",
    )


def _named(found: Sequence[tuple[Ref, str]]) -> str:
    """A line for each of the first objects, with what there is to say of it."""
    lines = [f"  {ref}: {said}" for ref, said in found[:_NAMED]]
    if len(found) > _NAMED:
        lines.append(f"  and {len(found) - _NAMED} more")
    return "\n".join(lines)

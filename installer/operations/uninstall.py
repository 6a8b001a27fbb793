"""`uninstall`: remove what the ledger owns, in the order in which nothing hangs.

Custom resources go first, and what controllers made of them, while the controllers that hold their
finalizers still run; then the webhook configurations, whose absence must not block anything; then
controllers, then CRDs, then the namespaces that we created and that hold nothing of others.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from installer.cluster import ledger as ledgers
from installer.cluster import lock as locks
from installer.cluster.client import Cluster, Identity
from installer.cluster.deletion import delete_all, wait_gone
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, ExitCode
from installer.core.events import Emit, Event, silent
from installer.core.objects import Object, Ref, dig
from installer.core.words import plural
from installer.operations.install import Outcome
from installer.operations.leftovers import Leftover, foreign_content, made_at_run_time
from installer.operations.live import read_live
from installer.operations.runs import begin_run, close_failed, end_run
from installer.operations.tally import Tally
from installer.operations.telling import object_event, stage_finished, stage_started, warning
from installer.operations.users import UserObjects, user_objects

_SHOWN = 10
_LOOKS = 3
"""How often what is there again after its deletion is deleted once more."""
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_CONTROLLERS = (
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
)
_CRD = "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class UninstallOptions:
    """What the user allowed."""

    delete_inferenceservices: bool = False
    delete_custom_resources: bool = False


@dataclass(frozen=True, slots=True)
class PreparedUninstall:
    """A decided uninstall: nothing was deleted yet.

    home: the namespace of ledger and lock, where we made it.
    """

    options: UninstallOptions
    identity: Identity
    ledger: Ledger
    owned: Sequence[Ref]
    users: UserObjects
    home: Object | None

    @property
    def owns_nothing(self) -> bool:
        """True when the ledger is empty; its namespace may be there."""
        return not self.ledger.components and not self.ledger.state

    @property
    def nothing_to_do(self) -> bool:
        """True when this installer has nothing in the cluster, not even a namespace."""
        return self.owns_nothing and self.home is None

    @property
    def release(self) -> str:
        """The installed release, empty when none."""
        return self.ledger.release


def prepare_uninstall(
    cluster: Cluster, options: UninstallOptions, emit: Emit, cancel: Cancel
) -> PreparedUninstall:
    """Decide an uninstall. Raises ChecksFailed while users' objects would be lost."""
    identity = cluster.identity()
    ledger = ledgers.read(cluster)
    if ledger.lost:
        raise ChecksFailed(
            f"the ledger's record of {', '.join(ledger.lost)} is gone, so what belongs to it would "
            "stay behind",
            kind="ledger-lost",
            object=f"Namespace {ledgers.NAMESPACE}",
            remedy=f"`kserve-installer install {ledger.release}` writes it again; then uninstall",
        )
    owned = [entry.ref for entry in ledger.owners().values()]
    live = read_live(cluster, owned)
    existing = [ref for ref in owned if ref.identity in live]
    cancel.check("looking for custom resources")
    users = user_objects(cluster, ledger)
    _refuse_losses(users, options)
    home = cluster.get(ledgers.HOME)
    ours = home if home is not None and ledgers.is_our_home(home) else None
    prepared = PreparedUninstall(options, identity, ledger, existing, users, ours)
    emit(
        Event(
            "planned",
            {
                "components": [
                    {
                        "name": record.name,
                        "version": record.version,
                        "objects": len(record.entries),
                    }
                    for record in ledger.components.values()
                ],
                "objects": len(existing),
                "create": 0,
                "change": 0,
                "unchanged": 0,
                "delete": len(existing) + len(users.inference) + len(users.others),
            },
        )
    )
    return prepared


def _refuse_losses(users: UserObjects, options: UninstallOptions) -> None:
    if users.inference and not options.delete_inferenceservices:
        raise ChecksFailed(
            f"{plural(len(users.inference), 'InferenceService')} would be lost: "
            f"{_listed(users.inference)}",
            kind="inferenceservices-exist",
            remedy="delete or move them, or allow it with --delete-inferenceservices",
        )
    if users.others and not options.delete_custom_resources:
        raise ChecksFailed(
            f"{plural(len(users.others), 'custom resource')} of the kinds to be removed would be "
            f"lost: {_listed(users.others)}",
            kind="custom-resources-exist",
            remedy="delete or move them, or allow it with --delete-custom-resources",
        )


def _listed(refs: Sequence[Ref]) -> str:
    shown = ", ".join(str(ref) for ref in refs[:_SHOWN])
    more = f", and {len(refs) - _SHOWN} more" if len(refs) > _SHOWN else ""
    return shown + more


def execute_uninstall(
    cluster: Cluster, prepared: PreparedUninstall, emit: Emit, cancel: Cancel
) -> tuple[Outcome, list[Leftover]]:
    """Delete everything; returns the outcome (exit code 1 with leftovers) and what is left."""
    started = time.monotonic()
    tally = Tally()
    if prepared.nothing_to_do:
        return Outcome.of("unchanged", tally, cluster, started), []
    if prepared.owns_nothing and dig(prepared.home, "metadata", "deletionTimestamp"):
        # an uninstall was stopped when all but this was done; nobody can hold a lock in it
        _Removal(cluster, prepared, tally, emit, cancel).remove_home()
        return Outcome.of("done", tally, cluster, started), []
    run = begin_run("uninstall", prepared.release)
    with locks.held(cluster, run=run.id, command="uninstall", emit=emit, cancel=cancel) as lock:
        prepared = _decided_again(cluster, prepared, cancel)
        ledger = replace(prepared.ledger, state="uninstalling", runs=(*prepared.ledger.runs, run))
        ledgers.write_stack(cluster, ledger)
        emit(Event("recorded", {"run": run.id}))
        removal = _Removal(cluster, prepared, tally, emit, cancel)
        try:
            left = removal.run(lock)
        except BaseException as error:
            close_failed(cluster, ledger, run, error)
            raise
        if left:
            ended = replace(ledger, runs=(*ledger.runs[:-1], end_run(run, "failed")))
            _remember(cluster, ended, left)
        else:
            for name in ledger.components:
                ledgers.forget_component(cluster, name)
            cluster.delete(Ref("v1", "ConfigMap", ledgers.NAMESPACE, ledgers.STACK))
    if not left:
        removal.remove_home()
    outcome = Outcome.of("failed" if left else "done", tally, cluster, started)
    return replace(outcome, exit_code=ExitCode.FAILED if left else ExitCode.DONE), left


def _decided_again(
    cluster: Cluster, prepared: PreparedUninstall, cancel: Cancel
) -> PreparedUninstall:
    """What is there now that the lock is held: the user may have thought for an hour.

    Raises ChecksFailed when objects of users have appeared that were not confirmed.
    """
    now = prepare_uninstall(cluster, prepared.options, silent, cancel)
    confirmed = {*prepared.users.inference, *prepared.users.others}
    new = [ref for ref in (*now.users.inference, *now.users.others) if ref not in confirmed]
    if new:
        raise ChecksFailed(
            f"{plural(len(new), 'object')} of users appeared since this was confirmed: "
            f"{_listed(new)}",
            kind="changed",
            remedy="run the same command again and look at what would be lost",
        )
    return now


def _remember(cluster: Cluster, ledger: Ledger, left: Sequence[Leftover]) -> None:
    """Keep of the ledger what still exists.

    When that is only namespaces kept for what others have in them, the stack counts as
    uninstalled: install works again, and so does an uninstall once they are empty.
    """
    kept = {item.ref.identity for item in left}
    if any(item.ref.kind != "Namespace" for item in left):
        ledgers.write_stack(cluster, ledger)
        return
    for record in ledger.components.values():
        entries = {key: entry for key, entry in record.entries.items() if key in kept}
        if entries:
            ledgers.write_component(cluster, replace(record, stages={}, entries=entries))
        else:
            ledgers.forget_component(cluster, record.name)
    ledgers.write_stack(cluster, Ledger(runs=ledger.runs))


class _Removal:
    """One pass over everything that goes, group after group."""

    def __init__(
        self,
        cluster: Cluster,
        prepared: PreparedUninstall,
        tally: Tally,
        emit: Emit,
        cancel: Cancel,
    ):
        self._cluster = cluster
        self._prepared = prepared
        self._tally = tally
        self._lock: locks.Lock | None = None
        self._emit = emit
        self._cancel = cancel

    def run(self, lock: locks.Lock) -> list[Leftover]:
        """Delete in order while the lock is ours; returns what could not be removed."""
        self._lock = lock
        owned, users = self._prepared.owned, self._prepared.users
        definitions = [ref for ref in owned if ref.kind == _CRD]
        custom = [ref for ref in owned if (ref.group, ref.kind) in users.kinds]
        webhooks = [ref for ref in owned if ref.kind in _WEBHOOKS]
        controllers = [ref for ref in owned if ref.kind in _CONTROLLERS]
        namespaces = [ref for ref in owned if ref.kind == "Namespace"]
        grouped = {*definitions, *custom, *webhooks, *controllers, *namespaces}
        rest = [ref for ref in owned if ref not in grouped]
        self._group("inferenceservices", users.inference)
        self._group("custom-resources", [*users.others, *custom])
        self._dependants()
        self._group("webhooks", webhooks)
        self._group("controllers", controllers, propagation="Foreground")
        self._group("setup", rest)
        # with its CRD every object of a kind goes: none may have been made meanwhile
        _refuse_losses(user_objects(self._cluster, self._prepared.ledger), self._prepared.options)
        self._group("crds", definitions)
        self._group("run-time", made_at_run_time(self._cluster, self._prepared.ledger))
        kept = self._namespaces(namespaces)
        return [*kept, *self._still_there()]

    def remove_home(self) -> None:
        """Remove the namespace of ledger and lock, once both are gone, where we made it."""
        if self._prepared.home is not None:
            self._cluster.delete(ledgers.HOME)
            self._wait("namespaces", [ledgers.HOME])

    def _dependants(self) -> None:
        """Wait until the garbage collector and the controllers are through with what had owners.

        Knative's Routes and Ingresses carry finalizers of controllers that are to go next; nobody
        would remove them then, and their CRDs would never go.
        """
        for _ in range(_LOOKS):  # a controller may have made some meanwhile
            left = user_objects(self._cluster, self._prepared.ledger).dependants
            if not left:
                return
            self._cancel.check("waiting until what custom resources owned is gone")
            self._wait("custom-resources", left)

    def _group(self, stage: str, refs: Sequence[Ref], propagation: str = "Background") -> None:
        if not refs:
            return
        self._cancel.check(f"about to delete {plural(len(refs), 'object')} in stage {stage}")
        if self._lock is not None:
            self._lock.confirm()
        begun = time.monotonic()
        self._emit(stage_started("", stage, len(refs)))

        def deleted(ref: Ref) -> None:
            self._tally.count("deleted")
            self._emit(object_event("", stage, "deleted", ref))

        delete_all(self._cluster, refs, deleted, propagation=propagation)
        asked = time.monotonic()
        self._wait(stage, refs)
        ended = time.monotonic()
        self._tally.stage("", stage, asked - begun, ended - asked)
        self._emit(stage_finished("", stage, asked - begun, ended - asked))

    def _wait(self, stage: str, refs: Sequence[Ref]) -> None:
        def progress(remaining: Sequence[tuple[Ref, str]], total: int) -> None:
            self._emit(
                Event(
                    "waiting",
                    {
                        "component": "",
                        "stage": stage,
                        "for": [
                            {"object": str(ref), "state": "terminating", "reason": why}
                            for ref, why in remaining[:_SHOWN]
                        ],
                        "pending": len(remaining),
                        "total": total,
                    },
                )
            )

        left = self._cancel.left()
        wait_gone(self._cluster, refs, deadline=left, cancel=self._cancel, progress=progress)
        if stage == "crds":
            self._cluster.refresh_discovery()

    def _namespaces(self, refs: Sequence[Ref]) -> list[Leftover]:
        """Delete namespaces that we created, unless they hold something of others."""
        created = {e.ref.identity for e in self._prepared.ledger.owners().values() if e.created}
        kept: list[Leftover] = []
        going: list[Ref] = []
        for ref in refs:
            if ref.identity not in created:
                said = "was here before the install, so it stays"
                self._emit(warning(said, str(ref)))
                continue
            content = foreign_content(self._cluster, ref.name, self._prepared.ledger)
            if content:
                reason = f"holds {plural(len(content), 'object')} of others: {_listed(content)}"
                kept.append(Leftover(ref, reason))
            else:
                going.append(ref)
        self._group("namespaces", going)
        return kept

    def _still_there(self) -> list[Leftover]:
        """Look once more for everything that should be gone."""
        created = {e.ref.identity for e in self._prepared.ledger.owners().values() if e.created}
        suspects = [
            ref
            for ref in self._prepared.owned
            if ref.kind != "Namespace" or ref.identity in created
        ]
        suspects = [ref for ref in suspects if ref.kind != "Namespace"]
        try:
            for _ in range(_LOOKS):
                found = read_live(self._cluster, suspects)
                again = [ref for ref in suspects if ref.identity in found]
                if not again:
                    return []
                # a controller was faster than the news of its object's deletion
                self._group("again", again)
            found = read_live(self._cluster, suspects)
        except ApiError as error:
            return [Leftover(Ref("v1", "Namespace", "", "?"), f"could not look: {error.message}")]
        return [
            Leftover(ref, "was deleted and is there again")
            for ref in suspects
            if ref.identity in found
        ]

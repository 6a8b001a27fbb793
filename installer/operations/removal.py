"""One pass over everything that an uninstall removes, in the order in which nothing hangs.

Custom resources go first, and what controllers made of them, while the controllers that hold their
finalizers still run; then the webhook configurations, whose absence must not block anything; then
controllers, then CRDs, then the namespaces that we created and that hold nothing of others.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.deletion import delete_all, wait_gone
from installer.cluster.lock import Lock
from installer.core.cancel import Cancel
from installer.core.events import Emit, Event
from installer.core.objects import Ref
from installer.core.words import plural
from installer.operations.leftovers import Leftover, foreign_content, made_at_run_time
from installer.operations.live import read_live
from installer.operations.tally import Tally
from installer.operations.telling import object_event, stage_finished, stage_started, warning
from installer.operations.uninstall_decision import SHOWN, PreparedUninstall, listed, refuse_losses
from installer.operations.users import user_objects

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


class Removal:
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
        self._lock: Lock | None = None
        self._emit = emit
        self._cancel = cancel

    def run(self, lock: Lock) -> list[Leftover]:
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
        refuse_losses(user_objects(self._cluster, self._prepared.ledger), self._prepared.options)
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
                            for ref, why in remaining[:SHOWN]
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
                reason = f"holds {plural(len(content), 'object')} of others: {listed(content)}"
                kept.append(Leftover(ref, reason))
            else:
                going.append(ref)
        self._group("namespaces", going)
        return kept

    def _still_there(self) -> list[Leftover]:
        """Look once more for everything that should be gone. Raises ApiError where that cannot be
        seen: then the ledger stays as it is, and the next run looks again."""
        suspects = [ref for ref in self._prepared.owned if ref.kind != "Namespace"]
        for _ in range(_LOOKS):
            found = read_live(self._cluster, suspects)
            again = [ref for ref in suspects if ref.identity in found]
            if not again:
                return []
            # a controller was faster than the news of its object's deletion
            self._group("again", again)
        found = read_live(self._cluster, suspects)
        return [
            Leftover(ref, "was deleted and is there again")
            for ref in suspects
            if ref.identity in found
        ]

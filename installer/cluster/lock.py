"""The lock against a second run: a Lease that its holder renews.

No clock is compared with another machine's. Whoever finds the lock watches the Lease's
resourceVersion: a renewal proves a live holder at once; only when none came during a whole lease
duration, counted in successful reads a second apart, is the holder taken for dead. A holder that
is a dead process of this very machine is replaced without waiting.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.holder import Holder
from installer.cluster.ledger import NAMESPACE
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InstallerError
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig

LEASE = Ref("coordination.k8s.io/v1", "Lease", NAMESPACE, "lock")
DURATION = 15
"""Seconds without a renewal after which a holder is taken for dead."""
RENEW_EVERY = 3.0
_LOOKS = round(2 * RENEW_EVERY) + 1
_HOLDER = "kserve-installer/holder"


def _now_awake_or_not() -> float:
    """Seconds on a clock that goes on while the machine is suspended, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Lock:
    """A held lock; renews itself in the background until released."""

    def __init__(self, cluster: Cluster, lease: Object, cancel: Cancel):
        self._cluster = cluster
        self._lease = lease
        self._cancel = cancel
        self._guard = threading.Lock()
        self._released = threading.Event()
        self._renewed = _now_awake_or_not()
        self._thread = threading.Thread(target=self._renew_until_released, daemon=True)
        self._thread.start()

    def confirm(self) -> None:
        """Raise unless the lock is surely ours: called before each batch of writes.

        A process that slept through a lease duration may have been replaced meanwhile.
        """
        if _now_awake_or_not() - self._renewed > DURATION / 2:
            self._renew()

    def release(self) -> None:
        """Give the lock back: the Lease is deleted, if it is still ours."""
        self._released.set()
        self._thread.join(timeout=RENEW_EVERY)
        with self._guard, contextlib.suppress(InstallerError):
            self._cluster.uncancelled().delete(LEASE, uid=self._lease["metadata"]["uid"])

    def _renew_until_released(self) -> None:
        while not self._released.wait(RENEW_EVERY):
            try:
                self._renew()
            except ApiError as error:
                if not error.failure.transient:
                    self._cancel.stop(error)
                    return
            except InstallerError as lost:
                self._cancel.stop(lost)
                return

    def _renew(self) -> None:
        with self._guard:
            if self._released.is_set():
                return
            asked = _now_awake_or_not()
            body = {**self._lease, "spec": {**self._lease["spec"], "renewTime": _now()}}
            try:
                self._lease = self._cluster.replace(body)
            except ApiError as error:
                if error.failure.kind not in ("conflict", "not-found"):
                    raise
                self._adopt_or_fail()
            self._renewed = asked

    def _adopt_or_fail(self) -> None:
        """A renewal whose answer was lost still counts: ours is known by its uid."""
        found = self._cluster.get(LEASE)
        if found is None or found["metadata"]["uid"] != self._lease["metadata"]["uid"]:
            who = _describe(found) if found else "nobody: the Lease was deleted"
            raise InstallerError(
                f"the lock was lost to {who}",
                kind="lock-lost",
                object=str(LEASE),
                remedy="wait for the other run to end, then run the same command again",
            )
        self._lease = found


def held_by(cluster: Cluster) -> str:
    """Who holds the lock, in words; empty when nobody does, or who did is gone. Reads only.

    A process of this machine is looked at; one elsewhere shows that it lives by a renewal, which
    is waited for, for a little longer than two of them take.
    """
    lease = cluster.get(LEASE)
    if lease is None:
        return ""
    holder = _holder_of(lease)
    if holder is not None and holder.is_dead_here():
        return ""
    if holder is not None and holder.is_alive_here():
        return str(holder)
    for _ in range(_LOOKS):
        cluster.cancel.sleep(1.0, f"finding out whether the lock is still held: {_describe(lease)}")
        found = cluster.get(LEASE)
        if found is None:
            return ""
        if found["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            return _describe(found)
    return ""


@contextlib.contextmanager
def held(cluster: Cluster, *, run: str, command: str, emit: Emit, cancel: Cancel) -> Iterator[Lock]:
    """Hold the lock for a `with` block. Raises ChecksFailed, kind `locked`, when another does.

    The namespace of the ledger must exist. Losing the lock stops `cancel` with the reason.
    """
    holder = Holder.this_process(run, command)
    lock = Lock(cluster, _acquire(cluster, holder, emit, cancel), cancel)
    try:
        yield lock
    finally:
        lock.release()


def _acquire(cluster: Cluster, holder: Holder, emit: Emit, cancel: Cancel) -> Object:
    while True:
        cancel.check("waiting for the lock")
        found = cluster.get(LEASE)  # first: whoever is refused has not even tried to write
        if found is None:
            try:
                return cluster.create(_lease(holder))
            except ApiError as error:
                if error.failure.kind != "already-exists":
                    raise
            continue
        other = _holder_of(found)
        if other is not None and other.run == holder.run:
            return found  # our own create, whose answer was lost
        _await_death(cluster, found, emit, cancel)
        emit(
            Event(
                "warning",
                {
                    "message": f"took over the lock of {_describe(found)}, which ended without "
                    "releasing it",
                    "object": str(LEASE),
                    "remedy": "",
                },
            )
        )
        with contextlib.suppress(ApiError):
            cluster.delete(LEASE, uid=found["metadata"]["uid"])


def _await_death(cluster: Cluster, lease: Object, emit: Emit, cancel: Cancel) -> None:
    """Return once the holder is surely gone; raise `locked` as soon as it is seen alive."""
    other = _holder_of(lease)
    if other is not None and other.is_dead_here():
        return
    emit(
        Event(
            "waiting",
            {
                "component": "",
                "stage": "lock",
                "for": [
                    {
                        "object": str(LEASE),
                        "state": "held",
                        "reason": f"held by {_describe(lease)}; finding out whether it is alive",
                    }
                ],
                "pending": 1,
                "total": 1,
            },
        )
    )
    version = lease["metadata"]["resourceVersion"]
    for _ in range(DURATION):
        cancel.sleep(1.0, f"waiting for the lock, held by {_describe(lease)}")
        found = cluster.get(LEASE)
        if found is None:
            return
        if found["metadata"]["resourceVersion"] != version:
            raise ChecksFailed(
                f"another run holds the lock: {_describe(found)}, "
                f"since {dig(found, 'metadata', 'creationTimestamp')}",
                kind="locked",
                object=str(LEASE),
                remedy="wait for it to end, then run the same command again",
            )


def _lease(holder: Holder) -> Object:
    details = {slot: getattr(holder, slot) for slot in Holder.__slots__}
    now = _now()
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {
            "name": LEASE.name,
            "namespace": LEASE.namespace,
            "annotations": {_HOLDER: json.dumps(details)},
        },
        "spec": {
            "holderIdentity": f"{holder.user}@{holder.host}/{holder.pid}/{holder.run}",
            "leaseDurationSeconds": DURATION,
            "acquireTime": now,
            "renewTime": now,
        },
    }


def _holder_of(lease: Mapping[str, Any]) -> Holder | None:
    try:
        return Holder(**json.loads(lease["metadata"]["annotations"][_HOLDER]))
    except (KeyError, TypeError, ValueError):
        return None


def _describe(lease: Mapping[str, Any]) -> str:
    holder = _holder_of(lease)
    return str(holder) if holder else str(dig(lease, "spec", "holderIdentity", default="unknown"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

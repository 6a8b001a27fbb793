"""A namespace that is there for as long as it is needed, and leaves nothing behind."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.errors import ApiError
from installer.core.errors import InstallerError
from installer.core.events import Emit
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations.telling import object_event, warning
from installer.plan.drift import MANAGER

GONE_SECONDS = 90.0
"""How long the objects, and then the namespace, may take to go."""
_PREFIX = "kserve-installer-verify-"
_LABELS = {"app.kubernetes.io/managed-by": MANAGER, "app.kubernetes.io/component": "verify"}
_STALE_SECONDS = 3600.0
COMPONENT, STAGE = "sample", "ready"


@contextmanager
def namespace(cluster: Cluster, emit: Emit, *, keep: bool = False) -> Iterator[str]:
    """A new namespace; it is deleted afterwards with what is in it, even when interrupted."""
    name = f"{_PREFIX}{secrets.token_hex(3)}"
    ref = Ref("v1", "Namespace", "", name)
    try:
        metadata = {"name": name, "labels": _LABELS}
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        emit(object_event(COMPONENT, STAGE, "created", ref))
        yield name
    finally:
        if keep:
            emit(warning("is kept, with what is in it", str(ref), _BY_HAND.format(name)))
        else:
            _remove(cluster.uncancelled(), ref, emit, wait=not cluster.cancel.stopped)


def remove_stale(cluster: Cluster, emit: Emit) -> None:
    """Delete namespaces of runs that were killed, an hour after they were made."""
    selector = ",".join(f"{key}={value}" for key, value in _LABELS.items())
    for obj in cluster.list("v1", "Namespace", label_selector=selector, metadata_only=True).items:
        made = datetime.fromisoformat(str(dig(obj, "metadata", "creationTimestamp")))
        old = (datetime.now(UTC) - made).total_seconds() > _STALE_SECONDS
        if old and not dig(obj, "metadata", "deletionTimestamp"):
            cluster.delete(ref_of(obj))
            said = "was left by a run that was killed; it is being deleted"
            emit(warning(said, str(ref_of(obj))))


def make(cluster: Cluster, obj: Object, emit: Emit) -> Ref:
    """Create an object in it."""
    made = ref_of(cluster.create(obj))
    emit(object_event(COMPONENT, STAGE, "created", made))
    return made


def discard(cluster: Cluster, ref: Ref, emit: Emit) -> None:
    """Delete an object first, while its controller is there, and wait until it is gone."""
    if cluster.delete(ref):
        emit(object_event(COMPONENT, STAGE, "deleted", ref))
    wait_gone(cluster, [ref], deadline=GONE_SECONDS, cancel=cluster.cancel)


def _remove(cluster: Cluster, ref: Ref, emit: Emit, *, wait: bool) -> None:
    try:
        if not cluster.delete(ref):
            return
        emit(object_event(COMPONENT, STAGE, "deleted", ref))
        if wait:
            wait_gone(cluster, [ref], deadline=GONE_SECONDS, cancel=cluster.cancel)
    except ApiError as error:
        emit(warning(f"could not be deleted: {error.message}", str(ref), _BY_HAND.format(ref.name)))
    except InstallerError as error:
        emit(warning(f"is being deleted: {error.message}", str(ref)))


_BY_HAND = "delete it: kubectl delete namespace {}"

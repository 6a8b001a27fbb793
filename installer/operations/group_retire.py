"""Deleting InferenceServices and TrainedModels that were moved to another API group."""

from __future__ import annotations

from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.errors import ApiError
from installer.cluster.readiness import readiness
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.events import Emit
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations.group_check import sources
from installer.operations.group_move import Expectations, name_of
from installer.operations.telling import object_event
from installer.plan.api_group import INFERENCE, TRAINED, counterpart

_GONE_SECONDS = 120.0


def retire(
    cluster: Cluster, source: str, group: str, expected: Expectations, emit: Emit, cancel: Cancel
) -> int:
    """Delete the old objects, each only where the new one is there and well; how many.

    Their controller is stopped, so their finalizers are taken here: KFServing's own would delete
    the TrainedModels with them. What they owned has another owner by now and stays.
    """
    gone: list[Ref] = []
    for kind in (TRAINED, INFERENCE):
        for obj in sources(cluster, source, kind):
            cancel.check("deleting what was moved")
            _check_retired(cluster, obj, group, expected)
            _retire(cluster, obj)
            gone.append(ref_of(obj))
            emit(object_event("", "retire", "deleted", ref_of(obj)))
    # the API server's own finalizer `orphan` is the garbage collector's to take
    wait_gone(cluster, gone, deadline=min(_GONE_SECONDS, cancel.left()), cancel=cancel)
    return len(gone)


def _check_retired(cluster: Cluster, obj: Object, group: str, expected: Expectations) -> None:
    there = cluster.get(counterpart(ref_of(obj), group))
    well = there is not None and (
        obj["kind"] != INFERENCE or name_of(obj) in expected.unwell or readiness(there).ready
    )
    if not well:
        raise NotReady(
            f"{name_of(obj)} is not well in {group}, so the {obj['kind']} of {obj['apiVersion']} "
            "stays",
            kind="not-moved",
            object=str(ref_of(obj)),
            remedy="see why with `kserve-installer trace`, then run the same command again; "
            "`kserve-installer rollback` goes back",
        )


def _retire(cluster: Cluster, obj: Object) -> None:
    ref, uid = ref_of(obj), obj["metadata"]["uid"]
    if dig(obj, "metadata", "finalizers"):
        # with its notes of who set what gone, nothing has to be converted by a webhook that is off
        body = {"metadata": {"uid": uid, "finalizers": None, "managedFields": [{}]}}
        try:
            cluster.patch(ref, body)
        except ApiError as error:
            if error.failure.kind != "not-found":
                raise
    cluster.delete(ref, propagation="Orphan", uid=uid)

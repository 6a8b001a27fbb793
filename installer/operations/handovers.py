"""Makes whoever keeps adopted objects let go of them, so that they do not come back to theirs.

Each step can be taken again: what a killed run has left of it, the next run ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from installer.catalog.foreign import load_foreign
from installer.cluster import helm
from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.errors import ApiError
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.events import Emit, Event
from installer.core.objects import Object, ObjectId, Ref, dig, ref_of
from installer.operations.telling import warning
from installer.plan.handover import KNATIVE_SERVING, OPERATOR_GROUP, Handover, takes_all_along
from installer.preflight.existing_inventory import belongs

_REPLICAS = "kserve-installer/replicas"
"""Annotation on the operator's Deployment while it is stopped: how many replicas it had."""
_ATTEMPTS = 5
"""How often a KnativeServing that others keep writing is tried anew."""


def let_go_first(
    cluster: Cluster, handovers: Sequence[Handover], emit: Emit, cancel: Cancel
) -> None:
    """Knative's operator, which would put its version back at once: before anything is written.

    The operator is stopped, since it undoes an install whose KnativeServing is deleted under its
    eyes (knative/operator, knativeserving.go, FinalizeKind). Its finalizer is taken off, and the
    deletion orphans what it owns. Then it runs again, for whatever else it looks after.
    """
    servings = [item for item in handovers if item.keeper == "knative-operator"]
    if not servings:
        return
    operators = _operators(cluster)
    try:
        for deployment in operators:
            _stop(cluster, deployment, cancel)
        for item in servings:
            _orphan(cluster, item, cancel)
            emit(_event(item, ()))
    finally:  # without its finalizer it leaves a KnativeServing that is being deleted alone
        for deployment in operators:
            _start(cluster.uncancelled(), deployment)


def let_go_last(
    cluster: Cluster, handovers: Sequence[Handover], ours: Collection[ObjectId], emit: Emit
) -> None:
    """Helm, whose record of a release is of use until all of it is well: after everything else.

    ours: what the release has and the ledger owns; what is not among it stays, and is told.
    """
    for item in handovers:
        if item.keeper != "helm":
            continue
        history = helm.revisions(cluster, item.namespace, item.name)
        revision = helm.applied(history.get((item.namespace, item.name), []))
        left: list[Ref] = []
        if revision is not None:
            try:
                left = helm.others_of(cluster, revision, ours)
            except helm.Unreadable as why:
                emit(warning(f"what else {item} has is not known: {why}", str(revision.ref)))
        helm.forget(cluster, item.namespace, item.name)
        emit(_event(item, [str(ref) for ref in left]))


def give_up(
    cluster: Cluster, begun: Iterable[Handover], meant: Iterable[Handover] = ()
) -> list[Handover]:
    """What an earlier run began to take over, and nobody is to end: Knative's operator runs again
    where that run was killed while it was stopped. Returns the Helm releases among it that Helm
    still has records of.

    begun: as in the ledger; meant: those that are still to let go.
    """
    ends = {item.key for item in meant}
    given_up = [item for item in begun if item.key not in ends]
    if any(item.keeper == "knative-operator" for item in given_up):
        for deployment in _operators(cluster):
            _start(cluster, deployment)
    charts = [item for item in given_up if item.keeper == "helm"]
    return [item for item in charts if helm.revisions(cluster, item.namespace, item.name)]


def _event(item: Handover, left: Sequence[str]) -> Event:
    return Event(
        "handed_over",
        {
            "keeper": item.keeper,
            "namespace": item.namespace,
            "name": item.name,
            "components": list(item.components),
            "left": list(left),
        },
    )


def _operators(cluster: Cluster) -> list[Object]:
    """Deployments of Knative's operator, wherever they are."""
    project = next(p for p in load_foreign().projects if p.name == "knative-operator")
    found = cluster.list("apps/v1", "Deployment").items
    return [deployment for deployment in found if belongs(deployment, project)]


def _stop(cluster: Cluster, deployment: Object, cancel: Cancel) -> None:
    """Scale to nothing and wait until its last pod is gone."""
    ref = ref_of(deployment)
    replicas = dig(deployment, "spec", "replicas", default=1)
    kept = dig(deployment, "metadata", "annotations", _REPLICAS) or str(replicas)
    body = {"metadata": {"annotations": {_REPLICAS: kept}}, "spec": {"replicas": 0}}
    cluster.patch(ref, body)
    wait_ready(cluster, [ref], deadline=cancel.left(), cancel=cancel)
    labels = dig(deployment, "spec", "selector", "matchLabels", default={})
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    pods = cluster.list("v1", "Pod", ref.namespace, label_selector=selector, metadata_only=True)
    names = [str(dig(pod, "metadata", "name")) for pod in pods.items]
    refs = [Ref("v1", "Pod", ref.namespace, name) for name in names]
    wait_gone(cluster, refs, deadline=cancel.left(), cancel=cancel)


def _start(cluster: Cluster, deployment: Object) -> None:
    """As many replicas as before it was stopped, by this run or by one that was killed."""
    ref = ref_of(deployment)
    now = cluster.get(ref)
    kept = dig(now, "metadata", "annotations", _REPLICAS)
    if kept is None:
        return
    if not str(kept).isdigit():
        raise InstallerError(
            f"annotation {_REPLICAS} of {ref} is {kept!r}, not a number of replicas",
            object=str(ref),
            remedy="set spec.replicas by hand and remove the annotation",
        )
    body = {"metadata": {"annotations": {_REPLICAS: None}}, "spec": {"replicas": int(kept)}}
    cluster.patch(ref, body)


def _orphan(cluster: Cluster, item: Handover, cancel: Cancel) -> None:
    """Delete a KnativeServing and nothing of what it owns. Raises InstallerError where that cannot
    be: somebody else deletes it, or an operator that runs keeps putting its finalizer back."""
    versions = cluster.discovery().versions(OPERATOR_GROUP)
    if not versions:
        return
    ref = Ref(f"{OPERATOR_GROUP}/{versions[0]}", KNATIVE_SERVING, item.namespace, item.name)
    for _ in range(_ATTEMPTS):
        serving = cluster.get(ref)
        if serving is None:
            return
        if _asked_to_orphan(cluster, ref, serving):
            wait_gone(cluster, [ref], deadline=cancel.left(), cancel=cancel)
            return
    raise InstallerError(
        f"{ref} keeps being written, so it cannot be deleted without what it owns",
        kind="handover",
        object=str(ref),
        remedy="find what starts Knative's operator again, such as OLM or Argo CD, and stop it; "
        "then run the same command again",
    )


def _asked_to_orphan(cluster: Cluster, ref: Ref, serving: Object) -> bool:
    """Whether it is being deleted as we want it; False where it was written meanwhile.

    Deleted is the very version of which the operator's finalizer was taken off: with it back, the
    operator would delete all that it made.
    """
    if takes_all_along(serving):
        raise InstallerError(
            f"{ref} is being deleted, and Knative with it",
            kind="handover",
            object=str(ref),
            remedy="wait until both are gone, then install without --adopt",
        )
    if dig(serving, "metadata", "deletionTimestamp"):
        return True  # by a run that was killed: the garbage collector goes on without it
    version = dig(serving, "metadata", "resourceVersion")
    try:
        freed = cluster.patch(ref, {"metadata": {"finalizers": None, "resourceVersion": version}})
        freed_at = str(dig(freed, "metadata", "resourceVersion"))
        return cluster.delete(ref, propagation="Orphan", version=freed_at)
    except ApiError as error:
        if error.failure.kind not in ("conflict", "not-found"):
            raise
        return False

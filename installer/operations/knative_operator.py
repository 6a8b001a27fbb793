"""Stopping Knative's operator, and taking a KnativeServing away without what was made for it.

An operator that sees a KnativeServing being deleted, with or without its finalizer, deletes all
that it made for it. So it is stopped, it is looked whether one still runs that nobody found, and
the KnativeServing goes in one request: it is never there with a deletionTimestamp.
Source: knative/operator, pkg/reconciler/knativeserving/knativeserving.go (FinalizeKind) and
pkg/client/injection/reconciler (setFinalizerIfFinalizer, reconcileMethodFor).
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from installer.catalog.foreign import load_foreign
from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.errors import ApiError
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref, dig, ref_of
from installer.plan.handover import KNATIVE_SERVING, OPERATOR_GROUP, why_kept
from installer.preflight.existing_inventory import belongs

_REPLICAS = "kserve-installer/replicas"
"""Annotation on the operator's Deployment while it is stopped: how many replicas it had."""
LISTENS = 5.0
"""Seconds in which it is looked whether one that was stopped puts its finalizer back after all."""
LISTENS_LONG = 60.0
"""The same where no operator was found to be stopped. One that runs puts its finalizer back at the
beginning of each of its passes, which take it a quarter of a minute (operator 1.15 on a local API
server)."""
_PAUSE = 0.25
_PARALLEL = 8


def deployments(cluster: Cluster) -> list[Object]:
    """Deployments of Knative's operator, wherever they are."""
    project = load_foreign().project("knative-operator")
    found = cluster.list("apps/v1", "Deployment").items
    return [deployment for deployment in found if belongs(deployment, project)]


def stop(cluster: Cluster, deployment: Object, cancel: Cancel) -> None:
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


def start(cluster: Cluster, deployment: Object) -> None:
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


def serving_of(cluster: Cluster, namespace: str, name: str) -> Object | None:
    """A live KnativeServing; None where it is gone."""
    for version in cluster.discovery().versions(OPERATOR_GROUP):
        return cluster.get(Ref(f"{OPERATOR_GROUP}/{version}", KNATIVE_SERVING, namespace, name))
    return None


def release(
    cluster: Cluster, namespace: str, name: str, cancel: Cancel, *, listen: float
) -> list[Ref]:
    """Delete a KnativeServing and nothing of what was made for it, which is returned. No operator
    may run.

    listen: seconds in which to look whether one does.

    Raises InstallerError, kind `handover`, where somebody else deletes or holds it, or where an
    operator runs all the same; it is there then, and the operator takes up what it disowned.
    """
    serving = serving_of(cluster, namespace, name)
    if serving is None:
        return []
    ref = ref_of(serving)
    kept = why_kept(serving)
    if kept is not None:
        raise InstallerError(f"{ref} {kept[0]}", kind="handover", object=str(ref), remedy=kept[1])
    cluster.patch(ref, {"metadata": {"finalizers": None}})
    _nobody_answers(cluster, ref, listen, cancel)
    made = _disown(cluster, ref, str(dig(serving, "metadata", "uid")))
    freed = cluster.get(ref)
    if freed is None:
        return made
    if dig(freed, "metadata", "finalizers"):
        raise _runs(ref)
    version = str(dig(freed, "metadata", "resourceVersion"))
    try:
        cluster.delete(ref, version=version)
    except ApiError as error:
        if error.failure.kind != "conflict":
            raise
        raise _runs(ref) from error
    return made


def _nobody_answers(cluster: Cluster, ref: Ref, listen: float, cancel: Cancel) -> None:
    """Raise when the finalizer comes back."""
    until = time.monotonic() + listen
    while time.monotonic() < until:
        cancel.sleep(_PAUSE, f"looking whether an operator of Knative still answers to {ref}")
        if dig(cluster.get(ref), "metadata", "finalizers"):
            raise _runs(ref)


def _runs(ref: Ref) -> InstallerError:
    return InstallerError(
        f"an operator of Knative still runs somewhere, and would delete Knative with {ref}: it put "
        "its finalizer back",
        kind="handover",
        object=str(ref),
        remedy="find and stop it (another image, another cluster, OLM or Argo CD that start it "
        "again), then run the same command again",
    )


def _disown(cluster: Cluster, owner: Ref, uid: str) -> list[Ref]:
    """Take the owner off everything in its namespace, which the garbage collector would else delete
    with it; what that was, by kind and name."""
    kinds = [r for r in cluster.discovery().namespaced() if {"list", "patch"} <= set(r.verbs)]

    def free(api_version: str, kind: str) -> list[Ref]:
        found = []
        for item in cluster.list(api_version, kind, owner.namespace, metadata_only=True).items:
            owners = dig(item, "metadata", "ownerReferences", default=[])
            others = [each for each in owners if each.get("uid") != uid]
            if len(others) == len(owners):
                continue
            try:
                cluster.patch(ref_of(item), {"metadata": {"ownerReferences": others or None}})
            except ApiError as error:
                if error.failure.kind != "not-found":  # it may go while it is looked at
                    raise
                continue
            found.append(ref_of(item))
        return found

    with ThreadPoolExecutor(_PARALLEL) as pool:
        pages = pool.map(lambda resource: free(resource.api_version, resource.kind), kinds)
        return sorted(ref for page in pages for ref in page)

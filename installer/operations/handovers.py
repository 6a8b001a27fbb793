"""Makes whoever keeps adopted objects let go of them, so that they do not come back to theirs.

Each step can be taken again: what a killed run has left of it, the next run ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from installer.cluster import helm
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.events import Emit, Event
from installer.core.objects import ObjectId, Ref
from installer.operations import knative_operator
from installer.operations.telling import warning
from installer.plan.handover import Handover

_UNFOUND = (
    "no Deployment of Knative's operator was found; before its KnativeServing is deleted it is "
    f"looked for {knative_operator.LISTENS_LONG:.0f} seconds whether one runs all the same"
)


def let_go_first(
    cluster: Cluster,
    handovers: Sequence[Handover],
    ours: Collection[ObjectId],
    emit: Emit,
    cancel: Cancel,
) -> None:
    """Knative's operator, which would put its version back at once: before anything is written.

    It is stopped while its KnativeServing goes, and then runs again, for whatever else it looks
    after. Where that one is gone already it only runs again, if a killed run has left it stopped.
    ours: as of `let_go_last`.
    """
    meant = [item for item in handovers if item.keeper == "knative-operator"]
    if not meant:
        return
    servings = [i for i in meant if knative_operator.serving_of(cluster, i.namespace, i.name)]
    operators = knative_operator.deployments(cluster)
    listen = knative_operator.LISTENS if operators else knative_operator.LISTENS_LONG
    if servings and not operators:
        emit(warning(_UNFOUND, ", ".join(map(str, servings))))
    try:
        for deployment in operators if servings else ():
            knative_operator.stop(cluster, deployment, cancel)
        for item in servings:
            made = knative_operator.release(
                cluster, item.namespace, item.name, cancel, listen=listen
            )
            emit(_event(item, [str(ref) for ref in made if ref.identity not in ours]))
    finally:  # a KnativeServing is there as it was, or not at all
        for deployment in operators:
            knative_operator.start(cluster.uncancelled(), deployment)


def let_go_last(
    cluster: Cluster, handovers: Sequence[Handover], ours: Collection[ObjectId], emit: Emit
) -> None:
    """Helm, whose record of a release is of use until all of it is well: after everything else.

    ours: what the release has and the ledger owns; what is not among it stays, and is told.
    """
    for item in handovers:
        if item.keeper != "helm":
            continue
        found = helm.revisions(cluster, item.namespace, item.name)
        history = found.get((item.namespace, item.name), [])
        revision = helm.applied(history)
        left: list[Ref] = []
        if revision is not None:
            try:
                left = helm.others_of(cluster, revision, ours)
            except helm.Unreadable as why:
                emit(warning(f"what else {item} has is not known: {why}", str(revision.ref)))
        helm.forget(cluster, history)
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
        for deployment in knative_operator.deployments(cluster):
            knative_operator.start(cluster, deployment)
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

"""Can whoever keeps what is adopted let go of it, without losing or leaving anything else?

A Helm release goes as a whole: what else it runs would have nobody to look after it any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from installer.catalog.foreign import load_foreign
from installer.cluster import helm
from installer.cluster.errors import ApiError
from installer.cluster.helm import Revision
from installer.core.checks import Detail, failed, note, unknown
from installer.core.objects import ObjectId, Ref
from installer.core.words import few
from installer.plan.handover import KNATIVE_SERVING, OPERATOR_GROUP, Handover, why_kept
from installer.preflight.existing_inventory import Installation, Inventory
from installer.preflight.existing_read import inventory
from installer.preflight.rights_needed import Right
from installer.preflight.world import World

_RUNS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob")


def handover_verdicts(world: World) -> Iterator[Detail]:
    """One or more details for each keeper of what is to be adopted."""
    ours = {item.ref.identity for item in world.target.wanted} | world.ledger.owners().keys()
    for handover in world.target.handovers:
        try:
            if handover.keeper == "helm":
                yield from _helm(world, handover, ours)
            else:
                yield from _operator(world, handover)
        except ApiError as error:
            reason = f"could not look at {handover}, because {error.message}"
            yield unknown(reason, error.remedy, str(handover))


def unfit_for_adoption(
    found: Installation,
    wanted: Collection[ObjectId],
    component: str,
    handovers: Sequence[Handover],
) -> Iterator[Detail]:
    """Controllers under names of their own, and a keeper that cannot be made to let go. Pure.

    wanted: every object of the release, not empty.
    """
    others = [each.ref for each in found.workloads if each.ref.identity not in wanted]
    kept = found.owner.comes_back and found.owner.adopt
    if others:
        why = f"{few(others)} would run on beside what the release calls otherwise"
    elif kept and not any(component in item.components for item in handovers):
        why = f"{found.owner.title} would put it back, and its mark is on none of the objects"
    else:
        return
    yield failed(
        f"{found} in namespace {found.namespace} cannot be adopted: {why}",
        f"remove it first: {found.owner.remove}",
        str(found.workloads[0].ref),
        component=component,
    )


def unlike_keepers(
    stock: Inventory, handovers: Sequence[Handover], external: Collection[str]
) -> Iterator[Detail]:
    """External components that the same KnativeServing brings as one that is adopted. Pure."""
    places = {item.namespace for item in handovers if item.keeper == "knative-operator"}
    for found in stock.installations:
        name = found.project.component
        kept = found.owner.kind == "knative-operator" and found.namespace in places
        if name in external and kept:
            yield failed(
                f"{found} is declared external, and the KnativeServing that brings it is to let "
                "go of the rest",
                f"adopt {name} as well: take it out of `external` in the settings",
                str(found.workloads[0].ref),
                component=name,
            )


def handover_rights(world: World) -> Iterator[Right]:
    """What it takes to make the keepers let go."""
    for handover in world.target.handovers:
        place, name = handover.namespace, handover.name
        if handover.keeper == "knative-operator":
            for verb in ("get", "patch", "delete"):
                yield Right(place, OPERATOR_GROUP, "knativeservings", verb, name)
            for verb in ("list", "patch"):  # whatever it owns is to be disowned
                yield Right(place, "*", "*", verb)
            continue
        for resource in ("secrets", "configmaps"):
            yield Right(place, "", resource, "list")
        for ref in _records(world, handover):
            for verb in ("get", "delete"):
                yield Right(place, "", f"{ref.kind.lower()}s", verb, ref.name)
    if any(item.keeper == "knative-operator" for item in world.target.handovers):
        yield Right("", "apps", "deployments", "list")
        for ref in _operators(world):
            for verb in ("list", "watch"):
                yield Right(ref.namespace, "apps", "deployments", verb)
                yield Right(ref.namespace, "", "pods", verb)
            for verb in ("get", "patch"):
                yield Right(ref.namespace, "apps", "deployments", verb, ref.name)


def _operators(world: World) -> list[Ref]:
    project = load_foreign().project("knative-operator")
    return [each.ref for found in inventory(world).of(project) for each in found.workloads]


def _history(world: World, handover: Handover) -> list[Revision]:
    """Revisions of a Helm release, oldest first. Raises ApiError."""
    key = (handover.namespace, handover.name)
    found: Mapping[tuple[str, str], list[Revision]] = world.once(
        ("helm", *key), lambda: helm.revisions(world.cluster, *key)
    )
    return found.get(key, [])


def _records(world: World, handover: Handover) -> list[Ref]:
    """What a Helm release is kept in; none where it may not be listed, which is a right of its
    own."""
    try:
        return [revision.ref for revision in _history(world, handover)]
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        return []


def _helm(world: World, handover: Handover, ours: Collection[ObjectId]) -> Iterator[Detail]:
    history = _history(world, handover)
    revision = helm.applied(history)
    if revision is None:
        yield note(f"Helm keeps no record of {handover}", str(handover))
        return
    if history[-1].pending:
        yield failed(
            f"{handover} is {history[-1].status}: Helm works on it, or was killed while it did",
            f"wait for it, or end it: helm rollback {handover.name} -n {handover.namespace}",
            str(history[-1].ref),
        )
        return
    try:
        others = helm.others_of(world.cluster, revision, ours)
    except helm.Unreadable as why:
        yield failed(
            f"what else {handover} has is not known, because its record {revision.ref} cannot be "
            f"read: {why}",
            f"upgrade or remove the release with Helm: helm history {handover.name} -n "
            f"{handover.namespace}",
            str(revision.ref),
        )
        return
    running = [ref for ref in others if ref.kind in _RUNS]
    if running:
        yield failed(
            f"{handover} cannot let go of {', '.join(handover.components)} alone: it also runs "
            f"{few(running)}, which the release does not have",
            "split the release in two with Helm, or leave the component to it: `external: "
            f"[{', '.join(handover.components)}]` in the settings (-f)",
            str(running[0]),
            objects=[str(ref) for ref in running],
        )
        return
    stays = f"; {few(others)} of it {'stays' if len(others) == 1 else 'stay'}" if others else ""
    yield note(
        f"{handover} lets go: Helm forgets it once the install is done{stays}",
        str(handover),
        objects=[str(ref) for ref in others],
    )


def _operator(world: World, handover: Handover) -> Iterator[Detail]:
    for version in world.cluster.discovery().versions(OPERATOR_GROUP):
        ref = Ref(f"{OPERATOR_GROUP}/{version}", KNATIVE_SERVING, handover.namespace, handover.name)
        serving = world.get(ref)
        kept = why_kept(serving)
        if kept is not None:
            yield failed(f"{ref} {kept[0]}", kept[1], str(ref))
            return
        break
    yield note(
        f"{handover} lets go: it is deleted and what it made stays; Knative's operator is stopped "
        "meanwhile",
        str(handover),
    )

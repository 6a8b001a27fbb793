"""Reads what `existing_inventory` and the checks of category existing look at, each once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from installer.catalog.foreign import load_foreign
from installer.cluster import helm
from installer.cluster.errors import ApiError
from installer.core.checks import Detail, unknown
from installer.core.errors import InstallerError
from installer.core.objects import Object, ObjectId, Ref, dig
from installer.plan.drift import Entry
from installer.plan.handover import OPERATOR_GROUP, RELEASE_NAME
from installer.preflight.existing_inventory import Inventory, Seen, take_stock
from installer.preflight.world import LEDGER, World

_WORKLOADS = ("Deployment", "StatefulSet")
_REGISTRATION = "admissionregistration.k8s.io/v1"
CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def inventory(world: World) -> Inventory:
    """What of the stack is in the cluster. Raises ApiError where the lists cannot be had."""
    found: Inventory = world.once("existing-inventory", lambda: _read(world))
    return found


def what_runs(world: World) -> tuple[Inventory, list[Detail]]:
    """The inventory as far as workloads tell it, and what to say of the lists it lacks.

    Of those that may not be read, only Deployments and StatefulSets are indispensable: without
    CRDs and nodes the inventory still knows what runs, and less about who put it there.
    """
    lacking: list[Detail] = []
    for read in (definitions, _nodes, _knative_servings):
        try:
            read(world)
        except ApiError as error:
            if error.failure.kind != "forbidden":
                raise
            reason = f"could not look at everything, because {error.message}"
            lacking.append(unknown(reason, error.remedy, error.object))
    if not lacking:
        return inventory(world), []
    found: Inventory = world.once("existing-running", lambda: _read(world, partly=True))
    return found, lacking


def settled(world: World) -> frozenset[ObjectId]:
    """What we applied or created ourselves; a reference noted before its apply is neither.

    Raises InstallerError when the ledger could not be read: then nobody knows what is ours.
    """
    for detail in world.unseen(LEDGER):
        why = world.blind[LEDGER]
        raise InstallerError(f"what is ours cannot be told: {why}", remedy=detail.remedy)

    def done(entry: Entry) -> bool:
        return bool(entry.seen) or entry.created

    # of a record that somebody deleted, only the names of the components are left
    lost = {i.ref.identity for i in world.target.wanted if i.component in world.ledger.lost}
    return frozenset(lost | {key for key, entry in world.ledger.owners().items() if done(entry)})


def configurations(world: World) -> list[Object]:
    """Every webhook configuration."""
    return [item for kind in CONFIGURATIONS for item in world.listed(_REGISTRATION, kind)]


def definitions(world: World) -> list[Object]:
    """Metadata of every CRD."""
    kind = "CustomResourceDefinition"
    return world.listed("apiextensions.k8s.io/v1", kind, metadata_only=True)


def reachable(world: World, namespace: str, service: str) -> str:
    """Why nothing serves behind a Service: `gone`, `no-endpoints`, or empty when something does."""
    if world.get(Ref("v1", "Service", namespace, service)) is None:
        return "gone"
    endpoints = world.get(Ref("v1", "Endpoints", namespace, service)) or {}
    ready = any(subset.get("addresses") for subset in endpoints.get("subsets") or [])
    return "" if ready else "no-endpoints"


def _nodes(world: World) -> list[Object]:
    return world.nodes


def _read(world: World, *, partly: bool = False) -> Inventory:
    """partly: leave out lists that may not be read and that `what_runs` does without."""

    def had(read: Callable[[World], list[Object]]) -> list[Object]:
        try:
            return read(world)
        except ApiError as error:
            if partly and error.failure.kind == "forbidden":
                return []
            raise

    with ThreadPoolExecutor(len(_WORKLOADS) + 1) as pool:
        crds = pool.submit(had, definitions)
        pages = pool.map(lambda kind: world.listed("apps/v1", kind), _WORKLOADS)
        workloads = [item for page in pages for item in page]
    seen = Seen(
        workloads,
        crds.result(),
        settled(world),
        tuple(sorted({str(dig(item, "metadata", "namespace")) for item in had(_knative_servings)})),
        _helm_releases(world, workloads),
        frozenset(
            key for node in had(_nodes) for key in dig(node, "metadata", "labels", default={})
        ),
    )
    return take_stock(seen, load_foreign())


def _knative_servings(world: World) -> list[Object]:
    """Each KnativeServing, from which Knative's operator installs in its namespace."""
    for version in world.cluster.discovery().versions(OPERATOR_GROUP):
        return world.listed(f"{OPERATOR_GROUP}/{version}", "KnativeServing", metadata_only=True)
    return []


def _helm_releases(world: World, workloads: list[Object]) -> dict[tuple[str, str], str]:
    """Status of each Helm release by (namespace, name), where there are any and we may look."""
    if not any(dig(item, "metadata", "annotations", RELEASE_NAME) for item in workloads):
        return {}
    try:
        found = helm.revisions(world.cluster)
    except ApiError:
        return {}  # it only adds a word to a reason
    return {key: history[-1].status for key, history in found.items()}

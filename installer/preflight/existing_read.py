"""Reads what `existing_inventory` and the checks of category existing look at, each once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from installer.catalog.foreign import load_foreign
from installer.cluster.errors import ApiError
from installer.core.objects import Object, Ref, dig
from installer.plan.drift import Entry
from installer.preflight.existing_inventory import Inventory, Seen, take_stock
from installer.preflight.world import World

_WORKLOADS = ("Deployment", "StatefulSet")
_OPERATOR_GROUP = "operator.knative.dev"
_REGISTRATION = "admissionregistration.k8s.io/v1"
CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def inventory(world: World) -> Inventory:
    """What of the stack is in the cluster. Raises ApiError where the lists cannot be had."""
    found: Inventory = world.once("existing-inventory", lambda: _read(world))
    return found


def settled(world: World) -> frozenset[tuple[str, str, str, str]]:
    """What we applied or created ourselves; a reference noted before its apply is neither."""

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


def _read(world: World) -> Inventory:
    with ThreadPoolExecutor(len(_WORKLOADS) + 1) as pool:
        crds = pool.submit(definitions, world)
        pages = pool.map(lambda kind: world.listed("apps/v1", kind), _WORKLOADS)
        workloads = [item for page in pages for item in page]
    seen = Seen(
        workloads,
        crds.result(),
        settled(world),
        _knative_servings(world),
        _helm_releases(world, workloads),
        frozenset(
            key for node in world.nodes for key in dig(node, "metadata", "labels", default={})
        ),
    )
    return take_stock(seen, load_foreign())


def _knative_servings(world: World) -> tuple[str, ...]:
    """Namespaces with a KnativeServing, from which Knative's operator installs."""
    for version in world.cluster.discovery().versions(_OPERATOR_GROUP):
        items = world.listed(f"{_OPERATOR_GROUP}/{version}", "KnativeServing", metadata_only=True)
        return tuple(sorted({str(dig(item, "metadata", "namespace")) for item in items}))
    return ()


def _helm_releases(world: World, workloads: list[Object]) -> dict[tuple[str, str], str]:
    """Status of each Helm release by (namespace, name), where there are any and we may look.

    Helm 3 keeps each revision in a Secret `sh.helm.release.v1.NAME.vN` labelled with name, status
    and version (helm/helm, pkg/storage/driver/secrets.go); only metadata is read.
    """
    mark = "meta.helm.sh/release-name"
    if not any(dig(item, "metadata", "annotations", mark) for item in workloads):
        return {}
    try:
        secrets = world.cluster.list(
            "v1", "Secret", label_selector="owner=helm", metadata_only=True
        ).items
    except ApiError:
        return {}  # it only adds a word to a reason
    newest: dict[tuple[str, str], tuple[int, str]] = {}
    for secret in secrets:
        labels = dig(secret, "metadata", "labels", default={})
        key = (str(dig(secret, "metadata", "namespace")), str(labels.get("name") or ""))
        number = str(labels.get("version") or "0")
        version = int(number) if number.isdigit() else 0
        newest[key] = max(newest.get(key, (0, "")), (version, str(labels.get("status") or "")))
    return {key: status for key, (_, status) in newest.items()}

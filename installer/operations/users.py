"""What there is of the kinds that uninstall removes: it would be lost with the CRDs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from installer.cluster.client import Cluster
from installer.cluster.ledger import Ledger
from installer.core.objects import Object, Ref, dig, ref_of
from installer.plan.serving_kinds import GROUPS, MODELS

_PARALLEL = 8


@dataclass(frozen=True, slots=True)
class UserObjects:
    """Objects of our CRDs' kinds that we did not make.

    dependants: made by a controller for an owner, with whom they go.
    kinds: the (group, kind) that our CRDs define.
    """

    inference: Sequence[Ref]
    others: Sequence[Ref]
    dependants: Sequence[Ref]
    kinds: frozenset[tuple[str, str]]


def user_objects(cluster: Cluster, ledger: Ledger) -> UserObjects:
    """Look through every kind whose CRD is in the ledger."""
    owners = ledger.owners()
    names = {e.ref.name for e in owners.values() if e.ref.kind == "CustomResourceDefinition"}
    served = stored_kinds(cluster, names)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        pages = list(pool.map(lambda key: cluster.list(*key).items, served))
    found: list[Ref] = []
    dependants: list[Ref] = []
    for item in (item for page in pages for item in page):
        if ref_of(item).identity not in owners:
            owned = dig(item, "metadata", "ownerReferences")
            (dependants if owned else found).append(ref_of(item))
    kinds = frozenset((Ref(v, kind, "", "").group, kind) for v, kind in served)
    return UserObjects(
        [ref for ref in found if _is_inference(ref)],
        [ref for ref in found if not _is_inference(ref)],
        dependants,
        kinds,
    )


def stored_kinds(cluster: Cluster, names: set[str]) -> list[tuple[str, str]]:
    """(apiVersion at the storage version, kind) of each of these CRDs that exists and is served."""
    if not names or cluster.discovery().find("apiextensions.k8s.io/v1", _CRD) is None:
        return []
    definitions = cluster.list("apiextensions.k8s.io/v1", _CRD).items
    kinds = [_stored(item) for item in definitions if dig(item, "metadata", "name") in names]
    return sorted(key for key in kinds if cluster.discovery().find(*key) is not None)


_CRD = "CustomResourceDefinition"


def _stored(definition: Object) -> tuple[str, str]:
    """At the storage version no conversion webhook is needed, which may be gone already."""
    spec = definition["spec"]
    version = next(v["name"] for v in spec["versions"] if v["storage"])
    return f"{spec['group']}/{version}", spec["names"]["kind"]


def _is_inference(ref: Ref) -> bool:
    return ref.group in GROUPS and ref.kind in MODELS

"""The objects of a plan as they are in the cluster now: one LIST per kind and namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.objects import Object, ObjectId, Ref, ref_of

_PARALLEL = 8


METADATA_KINDS = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "CustomResourceDefinition",
        "Role",
        "RoleBinding",
        "Secret",
        "ServiceAccount",
    }
)
"""Kinds of which only metadata is read where drift is all that is asked: their bodies are large or
secret, and they are ready when they exist (CRDs: when they were ready once)."""


Blind = dict[str, str]
"""What may not be listed, as `Kind` or `Kind in NAMESPACE`, and the server's reason."""


def read_live(
    cluster: Cluster,
    refs: Iterable[Ref],
    *,
    metadata_only: frozenset[str] = frozenset(),
    blind: Blind | None = None,
) -> Mapping[ObjectId, Object]:
    """What exists of `refs`, by object identity; kinds that are not served do not exist.

    metadata_only: kinds of which nothing but metadata is read. Each is read at its ref's own
    version, since field ownership is recorded per version; where two versions of one kind are
    listed, the other version's view is left aside. blind: notes kinds that may not be listed, of
    which nothing is known then; without it they raise.
    """
    wanted = set(refs)
    lists = sorted({(ref.api_version, ref.kind, ref.namespace) for ref in wanted})
    discovery = cluster.discovery()
    discovery.prefetch(api_version for api_version, _, _ in lists)
    served = [key for key in lists if discovery.find(key[0], key[1]) is not None]

    def items(key: tuple[str, str, str]) -> list[Object]:
        try:
            return cluster.list(*key, metadata_only=key[1] in metadata_only).items
        except ApiError as error:
            if blind is None or error.failure.kind != "forbidden":
                raise
            blind[f"{key[1]} in {key[2]}" if key[2] else key[1]] = error.message
            return []

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return {
            ref.identity: item
            for page in pool.map(items, served)
            for item in page
            if (ref := ref_of(item)) in wanted
        }

"""Rewriting objects so that a CRD may lose a version they were stored at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig, ref_of
from installer.plan.stored import Versions, dead_end, dropped, versions_of

_PARALLEL = 8
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


def check_stored(cluster: Cluster, ways: Mapping[str, Sequence[Versions]]) -> set[str]:
    """The CRDs whose objects are rewritten on the way. ways: what is applied, by CRD name.

    Raises ChecksFailed when one cannot go its way.
    """
    lines = []
    found: set[str] = set()
    for crd in _definitions(cluster):
        name = str(dig(crd, "metadata", "name"))
        if name in ways:
            if dropped(_stored(crd), ways[name][-1]):
                found.add(name)
            version = dead_end(_stored(crd), versions_of(crd), ways[name])
            if version:
                lines.append(f"  {name}: objects are stored at {version}")
    if lines:
        raise ChecksFailed(
            "versions would go that objects are stored at, with none in between that both the old "
            "and the new CRD have:\n" + "\n".join(lines),
            kind="stored-version",
            remedy="delete these objects, or convert them by hand",
        )
    return found


def migrate(cluster: Cluster, wanted: Sequence[Object], emit: Emit, cancel: Cancel) -> None:
    """Make way for these CRDs, which are about to be applied.

    An object that cannot be rewritten ends it before anything is struck off the list, so that
    nothing is lost; what was rewritten before is found so by the next run.
    """
    after = {str(dig(crd, "metadata", "name")): versions_of(crd) for crd in wanted}
    for crd in _definitions(cluster):
        name = str(dig(crd, "metadata", "name"))
        if name in after and dropped(_stored(crd), after[name]):
            _migrate(cluster, crd, after[name], emit, cancel)


def _migrate(cluster: Cluster, crd: Object, after: Versions, emit: Emit, cancel: Cancel) -> None:
    storage = versions_of(crd).storage
    if storage not in after.names:
        check_stored(cluster, {str(dig(crd, "metadata", "name")): [after]})
    api_version = f"{crd['spec']['group']}/{storage}"
    kind = crd["spec"]["names"]["kind"]
    objects = cluster.list(api_version, kind, metadata_only=True).items
    with ThreadPoolExecutor(_PARALLEL) as pool:
        written = sum(pool.map(partial(_rewrite, cluster, cancel), map(ref_of, objects)))
    cluster.patch(ref_of(crd), {"status": {"storedVersions": [storage]}}, subresource="status")
    fields = {"definition": dig(crd, "metadata", "name"), "version": storage, "objects": written}
    emit(Event("stored", {**fields, "dropped": dropped(_stored(crd), after)}))


def _rewrite(cluster: Cluster, cancel: Cancel, ref: Ref) -> bool:
    """Write an object as it is: the API server stores it at the present version."""
    cancel.check()
    found = cluster.get(ref)
    if found is None:
        return False
    try:
        cluster.replace(found)
    except ApiError as error:
        if error.failure.kind in ("conflict", "not-found"):
            return False  # somebody has written it meanwhile, at the present version, or deleted it
        raise
    return True


def _definitions(cluster: Cluster) -> Sequence[Object]:
    return cluster.list(*_CRD).items


def _stored(crd: Object) -> list[str]:
    found: list[str] = dig(crd, "status", "storedVersions", default=[])
    return found

"""Deleting objects and waiting until they are gone, and why a namespace does not go."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.objects import Object, Ref, conditions, dig, ref_of

_PARALLEL = 8
_WATCH_SECONDS = 30.0
_PAUSE = 0.2

Remaining = Callable[[Sequence[tuple[Ref, str]], int], None]
"""Told of what still exists, as (reference, why), and of how many were to go."""


def silent(remaining: Sequence[tuple[Ref, str]], total: int) -> None:
    """A `Remaining` that shows nothing."""


def delete_all(
    cluster: Cluster,
    refs: Iterable[Ref],
    deleted: Callable[[Ref], None],
    *,
    propagation: str = "Background",
) -> None:
    """Ask for the deletion of every object, in parallel; `deleted` is told of each that existed."""

    def delete(ref: Ref) -> None:
        if cluster.delete(ref, propagation=propagation):
            deleted(ref)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(delete, refs))


def wait_gone(
    cluster: Cluster,
    refs: Iterable[Ref],
    *,
    deadline: float,
    cancel: Cancel,
    progress: Remaining = silent,
) -> None:
    """Return once none of the objects exists. deadline: seconds from now.

    Raises NotReady naming what is left and why: finalizers, and for a Namespace what its own
    conditions say.
    """
    refs = list(refs)
    ends = time.monotonic() + deadline
    groups: dict[tuple[str, str, str], set[str]] = {}
    for ref in refs:
        groups.setdefault((ref.api_version, ref.kind, ref.namespace), set()).add(ref.name)
    for (api_version, kind, namespace), names in sorted(groups.items()):
        _wait_group(cluster, (api_version, kind, namespace), names, ends, cancel, progress)


def _wait_group(
    cluster: Cluster,
    group: tuple[str, str, str],
    names: set[str],
    ends: float,
    cancel: Cancel,
    progress: Remaining,
) -> None:
    left: dict[str, Object] = {}
    try:
        _watch_group(cluster, group, names, left, ends, cancel, progress)
    except NotReady as error:
        # whatever noticed that the run's time is up does not know what is left and why
        if error.kind == "deadline" and left and not cancel.asked:
            raise _still_there(left) from error
        raise


def _watch_group(
    cluster: Cluster,
    group: tuple[str, str, str],
    names: set[str],
    left: dict[str, Object],
    ends: float,
    cancel: Cancel,
    progress: Remaining,
) -> None:
    """List, then watch from there; list again whenever the watch breaks off."""
    doing = f"waiting until {group[1]} objects are gone"
    while True:
        cancel.check(doing)
        if cluster.discovery().find(group[0], group[1]) is None:
            return  # its CRD is gone, and with it every object
        try:
            if _gone(cluster, group, names, left, ends, progress):
                return
            cancel.sleep(_PAUSE, doing)  # something in between may end every watch at once
        except ApiError as error:
            if error.failure.kind in ("not-found", "no-match"):
                return
            if not error.failure.transient and error.failure.kind != "gone":
                raise
            if time.monotonic() >= ends:
                raise NotReady(
                    f"it cannot be seen whether {group[1]} objects are gone: {error.message}",
                    kind="not-deleted",
                    object=group[1],
                    remedy=error.remedy,
                ) from error
            cancel.sleep(_PAUSE, doing)


def _gone(
    cluster: Cluster,
    group: tuple[str, str, str],
    names: set[str],
    left: dict[str, Object],
    ends: float,
    progress: Remaining,
) -> bool:
    """True as soon as none of them is there; False when the watch ended before that.

    left: becomes what was last seen of them, by name.
    """
    listed = cluster.list(*group)
    left.clear()
    left.update((name, obj) for obj in listed.items if (name := obj["metadata"]["name"]) in names)
    _delete_again(cluster, left.values())
    _tell(left, len(names), ends, progress)
    if not left:
        return True
    seconds = min(_WATCH_SECONDS, max(1.0, ends - time.monotonic()))
    for change, obj in cluster.watch(
        *group, resource_version=listed.resource_version, timeout=seconds
    ):
        name = dig(obj, "metadata", "name")
        if name not in names:
            continue
        if change == "DELETED":
            left.pop(name, None)
        else:
            left[name] = obj
        if change == "ADDED":
            _delete_again(cluster, [obj])
        _tell(left, len(names), ends, progress)
        if not left:
            return True
    return False


def _delete_again(cluster: Cluster, objects: Iterable[Object]) -> None:
    """Delete what is there and not being deleted: a controller has made it anew.

    kube-controller-manager ≥ 1.22 applies the rules of an aggregated ClusterRole, which creates
    the role again when it goes while one that it aggregates goes too.
    """
    for obj in objects:
        if not dig(obj, "metadata", "deletionTimestamp"):
            cluster.delete(ref_of(obj))


def _tell(left: Mapping[str, Object], total: int, ends: float, progress: Remaining) -> None:
    progress([(ref_of(obj), why_still_there(obj)) for _, obj in sorted(left.items())], total)
    if left and time.monotonic() >= ends:
        raise _still_there(left)


def _still_there(left: Mapping[str, Object]) -> NotReady:
    _, first = min(left.items())
    more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
    services = _silent_services(first)
    mend = f"repair or delete {' and '.join(services)}" if services else "remove what holds it"
    return NotReady(
        f"{ref_of(first)} is still there{more}: {why_still_there(first)}",
        kind="not-deleted",
        object=str(ref_of(first)),
        remedy=f"{mend}, then run the same command again",
    )


def why_still_there(obj: Mapping[str, Any]) -> str:
    """Why an object was not deleted yet, one sentence. Pure."""
    if not dig(obj, "metadata", "deletionTimestamp"):
        return "its deletion was not accepted yet"
    if obj.get("kind") == "Namespace":
        return explain_namespace(obj)
    finalizers = dig(obj, "metadata", "finalizers", default=[])
    if finalizers:
        return f"waiting for finalizer {', '.join(finalizers)} to be removed by its controller"
    return "being deleted"


_UNASKED = re.compile(r"(?P<group>[a-z0-9-]+(?:\.[a-z0-9-]+)+)/(?P<version>v\d\w*): ")
"""In `unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: …`."""


def _silent_services(obj: Mapping[str, Any]) -> list[str]:
    """APIServices without whose answer the namespace controller deletes nothing for good."""
    failed = conditions(obj).get("NamespaceDeletionDiscoveryFailure", {})
    text = str(failed.get("message", "")) if failed.get("status") == "True" else ""
    return [f"APIService {m['version']}.{m['group']}" for m in _UNASKED.finditer(text)]


_NAMESPACE_CONDITIONS = (
    # set by the namespace controller: k8s.io/api/core/v1/types.go, NamespaceConditionType
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
)


def explain_namespace(namespace: Mapping[str, Any]) -> str:
    """What keeps a namespace in Terminating: kinds, finalizers, APIServices. Pure."""
    found = conditions(namespace)
    told = [
        str(found[kind].get("message") or kind)
        for kind in _NAMESPACE_CONDITIONS
        if found.get(kind, {}).get("status") == "True"
    ]
    silent_ones = _silent_services(namespace)
    if silent_ones:
        told.insert(0, f"{' and '.join(silent_ones)} cannot be asked what is in it")
    if told:
        return "; ".join(told)
    finalizers = dig(namespace, "metadata", "finalizers", default=[])
    if finalizers:
        return f"waiting for finalizer {', '.join(finalizers)} of the namespace itself"
    return "its content is being deleted"

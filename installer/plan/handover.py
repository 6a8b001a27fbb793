"""Whoever keeps objects that an install adopts, and would put its own version of them back. Pure.

Helm deletes with the next `helm uninstall` what its record of a release lists, and Knative's
operator writes anew whatever its KnativeServing asks for. An install that takes such objects over
therefore makes their keeper let go: `operations.handovers` does it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from installer.core.objects import Object, dig

Keeper = Literal["helm", "knative-operator"]
KEEPERS: tuple[Keeper, ...] = ("helm", "knative-operator")

RELEASE_NAME = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
_MANAGED_BY = "app.kubernetes.io/managed-by"
"""Source: helm/helm, pkg/action/validate.go: what Helm puts on each object of a release."""
UNTRACKED = "before-first-apply"
"""Under this manager the API server notes all that it has not noted before a first apply."""

OPERATOR_GROUP = "operator.knative.dev"
KNATIVE_SERVING = "KnativeServing"
"""Source: knative/operator, pkg/reconciler/common/transformers.go: what it makes in a namespace
has the KnativeServing there as its controlling owner."""
FINALIZER = "knativeservings.operator.knative.dev"
"""Source: knative/operator, pkg/client/injection/reconciler, defaultFinalizerName."""


@dataclass(frozen=True, slots=True)
class Handover:
    """One keeper that lets go: a Helm release, or a KnativeServing of Knative's operator.

    components: those that are adopted from it. managers: field managers under which it has
    written them: what these own becomes ours.
    """

    keeper: Keeper
    namespace: str
    name: str
    components: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two of them the same."""
        return (self.keeper, self.namespace, self.name)

    def __str__(self) -> str:
        if self.keeper == "helm":
            return f"Helm release {self.namespace}/{self.name}"
        return f"{KNATIVE_SERVING} {self.namespace}/{self.name}"


def keeper_of(obj: Mapping[str, Any]) -> Handover | None:
    """The keeper whose marks are on a live object, None where there are none."""
    release = dig(obj, "metadata", "annotations", RELEASE_NAME)
    if release:
        place = dig(obj, "metadata", "annotations", RELEASE_NAMESPACE)
        place = place or dig(obj, "metadata", "namespace", default="")
        mark = ("f:metadata", "f:annotations", f"f:{RELEASE_NAME}")
        return Handover("helm", str(place), str(release), (), _writers(obj, *mark))
    for owner in dig(obj, "metadata", "ownerReferences", default=[]):
        group = str(owner.get("apiVersion")).rpartition("/")[0]
        if (group, owner.get("kind")) == (OPERATOR_GROUP, KNATIVE_SERVING):
            place = str(dig(obj, "metadata", "namespace", default=""))
            writers = _writers(obj, "f:metadata", "f:ownerReferences")
            return Handover("knative-operator", place, str(owner.get("name")), (), writers)
    return None


def why_kept(serving: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Why a live KnativeServing cannot be taken away from Knative's operator, as a clause, and what
    to do; None where it can, or is not there."""
    if dig(serving, "metadata", "deletionTimestamp"):
        remedy = "wait until both are gone, then install without --adopt"
        return "is being deleted, and Knative with it", remedy
    held = [f for f in dig(serving, "metadata", "finalizers", default=[]) if f != FINALIZER]
    if held:
        remedy = "find whose they are, and have them taken off"
        return f"is held by finalizers of somebody else: {', '.join(held)}", remedy
    return None


def unmarked(obj: Mapping[str, Any]) -> Object | None:
    """A merge patch that takes Helm's marks off an object; None where there are none.

    For objects of which the API server notes no writers: what has a writer goes with the fields
    that become ours.
    """
    marks = (RELEASE_NAME, RELEASE_NAMESPACE)
    held = [key for key in marks if key in dig(obj, "metadata", "annotations", default={})]
    if not held:
        return None
    patch: Object = {"annotations": dict.fromkeys(held)}
    if dig(obj, "metadata", "labels", _MANAGED_BY) == "Helm":
        patch["labels"] = {_MANAGED_BY: None}
    return {"metadata": patch}


def _writers(obj: Mapping[str, Any], *path: str) -> tuple[str, ...]:
    """Field managers that own something at a path of fieldsV1."""
    entries = dig(obj, "metadata", "managedFields", default=[])
    return tuple(
        sorted({str(e.get("manager")) for e in entries if dig(e, "fieldsV1", *path) is not None})
    )


def handovers_of(objects: Iterable[tuple[str, Object]]) -> tuple[Handover, ...]:
    """The keepers of live objects, each with the component that it belongs to; sorted."""
    marked = ((component, keeper_of(obj)) for component, obj in objects)
    return united(replace(k, components=(component,)) for component, k in marked if k is not None)


def united(handovers: Iterable[Handover]) -> tuple[Handover, ...]:
    """Each keeper once, with the components and managers of all; sorted."""
    found: dict[tuple[str, str, str], Handover] = {}
    for item in handovers:
        known = found.get(item.key, item)
        found[item.key] = replace(
            known,
            components=tuple(sorted({*known.components, *item.components})),
            managers=tuple(sorted({*known.managers, *item.managers})),
        )
    return tuple(found[key] for key in sorted(found))


def still_meant(handovers: Iterable[Handover], components: Collection[str]) -> list[Handover]:
    """Those of an earlier run that an install of these components of ours is to end. What has been
    declared external since stays with its keeper."""
    cut = [
        replace(item, components=tuple(name for name in item.components if name in components))
        for item in handovers
    ]
    return [item for item in cut if item.components]

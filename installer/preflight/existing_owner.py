"""Who put an object into a cluster: told from the marks in versions/foreign.yaml. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from installer.catalog.foreign import OwnerMark
from installer.core.objects import Object, dig


@dataclass(frozen=True, slots=True)
class Owner:
    """Who installed something. kind: `ours`, `unknown`, or the name of a mark's owner.

    adopt: whether taking it over is safe; why: a clause where they would put theirs back, which
    they do not where they are made to let go (lets_go). remove: how to remove it.
    """

    kind: str
    title: str
    adopt: bool = False
    why: str = ""
    remove: str = ""
    lets_go: bool = False

    @property
    def comes_back(self) -> bool:
        """Whether they would put theirs back, if nothing but the objects were taken over."""
        return self.lets_go or not self.adopt


UNKNOWN = Owner("unknown", "somebody unknown", True, remove="remove it the way it was installed")
OURS = Owner("ours", "kserve-installer")


def repository(image: str) -> str:
    """An image without tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def ends_with(image: str, end: str) -> bool:
    """Whether an image's repository is `end`, under any registry and prefix."""
    name = repository(image)
    return name == end or name.endswith(f"/{end}")


def owner_of(
    obj: Object,
    marks: Iterable[OwnerMark],
    images: Collection[str] = frozenset(),
    node_labels: Collection[str] = frozenset(),
) -> Owner:
    """Who put an object there, by the first mark that fits. images: repositories that run here;
    node_labels: keys of labels on nodes."""
    for mark in marks:
        name = mark.name if mark.node_label in node_labels else _held(obj, mark)
        if name is None:
            continue
        place = dig(obj, "metadata", "namespace", default="")
        namespace = marked(obj, mark.namespace_mark) or place
        texts = {"name": name or mark.name, "namespace": namespace}
        operator = bool(mark.unless_image) and any(
            ends_with(image, mark.unless_image) for image in images
        )
        return Owner(
            mark.name,
            mark.title.format(**texts),
            mark.adopt and not operator,
            mark.why
            or (f"an operator ({mark.unless_image}) would put it back" if operator else ""),
            mark.remove.format(**texts),
            mark.lets_go,
        )
    return UNKNOWN


def _held(obj: Object, mark: OwnerMark) -> str | None:
    """What the mark holds on this object; None where it is not there."""
    metadata = obj.get("metadata") or {}
    if mark.owner_kind:
        for reference in metadata.get("ownerReferences") or []:
            if reference.get("kind") == mark.owner_kind:
                return str(reference.get("name") or "")
        return None
    if mark.node_label:
        return None
    if mark.manager:
        managers = {entry.get("manager") for entry in metadata.get("managedFields") or []}
        return mark.title if mark.manager in managers else None
    key = mark.label or mark.annotation
    held = (metadata.get("labels" if mark.label else "annotations") or {}).get(key)
    if held is None or (mark.value and held != mark.value):
        return None
    return str(held)


def marked(obj: Object, key: str) -> str:
    """What a label or annotation says; empty where there is none."""
    if not key:
        return ""
    labels = dig(obj, "metadata", "labels", default={})
    annotations = dig(obj, "metadata", "annotations", default={})
    return str(labels.get(key) or annotations.get(key) or "")

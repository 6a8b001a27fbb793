"""Everything around one InferenceService that a trace looks at, read once; lookups are pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from installer.core.objects import Object, ObjectId, dig, ref_of
from installer.serving.gateways import Gateways
from installer.serving.inference_service import InferenceService


@dataclass(frozen=True, slots=True)
class Scene:
    """An InferenceService and the objects around it.

    objects: by identity. unseen: what could not be read, as (kind, namespace) and why. gateways:
    None where nothing says which they are. now: for ages.
    """

    service: InferenceService
    objects: Mapping[ObjectId, Object]
    unseen: Mapping[tuple[str, str], str] = field(default_factory=dict)
    gateways: Gateways | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, service: InferenceService, objects: Iterable[Object], **more: Any) -> Scene:
        """A scene of these objects; the InferenceService's own is added."""
        found = {ref_of(obj).identity: obj for obj in [*objects, service.obj]}
        return cls(service, found, **more)

    @property
    def namespace(self) -> str:
        """The InferenceService's."""
        return self.service.ref.namespace

    def get(self, group: str, kind: str, namespace: str, name: str) -> Object | None:
        """One object, None when it was not found."""
        return self.objects.get((group, kind, namespace, name))

    def core(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object of the core group."""
        return self.get("", kind, namespace, name)

    def of_kind(self, kind: str, group: str | None = None) -> list[Object]:
        """All objects of a kind, by name; group: of this one only."""
        found = [
            obj
            for identity, obj in sorted(self.objects.items())
            if identity[1] == kind and group in (None, identity[0])
        ]
        return found

    def owned_by(self, owner: Object, kind: str = "") -> list[Object]:
        """Objects that name `owner` among their owners, by uid."""
        uid = dig(owner, "metadata", "uid")
        return [
            obj
            for _, obj in sorted(self.objects.items())
            if uid in uids_of_owners(obj) and kind in ("", obj["kind"])
        ]

    def cannot_see(self, kind: str, namespace: str) -> str:
        """Why objects of a kind could not be read; empty when they were."""
        return self.unseen.get((kind, namespace)) or self.unseen.get((kind, "")) or ""


def uids_of_owners(obj: Object) -> list[str]:
    """Uids in metadata.ownerReferences."""
    owners: Sequence[Mapping[str, Any]] = dig(obj, "metadata", "ownerReferences", default=[])
    return [str(owner.get("uid")) for owner in owners]


def age(obj: Object, now: datetime) -> float | None:
    """Seconds since an object was created; None where that is not known."""
    text = dig(obj, "metadata", "creationTimestamp")
    if not isinstance(text, str):
        return None
    return max(0.0, (now - datetime.fromisoformat(text)).total_seconds())


def ready_addresses(endpoints: Object | None) -> list[Object]:
    """Ready addresses of an Endpoints object."""
    return [a for s in dig(endpoints, "subsets", default=[]) for a in s.get("addresses") or []]


def not_ready_addresses(endpoints: Object | None) -> list[Object]:
    """Addresses of pods that are not ready."""
    subsets = dig(endpoints, "subsets", default=[])
    return [a for s in subsets for a in s.get("notReadyAddresses") or []]

"""What checks look at: the cluster, read once and shared, and what is to be installed on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from installer.catalog.model import Catalog, Component, Release
from installer.cluster.client import Cluster, Identity
from installer.cluster.ledger import NAMESPACE, Ledger
from installer.core.checks import Detail, unknown
from installer.core.objects import Object, ObjectId, Ref
from installer.plan.drift import Decision
from installer.plan.handover import Handover
from installer.plan.settings import Settings
from installer.plan.wanted import Wanted
from installer.preflight.rights_needed import Right

LEDGER = f"ConfigMap in {NAMESPACE}"
"""Under this name the ledger is in `World.blind` when it could not be read."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component that is ours to install: its objects, and what is to be done about each.

    decisions, live: by `Ref.identity`; live holds what exists (of bulky kinds only metadata).
    """

    component: Component
    wanted: Sequence[Wanted]
    decisions: Mapping[ObjectId, Decision]
    live: Mapping[ObjectId, Object]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be installed.

    components: every component of the release in order, external ones included; parts: those
    that are ours, with their objects (empty where the objects were not asked for, as in the
    matrix of all releases). adopt: components of others that are to be taken over; handovers: who
    keeps them. origin: the release that is upgraded from, or gone back from; more: rights that the
    way from there takes besides; backup: one is made on it. flags: where settings and sources come
    from, as it was typed.
    """

    catalog: Catalog
    release: Release
    components: Sequence[Component]
    external: Sequence[Component] = ()
    parts: Sequence[Part] = ()
    settings: Settings = field(default_factory=Settings)
    take_ownership: bool = False
    adopt: tuple[str, ...] = ()
    handovers: tuple[Handover, ...] = ()
    origin: str = ""
    more: Sequence[Right] = ()
    backup: bool = True
    flags: str = ""

    @property
    def rbac(self) -> str:
        """The command that prints the rights that this takes.

        It knows the way forward only, which has the rights to go back in it.
        """
        ends = [name for name in self.catalog.releases if name in (self.origin, self.release.name)]
        way = f" --from {ends[0]}" if self.origin else ""
        way += " --no-backup" if self.origin and not self.backup else ""
        return f"kserve-installer rbac {ends[-1]}{way}{self.flags}"

    @property
    def wanted(self) -> list[Wanted]:
        """Every object of every part."""
        return [item for part in self.parts for item in part.wanted]

    def asked(self, item: Wanted) -> bool:
        """Whether it was asked for that fields of other managers are taken over."""
        return self.take_ownership or item.component in self.adopt

    def decision(self, item: Wanted) -> Decision:
        """What is to be done about an object."""
        part = next(p for p in self.parts if p.component.name == item.component)
        return part.decisions[item.ref.identity]


class World:
    """One cluster during one preflight. Thread-safe; every read is made once and shared.

    A read that failed raises the same ApiError for everybody who asks. blind: kinds whose objects
    nobody could see when the install was decided, and why: decisions about them are guesses.
    """

    def __init__(
        self,
        cluster: Cluster,
        identity: Identity,
        ledger: Ledger,
        target: Target,
        blind: Mapping[str, str] | None = None,
    ):
        self.blind = blind or {}
        self.cluster = cluster
        self.identity = identity
        self.ledger = ledger
        self.target = target
        self._guard = threading.Lock()
        self._reads: dict[Any, Future[Any]] = {}

    def unseen(self, *kinds: str) -> list[Detail]:
        """What to say of those of these kinds (keys of `blind`) that could not be seen."""
        remedy = f"`{self.target.rbac}` prints the rights for it"
        return [
            unknown(f"could not look, because {self.blind[kind]}", remedy, kind)
            for kind in kinds
            if kind in self.blind
        ]

    def left_to_upgrade(self) -> list[Detail]:
        """What to say of what an upgrade changes in steps of its own, where another release of
        ours is installed; empty elsewhere."""
        here, release = self.ledger.release, self.target.release.name
        if here in ("", release):
            return []
        return [
            unknown(
                f"not judged: {here} is installed here, and an upgrade makes this in steps",
                f"`kserve-installer upgrade {release}` judges each before it writes",
                release=here,
            )
        ]

    def applied(self, item: Wanted) -> bool:
        """Whether the ledger says that we have applied this object: then it is ours."""
        return self.ledger.applied(item.component, item.ref.identity)

    def forced(self, item: Wanted) -> bool:
        """Whether an install takes fields of other managers over."""
        return self.target.asked(item) or self.applied(item)

    def once(self, key: Any, read: Callable[[], Any]) -> Any:
        """What `read` returns or raises, run by the first who asks for this key."""
        with self._guard:
            found = self._reads.get(key)
            mine = found is None
            if found is None:
                found = self._reads[key] = Future()
        if mine:
            try:
                found.set_result(read())
            except BaseException as error:
                found.set_exception(error)
        return found.result()

    def listed(
        self, api_version: str, kind: str, namespace: str = "", *, metadata_only: bool = False
    ) -> list[Object]:
        """Objects of a kind, in pages; empty where the kind is not served."""
        key = ("list", api_version, kind, namespace, metadata_only)

        def read() -> list[Object]:
            if self.cluster.discovery().find(api_version, kind) is None:
                return []
            return self.cluster.list(
                api_version, kind, namespace, metadata_only=metadata_only
            ).items

        found: list[Object] = self.once(key, read)
        return found

    def get(self, ref: Ref) -> Object | None:
        """One object, None where there is none."""
        found: Object | None = self.once(("get", ref), lambda: self.cluster.get(ref))
        return found

    @property
    def nodes(self) -> list[Object]:
        """Every node."""
        return self.listed("v1", "Node")

    @property
    def pods(self) -> list[Object]:
        """Every pod."""
        return self.listed("v1", "Pod")

    @property
    def namespaces(self) -> list[Object]:
        """Every namespace."""
        return self.listed("v1", "Namespace")

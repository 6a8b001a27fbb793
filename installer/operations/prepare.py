"""Everything install decides before it writes: release, versions, objects, what differs.

Reads only. What it returns is shown to the user, confirmed, and executed by `engine`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from installer.catalog.manifests import load_each
from installer.catalog.model import Component, Release
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster, Identity
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InvalidInput, Problem
from installer.core.events import Emit, Event, silent
from installer.core.objects import Object, ObjectId, Ref
from installer.operations.choice import Choice, InstallOptions
from installer.operations.live import METADATA_KINDS, Blind, read_live
from installer.plan.drift import Decision, decide
from installer.plan.edits import with_edits
from installer.plan.handover import (
    UNTRACKED,
    Handover,
    handovers_of,
    keeper_of,
    still_meant,
    united,
)
from installer.plan.pruning import prunable
from installer.plan.settings import Settings, invalid
from installer.plan.wanted import Wanted, wanted_of


@dataclass(frozen=True, slots=True)
class PlannedComponent:
    """One component with its objects and what to do about each.

    live: the objects as they are; of METADATA_KINDS only their metadata.
    """

    component: Component
    wanted: Sequence[Wanted]
    decisions: Mapping[ObjectId, Decision]
    live: Mapping[ObjectId, Object]

    @property
    def changes(self) -> int:
        """How many objects are to be written."""
        return sum(1 for decision in self.decisions.values() if decision != "unchanged")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decided install: nothing was written yet.

    recreate: objects to be deleted first, since a field differs that cannot be changed in place.
    handovers: who is to let go of what is adopted, those of an earlier run that did not end
    included.
    """

    options: InstallOptions
    identity: Identity
    release: Release
    planned: Sequence[PlannedComponent]
    external: Sequence[Component]
    prune: Sequence[Ref]
    ledger: Ledger
    recreate: frozenset[ObjectId] = frozenset()
    handovers: tuple[Handover, ...] = ()

    def count(self, decision: Decision) -> int:
        """How many objects have this decision."""
        return sum(
            1 for item in self.planned for found in item.decisions.values() if found == decision
        )

    @property
    def objects(self) -> int:
        """How many objects the release has in this cluster."""
        return sum(len(item.wanted) for item in self.planned)

    def forced(self, item: Wanted) -> bool:
        """Whether fields of other managers are taken over: where asked for, and of objects that
        we have applied before."""
        asked = self.options.take_ownership or item.component in self.options.adopt
        return asked or self.applied(item)

    def former(self, item: Wanted) -> frozenset[str]:
        """Managers who let go of an object: all that they own of it becomes ours."""
        return frozenset(
            manager
            for handover in self.handovers
            if item.component in handover.components
            for manager in (UNTRACKED, *handover.managers)
        )

    def applied(self, item: Wanted) -> bool:
        """Whether the ledger says that we have applied this object."""
        return self.ledger.applied(item.component, item.ref.identity)

    @property
    def recorded(self) -> bool:
        """True when the ledger already says that exactly this is installed."""
        return (
            self.ledger.state == "installed"
            and not self.ledger.lost
            and not self.ledger.handovers
            and self.ledger.release == self.release.name
            and self.ledger.settings == self.options.settings.digest()
        )

    @property
    def nothing_to_do(self) -> bool:
        """True when no object differs and the ledger agrees: a run would write nothing."""
        return self.recorded and not self.prune and not any(i.changes for i in self.planned)


def prepare(cluster: Cluster, choice: Choice, emit: Emit, cancel: Cancel) -> Prepared:
    """Decide an install.

    Raises InvalidInput (settings), ChecksFailed (a source that cannot be had). What else must hold
    is checked by `preflight.check_first`.
    """
    options, release, components = choice.options, choice.release, choice.components
    identity = cluster.identity()
    ledger = ledgers.read(cluster)
    if options.edits:
        ledger = replace(ledger, edits={**ledger.edits, **options.edits})
    planned, external = planned_of(cluster, choice, ledger, emit, cancel)
    keep = {item.ref.identity for part in planned for item in part.wanted}
    owned = {record.name: record.entries for record in ledger.components.values()}
    prune = prunable(owned, keep, components, options.settings)
    handovers = to_let_go(ledger, planned, options.adopt)
    prepared = Prepared(
        options, identity, release, planned, external, prune, ledger, handovers=handovers
    )
    emit(_planned_event(prepared))
    return prepared


def to_let_go(
    ledger: Ledger, planned: Sequence[PlannedComponent], adopt: Collection[str]
) -> tuple[Handover, ...]:
    """Who keeps the objects of the components that are adopted, now or by a run that did not end.

    What is created and never applied again keeps its marks, and says nothing.
    """
    begun = still_meant(ledger.handovers, [part.component.name for part in planned])
    found = handovers_of(
        (part.component.name, part.live[item.ref.identity])
        for part in planned
        if part.component.name in adopt
        for item in part.wanted
        if item.ref.identity in part.live and not item.create_only
    )
    return united([*begun, *found])


def prepare_first(cluster: Cluster, choice: Choice, emit: Emit, cancel: Cancel) -> Prepared:
    """`prepare` for a command that has written nothing yet: there, rights that are missing to read
    what is needed are one of the things that must hold before work begins. Raises ChecksFailed."""
    try:
        return prepare(cluster, choice, emit, cancel)
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        raise ChecksFailed(
            error.message, kind=error.kind, object=error.object, remedy=error.remedy
        ) from error


def planned_of(
    cluster: Cluster,
    choice: Choice,
    ledger: Ledger,
    emit: Emit,
    cancel: Cancel,
    blind: Blind | None = None,
) -> tuple[list[PlannedComponent], list[Component]]:
    """What each component of ours comes to here, and the components that are external.

    Raises what loading sources raises, and InvalidInput for settings.
    """
    settings = choice.options.settings
    external = [c for c in choice.components if c.name in settings.external]
    ours = [c for c in choice.components if c.name not in settings.external]

    manifests = load_each(ours, choice.options.sources, emit, cancel)
    cancel.check("comparing manifests with the cluster")
    adopt = choice.options.adopt
    return plan_components(cluster, ours, manifests, settings, ledger, blind, adopt), external


def wanted_all(
    cluster: Cluster, choice: Choice, cancel: Cancel
) -> list[tuple[Component, list[Wanted]]]:
    """The objects as release and settings have them; without what an upgrade has kept of users'
    edits. Of the cluster only its kinds are read."""
    settings = choice.options.settings
    ours = [c for c in choice.components if c.name not in settings.external]
    manifests = load_each(ours, choice.options.sources, silent, cancel)
    scope = _Scope(cluster, [obj for objects in manifests for obj in objects])
    return _wanted_parts(ours, manifests, scope, settings)


def wanted_maps(cluster: Cluster, choice: Choice, cancel: Cancel) -> list[Wanted]:
    """The ConfigMaps that users edit, of `wanted_all`."""
    return [
        item
        for component, wanted in wanted_all(cluster, choice, cancel)
        for item in wanted
        if item.ref.kind == "ConfigMap" and item.ref.name in component.config_maps
    ]


def check_installed(ledger: Ledger, release: Release) -> None:
    """Raise ChecksFailed when the cluster holds another release, or half of an uninstall."""
    obstacle = ledger.in_the_way_of(release.name)
    if obstacle is not None:
        raise ChecksFailed(obstacle.reason, kind=obstacle.kind, remedy=obstacle.remedy)


def plan_components(
    cluster: Cluster,
    components: Sequence[Component],
    manifests: Sequence[Sequence[Object]],
    settings: Settings,
    ledger: Ledger,
    blind: Blind | None = None,
    adopt: Collection[str] = (),
) -> list[PlannedComponent]:
    """Wanted objects and decisions, component by component. Raises InvalidInput on settings.

    blind: as of `read_live`; an object that cannot be seen counts as one to be written. adopt:
    components of which also those objects are written that are as they should be, but for the
    marks of a keeper.
    """
    scope = _Scope(cluster, [obj for objects in manifests for obj in objects])
    parts = [
        (part, [with_edits(item, ledger.edits, part.config_maps) for item in wanted])
        for part, wanted in _wanted_parts(components, manifests, scope, settings)
    ]
    refs = [item.ref for _, wanted in parts for item in wanted]
    live = read_live(cluster, refs, metadata_only=METADATA_KINDS, blind=blind)
    owners = ledger.owners()

    def decision(item: Wanted) -> Decision:
        found, entry = live.get(item.ref.identity), owners.get(item.ref.identity)
        decided = decide(item.digest, found, entry, item.create_only)
        if decided == "unchanged" and item.component in adopt and not item.create_only:
            return "apply" if found is not None and keeper_of(found) else decided
        return decided

    return [
        PlannedComponent(
            component, wanted, {item.ref.identity: decision(item) for item in wanted}, live
        )
        for component, wanted in parts
    ]


def _wanted_parts(
    components: Sequence[Component],
    manifests: Sequence[Sequence[Object]],
    scope: _Scope,
    settings: Settings,
) -> list[tuple[Component, list[Wanted]]]:
    """Each object once, with the first component that brings it; all problems of the settings."""
    taken: set[ObjectId] = set()
    parts: list[tuple[Component, list[Wanted]]] = []
    matched: set[int] = set()
    problems: list[Problem] = []
    for component, objects in zip(components, manifests, strict=True):
        try:
            wanted = wanted_of(component, objects, scope, settings, matched)
        except InvalidInput as error:  # the other components may have more to tell
            problems += error.problems
            continue
        mine = [item for item in wanted if item.ref.identity not in taken]
        taken.update(item.ref.identity for item in mine)
        parts.append((component, mine))
    problems += settings.unmatched(matched)
    if problems:
        raise invalid(problems)
    return parts


class _Scope:
    """Whether a kind is namespaced: the server says so, or the CRDs about to be applied."""

    def __init__(self, cluster: Cluster, objects: Sequence[Object]):
        self._discovery = cluster.discovery()
        self._brought = {
            (obj["spec"]["group"], obj["spec"]["names"]["kind"]): obj["spec"]["scope"]
            for obj in objects
            if obj["kind"] == "CustomResourceDefinition"
        }

    def __call__(self, api_version: str, kind: str) -> bool | None:
        group = Ref(api_version, kind, "", "").group
        scope = self._brought.get((group, kind))
        if scope is not None:
            return bool(scope == "Namespaced")
        resource = self._discovery.find(api_version, kind)
        return None if resource is None else resource.namespaced


def _planned_event(prepared: Prepared) -> Event:
    return Event(
        "planned",
        {
            "components": [
                {
                    "name": part.component.name,
                    "version": part.component.version,
                    "objects": len(part.wanted),
                }
                for part in prepared.planned
            ],
            "objects": prepared.objects,
            "create": prepared.count("create"),
            "change": prepared.count("apply"),
            "unchanged": prepared.count("unchanged"),
            "delete": len(prepared.prune),
        },
    )

"""What the ledger says, as values. Pure; the documents they are kept in: `ledger_documents`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from installer.core.objects import ObjectId
from installer.plan.drift import Entry
from installer.plan.edits import Edits
from installer.plan.handover import Handover


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command. times are RFC 3339; outcome is empty while it runs."""

    id: str
    command: str
    release: str
    started: str
    by: str
    finished: str = ""
    outcome: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a walk through many objects came. about: what is walked through. token: of the next
    page. done: objects that are behind it."""

    about: str
    token: str
    done: int


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An upgrade that is under way, as its next run needs to know it.

    command: upgrade or rollback. target: the release it ends at; origin, hop: the ones that are
    being gone from and to now. since: when this hop began, RFC 3339. done: steps of the hop that
    are complete, in order. unwell: InferenceServices (`NAMESPACE/NAME`) that were not Ready when
    it began; silent: those that were, and gave no answer through the gateway. cursor: of the step
    under way, where it walks through many objects.
    """

    command: str
    target: str
    origin: str
    hop: str
    since: str
    done: tuple[str, ...] = ()
    unwell: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class ComponentRecord:
    """One component as installed. state: installing, installed, uninstalling."""

    name: str
    version: str
    state: str
    stages: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[ObjectId, Entry] = field(default_factory=dict)

    def with_entries(self, entries: Mapping[ObjectId, Entry]) -> ComponentRecord:
        """A copy in which these entries are added or replaced."""
        return replace(self, entries={**self.entries, **entries})

    def with_stage(self, stage: str, state: str) -> ComponentRecord:
        """A copy with one stage's state set: `applying` or `done`."""
        return replace(self, stages={**self.stages, stage: state})


@dataclass(frozen=True, slots=True)
class InTheWay:
    """What stands in the way of an install; kind and remedy as of an InstallerError."""

    kind: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The stack as installed. state: empty (nothing), installing, installed, uninstalling,
    upgrading.

    release: of an upgrade under way the one that the present hop began at. before: the release
    that it was upgraded from last, empty without one. names: the components it is made of;
    components: the records of those whose record is there. edits: what upgrades have kept of
    users' edits. handovers: whoever is yet to let go of what is being adopted.
    """

    release: str = ""
    state: str = ""
    settings: str = ""
    external: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    names: tuple[str, ...] = ()
    before: str = ""
    upgrade: Upgrade | None = None
    edits: Edits = field(default_factory=dict)
    handovers: tuple[Handover, ...] = ()
    components: Mapping[str, ComponentRecord] = field(default_factory=dict)

    @property
    def last_run(self) -> Run | None:
        """The newest run, None when there was none."""
        return self.runs[-1] if self.runs else None

    @property
    def lost(self) -> tuple[str, ...]:
        """Components of an installed stack whose record somebody has deleted."""
        if self.state != "installed":
            return ()
        return tuple(name for name in self.names if name not in self.components)

    def applied(self, component: str, identity: ObjectId) -> bool:
        """Whether we have applied this object for this component: then it is ours."""
        record = self.components.get(component)
        entry = record.entries.get(identity) if record else None
        return entry is not None and entry.applied

    def in_the_way_of(self, release: str) -> InTheWay | None:
        """Why this release cannot be installed over what is recorded; None when it can."""
        if self.state == "uninstalling":
            return InTheWay(
                "uninstalling",
                f"an uninstall of {self.release} has not ended",
                "run `kserve-installer uninstall` to its end first",
            )
        if self.upgrade is not None:
            word, end = self.upgrade.command, self.upgrade.target
            return InTheWay(
                "upgrading",
                f"{'an upgrade' if word == 'upgrade' else 'a rollback'} from {self.upgrade.origin} "
                f"to {end} has not ended",
                f"`kserve-installer {word}{f' {end}' if word == 'upgrade' else ''}` goes on "
                "where it stopped",
            )
        if self.release and self.release != release:
            return InTheWay(
                "other-release",
                f"{self.release} is installed here, and install does not go from one release to "
                "another",
                f"`kserve-installer upgrade {release}` goes there, or says why it cannot",
            )
        return None

    def owners(self) -> dict[ObjectId, Entry]:
        """Every entry of every component by object identity."""
        return {k: e for c in self.components.values() for k, e in c.entries.items()}

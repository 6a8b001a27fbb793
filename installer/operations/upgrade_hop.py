"""A hop of an upgrade: what its steps work with, and how a step that is done stays done.

A step is a name and a function. Each notes nothing itself: the run notes in the ledger that it is
complete, so that a run which is killed begins again with the first step that is not. A step must
therefore be able to find a part of its own work done already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from installer.catalog.model import Catalog
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.ledger import Cursor, Ledger, Upgrade
from installer.cluster.lock import Lock
from installer.core.cancel import Cancel
from installer.core.events import Emit, Event
from installer.operations.choice import Choice, InstallOptions
from installer.operations.prepare import Prepared, prepare
from installer.operations.tally import Tally
from installer.plan.hop import Hop, Versions, components_at, stand
from installer.plan.merging import Resolutions


class Paused(Exception):
    """A step has done what it was asked to, and is not complete."""


@dataclass(frozen=True, slots=True)
class UpgradeOptions:
    """What the user asked for. install: sources, settings and the like; its release is the target.

    skip: preflight checks not to run. to_hop: how many hops to go at most, 0 for all. pause: end
    after each hop. discard_edits: take back what users have edited; resolve: what to
    do where users and a release have changed the same. backups: folder that each hop
    writes its backup to, None for no backups. only: InferenceServices (`NAMESPACE/NAME`) to move
    between API groups, none for all. serving_seconds: how long
    InferenceServices may take to be Ready again after components were replaced.
    """

    install: InstallOptions
    skip: tuple[str, ...] = ()
    to_hop: int = 0
    pause: bool = False
    discard_edits: bool = False
    resolve: Resolutions = field(default_factory=dict)
    backups: Path | None = None
    only: tuple[str, ...] = ()
    serving_seconds: float = 300.0


@dataclass(slots=True)
class HopContext:
    """What the steps of one hop work with. ledger: as last written. lock: None where a cluster is
    only looked at. last: no hop follows in this run. used, contested: paths of ConfigMaps' values
    in the hops that were judged: of the resolutions that decided something, and of what both users
    and the release have changed."""

    cluster: Cluster
    catalog: Catalog
    options: UpgradeOptions
    hop: Hop
    lock: Lock | None
    emit: Emit
    cancel: Cancel
    ledger: Ledger
    tally: Tally = field(default_factory=Tally)
    last: bool = False
    used: set[str] = field(default_factory=set)
    contested: set[str] = field(default_factory=set)

    @property
    def upgrade(self) -> Upgrade:
        """The upgrade as the ledger has it."""
        assert self.ledger.upgrade is not None, "a hop runs with its upgrade in the ledger"
        return self.ledger.upgrade

    @property
    def held(self) -> Lock:
        """The lock, for whoever writes."""
        assert self.lock is not None, "who only looks at a cluster writes nothing"
        return self.lock

    def note(self, **changes: Any) -> None:
        """Write changes of the ledger's upgrade."""
        self.write(replace(self.ledger, upgrade=replace(self.upgrade, **changes)))

    def write(self, ledger: Ledger) -> None:
        """Write the ledger's part of the stack."""
        self.held.confirm()
        ledgers.write_stack(self.cluster, ledger)
        self.ledger = ledger

    def read(self) -> Cursor | None:
        """How far the step under way came (a `Bookmark`)."""
        return self.upgrade.cursor

    def keep(self, cursor: Cursor | None) -> None:
        """Keep it in the ledger."""
        if cursor != self.upgrade.cursor:
            self.note(cursor=cursor)

    def choice(self, versions: Versions) -> Choice:
        """The target release with its components at these versions, and those that only the
        release before has."""
        target = self.catalog.releases[self.hop.target]
        origin = self.catalog.releases[self.hop.origin]
        release = stand(target if versions == self.hop.stops[-1] else origin, versions)
        components = components_at(self.catalog, release, versions)
        options = replace(self.options.install, release=release.name)
        return Choice(options, self.catalog, release, components)

    def prepared(self, versions: Versions) -> Prepared:
        """What applying all components at these versions comes to, decided now."""
        return prepare(self.cluster, self.choice(versions), self.emit, self.cancel)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a hop. about: what it does, a clause for people."""

    name: str
    about: str
    run: Callable[[HopContext], None]


def run_steps(context: HopContext, steps: Sequence[Step]) -> None:
    """Run the steps that the ledger does not call done, in order."""
    ends = {"from": context.hop.origin, "to": context.hop.target}
    for step in steps:
        if step.name in context.upgrade.done:
            continue
        context.cancel.check(f"about to begin step {step.name}")
        began = time.monotonic()
        context.emit(Event("step_started", {**ends, "step": step.name, "about": step.about}))
        step.run(context)
        context.note(done=(*context.upgrade.done, step.name), cursor=None)
        seconds = round(time.monotonic() - began, 3)
        context.emit(Event("step_finished", {**ends, "step": step.name, "seconds": seconds}))


def hop_event(context: HopContext, steps: Sequence[Step], index: int, total: int) -> Event:
    """The event `hop_started`."""
    done = context.upgrade.done
    fields: Mapping[str, Any] = {
        "from": context.hop.origin,
        "to": context.hop.target,
        "hop": index,
        "hops": total,
        "done": [step.name for step in steps if step.name in done],
        "left": [step.name for step in steps if step.name not in done],
    }
    return Event("hop_started", fields)

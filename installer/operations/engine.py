"""Runs a decided install: components as soon as what they need is ready, stages in order.

Per stage: references into the ledger, apply in parallel, await the gate, settle the ledger.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from installer.cluster import ledger as ledgers
from installer.cluster.apply import Applied, apply_all
from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.ledger import ComponentRecord
from installer.cluster.lock import Lock
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.events import Emit, Event
from installer.core.objects import Object, ObjectId, Ref
from installer.operations.edited_meanwhile import check_not_edited
from installer.operations.gates import Gate, await_gate
from installer.operations.prepare import PlannedComponent, Prepared
from installer.operations.tally import Tally
from installer.operations.telling import object_event, stage_finished, stage_started
from installer.plan.drift import RAN_ONCE, Entry, seen_fingerprint
from installer.plan.stages import INDEPENDENT, STAGES
from installer.plan.wanted import Wanted


@dataclass(frozen=True, slots=True)
class _Step:
    """The independent stages of a component (first), or the rest of it."""

    part: PlannedComponent
    first: bool

    @property
    def key(self) -> tuple[str, bool]:
        return (self.part.component.name, self.first)

    @property
    def needs(self) -> set[tuple[str, bool]]:
        """Steps that must be done before this one."""
        if self.first:
            return set()
        component = self.part.component
        return {(component.name, True), *((name, False) for name in component.needs)}


class Engine:
    """One run over all components of a prepared install."""

    def __init__(
        self, cluster: Cluster, prepared: Prepared, lock: Lock, emit: Emit, cancel: Cancel
    ):
        self._cluster = cluster
        self._prepared = prepared
        self._lock = lock
        self._emit = emit
        self._cancel = cancel
        self._kinds = {
            (item.body["spec"]["group"], item.body["spec"]["names"]["kind"])
            for part in prepared.planned
            for item in part.wanted
            if item.ref.kind == "CustomResourceDefinition"
        }
        self._records: dict[str, ComponentRecord] = {}
        self._written: dict[str, ComponentRecord] = {}
        self._now: dict[str, dict[Ref, Object]] = {}
        self._started: dict[str, float] = {}
        self.tally = Tally()

    def run(self) -> None:
        """Install every component; the first failure stops the others and is raised.

        Namespaces and CRDs depend on nothing, so all components begin with theirs at once; the
        rest of a component begins when what it needs is ready.
        """
        steps = [_Step(part, first) for part in self._prepared.planned for first in (True, False)]
        done = {(component.name, False) for component in self._prepared.external}
        running: dict[Future[None], _Step] = {}
        failure: BaseException | None = None
        with ThreadPoolExecutor(max(1, len(steps))) as pool:
            while steps or running:
                if failure is None:
                    for step in [s for s in steps if s.needs <= done]:
                        steps.remove(step)
                        running[pool.submit(self._step, step)] = step
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    step = running.pop(future)
                    error = future.exception()
                    if error is None:
                        done.add(step.key)
                    elif failure is None:
                        failure = error
                        self._cancel.stop(error if isinstance(error, InstallerError) else None)
        if failure is not None:
            raise failure

    def _step(self, step: _Step) -> None:
        if step.first:
            self._begin(step.part)
        else:
            self._finish(step.part)

    def _begin(self, part: PlannedComponent) -> None:
        name, version = part.component.name, part.component.version
        self._started[name] = time.monotonic()
        self._emit(Event("component_started", {"component": name, "version": version}))
        known = self._prepared.ledger.components.get(name)
        self._records[name] = self._recorded(part, known)
        if known is not None:
            self._written[name] = known
        self._write(self._cluster, name)
        self._stages(part, INDEPENDENT)

    def _finish(self, part: PlannedComponent) -> None:
        name, version = part.component.name, part.component.version
        self._stages(part, [stage for stage in STAGES if stage not in INDEPENDENT])
        self._records[name] = replace(self._records[name], state="installed")
        self._settle(name)
        seconds = round(time.monotonic() - self._started[name], 3)
        self._emit(
            Event("component_finished", {"component": name, "version": version, "seconds": seconds})
        )

    def _stages(self, part: PlannedComponent, stages: Sequence[str]) -> None:
        for stage in stages:
            items = [item for item in part.wanted if item.stage == stage]
            if items:
                self._stage(part, stage, items)

    def _recorded(self, part: PlannedComponent, known: ComponentRecord | None) -> ComponentRecord:
        """The record before the work: every reference of the component is in it."""
        entries = dict(known.entries) if known else {}
        for item in part.wanted:
            old = entries.get(item.ref.identity)
            created = (old is not None and old.created) or item.ref.identity not in part.live
            entries[item.ref.identity] = Entry(
                item.ref, old.sent if old else "", old.seen if old else "", created
            )
        work = ComponentRecord(
            part.component.name, part.component.version, "installing", {}, entries
        )
        if known is not None and not part.changes:
            settled = replace(work, state="installed", stages=known.stages)
            return known if settled == known else work
        return work

    def _stage(self, part: PlannedComponent, stage: str, items: Sequence[Wanted]) -> None:
        name = part.component.name
        self._cancel.check(f"{name} was about to begin stage {stage}")
        if not self._cancel.left():
            raise self._cancel.too_late(f"{name} was about to begin stage {stage}")
        self._lock.confirm()
        self._emit(stage_started(name, stage, len(items)))
        begun = time.monotonic()
        settled: dict[ObjectId, Entry] = {}
        now = self._now.setdefault(name, {})
        try:
            self._apply(part, items, settled, now)
        except BaseException as error:
            self._records[name] = self._records[name].with_entries(settled)
            self._settle_failed(name, error)
            raise
        self._records[name] = self._records[name].with_entries(settled)
        applied = time.monotonic()
        if self._prepared.options.wait:
            gate = Gate(name, stage, items, part.wanted, now, part.component.webhook_probes)
            await_gate(self._cluster, gate, self._emit, self._cancel)
        self._records[name] = self._records[name].with_stage(stage, "done")
        if any(part.decisions[item.ref.identity] != "unchanged" for item in items):
            self._settle(name)
        waited = time.monotonic()
        self.tally.stage(name, stage, applied - begun, waited - applied)
        self._emit(stage_finished(name, stage, applied - begun, waited - applied))

    def _apply(
        self,
        part: PlannedComponent,
        items: Sequence[Wanted],
        settled: dict[ObjectId, Entry],
        now: dict[Ref, Object],
    ) -> None:
        """Write what differs; `settled` and `now` collect entries and objects as answers come."""
        name = part.component.name
        record = self._records[name]

        def tell(item: Wanted, action: str) -> None:
            self.tally.count(action)
            self._emit(object_event(name, item.stage, action, item.ref))

        by_ref = {item.ref: item for item in items}

        def answered(result: Applied) -> None:
            item = by_ref[result.ref]
            old = record.entries[item.ref.identity]
            settled[item.ref.identity] = Entry(
                item.ref, item.digest, _seen(item, result), old.created
            )
            now[item.ref] = result.object
            tell(item, result.action)

        for item in items:
            if part.decisions[item.ref.identity] == "unchanged":
                settled[item.ref.identity] = record.entries[item.ref.identity]
                now[item.ref] = part.live.get(item.ref.identity, {})
                tell(item, "unchanged")
        due = [item for item in items if part.decisions[item.ref.identity] != "unchanged"]
        if self._prepared.ledger.upgrade is not None:
            check_not_edited(self._cluster, part, due)
        gone = self._removed(part, due)
        apply_all(
            self._cluster,
            due,
            live={key: obj for key, obj in part.live.items() if key not in gone},
            expected=self._kinds,
            forced={item.ref for item in items if self._prepared.forced(item)},
            former={item.ref: self._prepared.former(item) for item in items},
            on_result=answered,
        )

    def _removed(self, part: PlannedComponent, due: Sequence[Wanted]) -> set[ObjectId]:
        """Delete those that have to be made anew, and wait until they are gone."""
        doomed = [
            item.ref
            for item in due
            if item.ref.identity in self._prepared.recreate and item.ref.identity in part.live
        ]
        for ref in doomed:
            if self._cluster.delete(ref):
                self.tally.count("deleted")
                self._emit(object_event(part.component.name, "", "deleted", ref))
        if doomed:
            wait_gone(self._cluster, doomed, deadline=self._cancel.left(), cancel=self._cancel)
        return {ref.identity for ref in doomed}

    def _settle_failed(self, name: str, error: BaseException) -> None:
        """Note what was done before the error, which ends the run and stays its cause.

        What cannot be noted is written once more by the next run.
        """
        if isinstance(error, InstallerError):
            self._cancel.stop(error)
        with contextlib.suppress(InstallerError):
            self._settle(name)

    def _settle(self, name: str) -> None:
        """Write a component's record even when the run is being cancelled."""
        self._write(self._cluster.uncancelled(), name)

    def _write(self, cluster: Cluster, name: str) -> None:
        """Write a component's record unless it says what is there: nobody else writes it while
        the lock is ours."""
        record = self._records[name]
        if self._written.get(name) != record:
            self._written.pop(name, None)
            ledgers.write_component(cluster, record)
            self._written[name] = record


def _seen(item: Wanted, result: Applied) -> str:
    return RAN_ONCE if item.create_only else seen_fingerprint(result.object)

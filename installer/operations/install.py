"""`install`: prepare (reads only), then execute under the lock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from installer.cluster import ledger as ledgers
from installer.cluster import lock as locks
from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.ledger import Ledger, Run
from installer.core.cancel import Cancel
from installer.core.errors import ExitCode
from installer.core.events import Emit, Event
from installer.core.objects import ObjectId
from installer.operations.choice import Choice, InstallOptions, choose
from installer.operations.handovers import give_up, let_go_first, let_go_last
from installer.operations.health import await_health
from installer.operations.prepare import Prepared, check_installed, prepare_first
from installer.operations.prune import prune
from installer.operations.runs import begin_run, close_failed, end_run
from installer.operations.tally import Tally
from installer.plan.stages import STAGES

__all__ = ["Choice", "InstallOptions", "Outcome", "Prepared", "choose", "execute", "prepare_first"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. seconds: of the whole command; writes: requests that write."""

    outcome: str
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    writes: int = 0
    seconds: float = 0.0
    stages: tuple[tuple[str, str, float, float], ...] = ()
    exit_code: ExitCode = ExitCode.DONE

    def counted(self) -> dict[str, Any]:
        """What the `finished` event says of it: outcome, created, changed, unchanged, deleted."""
        names = ("outcome", "created", "changed", "unchanged", "deleted")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, outcome: str, tally: Tally, cluster: Cluster, started: float) -> Outcome:
        """From a run's tally; started: time.monotonic() at its begin."""
        return cls(
            outcome,
            tally.created,
            tally.changed,
            tally.unchanged,
            tally.deleted,
            cluster.writes,
            round(time.monotonic() - started, 3),
            tuple(tally.stages),
        )


def execute(
    cluster: Cluster,
    prepared: Prepared,
    emit: Emit,
    cancel: Cancel,
    refresh: Callable[[], Prepared] | None = None,
) -> Outcome:
    """Bring the cluster to the prepared state.

    refresh: decides again; called once the lock is held when another run has changed the ledger
    since `prepare`. Raises what stopped the work; the ledger then says how far it came.
    """
    started = time.monotonic()
    if prepared.nothing_to_do:
        _look_only(cluster, prepared, emit, cancel)
        tally = Tally(unchanged=prepared.objects)
        return Outcome.of("unchanged", tally, cluster, started)
    from installer.operations.engine import Engine  # nothing to do needs neither it nor its gates

    run = begin_run("install", prepared.release.name)
    _ensure_home(cluster, cancel)
    with locks.held(cluster, run=run.id, command="install", emit=emit, cancel=cancel) as lock:
        now = ledgers.read(cluster)
        if now != prepared.ledger and refresh is not None:
            prepared = refresh()
        check_installed(prepared.ledger, prepared.release)  # of all checks this cannot be skipped
        emit(Event("recorded", {"run": run.id}))
        _tell_resumption(prepared, emit)
        ledger = _opened(prepared, run)
        ledgers.write_stack(cluster, ledger)
        engine = Engine(cluster, prepared, lock, emit, cancel)
        try:
            give_up(cluster, prepared.ledger.handovers, prepared.handovers)
            let_go_first(cluster, prepared.handovers, _held(prepared), emit, cancel)
            engine.run()
            prune(cluster, prepared, engine.tally, emit)
            let_go_last(cluster, prepared.handovers, _held(prepared), emit)
        except BaseException as error:
            close_failed(cluster, ledger, run, error)
            raise
        ledgers.write_stack(cluster, _closed(ledger, run, prepared.options.wait))
    return Outcome.of("done", engine.tally, cluster, started)


def _look_only(cluster: Cluster, prepared: Prepared, emit: Emit, cancel: Cancel) -> None:
    """Nothing differs: is it well?"""
    if prepared.external:
        from installer.operations.external import check_external  # few have any

        check_external(cluster, prepared, emit)
    if prepared.options.wait:
        await_health(cluster, prepared, emit, cancel)


def _ensure_home(cluster: Cluster, cancel: Cancel) -> None:
    """Create the namespace of ledger and lock; one that an uninstall is removing goes first."""
    home = cluster.get(ledgers.HOME)
    if home is not None and home["metadata"].get("deletionTimestamp"):
        wait_gone(cluster, [ledgers.HOME], deadline=cancel.left(), cancel=cancel)
        home = None
    if home is None:
        ledgers.create_home(cluster)


def _opened(prepared: Prepared, run: Run) -> Ledger:
    return replace(
        prepared.ledger,
        release=prepared.release.name,
        state="installing",
        settings=prepared.options.settings.digest(),
        external=tuple(component.name for component in prepared.external),
        names=tuple(part.component.name for part in prepared.planned),
        handovers=prepared.handovers,
        runs=(*prepared.ledger.runs, run),
    )


def _held(prepared: Prepared) -> set[ObjectId]:
    """What is ours once the install is done."""
    ours = {item.ref.identity for part in prepared.planned for item in part.wanted}
    return ours | prepared.ledger.owners().keys()


def _closed(ledger: Ledger, run: Run, waited: bool) -> Ledger:
    ended = end_run(run, "done", "" if waited else "applied, and not waited for")
    return replace(ledger, state="installed", handovers=(), runs=(*ledger.runs[:-1], ended))


def _tell_resumption(prepared: Prepared, emit: Emit) -> None:
    """Say what an earlier run that did not end had done, and what is left."""
    last = prepared.ledger.last_run
    if prepared.ledger.state != "installing" or last is None:
        return
    done: list[str] = []
    left: list[str] = []
    for part in prepared.planned:
        record = prepared.ledger.components.get(part.component.name)
        for stage in STAGES:
            if any(item.stage == stage for item in part.wanted):
                settled = record is not None and record.stages.get(stage) == "done"
                (done if settled else left).append(f"{part.component.name}/{stage}")
    emit(Event("resuming", {"run": last.id, "done": done, "left": left}))

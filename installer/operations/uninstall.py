"""`uninstall`: decided (reads only), then done under the lock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from installer.cluster import ledger as ledgers
from installer.cluster import lock as locks
from installer.cluster.client import Cluster
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, ExitCode
from installer.core.events import Emit, Event, silent
from installer.core.objects import Ref, dig
from installer.core.words import plural
from installer.operations.handovers import give_up
from installer.operations.install import Outcome
from installer.operations.leftovers import Leftover
from installer.operations.removal import Removal
from installer.operations.runs import begin_run, close_failed, end_run
from installer.operations.tally import Tally
from installer.operations.telling import warning
from installer.operations.uninstall_decision import (
    PreparedUninstall,
    UninstallOptions,
    listed,
    prepare_uninstall,
)

__all__ = ["UninstallOptions", "execute_uninstall", "prepare_uninstall"]


def execute_uninstall(
    cluster: Cluster, prepared: PreparedUninstall, emit: Emit, cancel: Cancel
) -> tuple[Outcome, list[Leftover]]:
    """Delete everything; returns the outcome (exit code 1 with leftovers) and what is left."""
    started = time.monotonic()
    tally = Tally()
    if prepared.nothing_to_do:
        return Outcome.of("unchanged", tally, cluster, started), []
    if prepared.owns_nothing and dig(prepared.home, "metadata", "deletionTimestamp"):
        # an uninstall was stopped when all but this was done; nobody can hold a lock in it
        Removal(cluster, prepared, tally, emit, cancel).remove_home()
        return Outcome.of("done", tally, cluster, started), []
    run = begin_run("uninstall", prepared.release)
    with locks.held(cluster, run=run.id, command="uninstall", emit=emit, cancel=cancel) as lock:
        prepared = _decided_again(cluster, prepared, cancel)
        ledger = replace(prepared.ledger, state="uninstalling", runs=(*prepared.ledger.runs, run))
        ledgers.write_stack(cluster, ledger)
        emit(Event("recorded", {"run": run.id}))
        removal = Removal(cluster, prepared, tally, emit, cancel)
        try:
            _give_up(cluster, ledger, emit)
            left = removal.run(lock)
        except BaseException as error:
            close_failed(cluster, ledger, run, error)
            raise
        if left:
            ended = replace(ledger, runs=(*ledger.runs[:-1], end_run(run, "failed")))
            _remember(cluster, ended, left)
        else:
            for name in ledger.components:
                ledgers.forget_component(cluster, name)
            cluster.delete(Ref("v1", "ConfigMap", ledgers.NAMESPACE, ledgers.STACK))
    if not left:
        removal.remove_home()
    outcome = Outcome.of("failed" if left else "done", tally, cluster, started)
    return replace(outcome, exit_code=ExitCode.FAILED if left else ExitCode.DONE), left


def _give_up(cluster: Cluster, ledger: Ledger, emit: Emit) -> None:
    """End an adoption that was killed; Helm's records stay, and are told."""
    for item in give_up(cluster, ledger.handovers):
        emit(
            warning(
                f"Helm still has its record of {item}, whose adoption did not end",
                str(item),
                f"helm uninstall {item.name} -n {item.namespace}",
            )
        )


def _decided_again(
    cluster: Cluster, prepared: PreparedUninstall, cancel: Cancel
) -> PreparedUninstall:
    """What is there now that the lock is held: the user may have thought for an hour.

    Raises ChecksFailed when objects of users have appeared that were not confirmed.
    """
    now = prepare_uninstall(cluster, prepared.options, silent, cancel)
    confirmed = {*prepared.users.inference, *prepared.users.others}
    new = [ref for ref in (*now.users.inference, *now.users.others) if ref not in confirmed]
    if new:
        raise ChecksFailed(
            f"{plural(len(new), 'object')} of users appeared since this was confirmed: "
            f"{listed(new)}",
            kind="changed",
            remedy="run the same command again and look at what would be lost",
        )
    return now


def _remember(cluster: Cluster, ledger: Ledger, left: Sequence[Leftover]) -> None:
    """Keep of the ledger what still exists.

    When that is only namespaces kept for what others have in them, the stack counts as
    uninstalled: install works again, and so does an uninstall once they are empty.
    """
    kept = {item.ref.identity for item in left}
    if any(item.ref.kind != "Namespace" for item in left):
        ledgers.write_stack(cluster, ledger)
        return
    for record in ledger.components.values():
        entries = {key: entry for key, entry in record.entries.items() if key in kept}
        if entries:
            ledgers.write_component(cluster, replace(record, stages={}, entries=entries))
        else:
            ledgers.forget_component(cluster, record.name)
    ledgers.write_stack(cluster, Ledger(runs=ledger.runs))

"""`upgrade`: from the release that is installed to a later one, hop by hop under one lock.

After each step the ledger says so, and after each hop the hop's release is what is installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from installer.catalog.load import load
from installer.catalog.model import Catalog
from installer.catalog.resolve import find_release
from installer.cluster import ledger as ledgers
from installer.cluster import lock as locks
from installer.cluster.client import Cluster, Identity
from installer.cluster.ledger import Ledger, Upgrade
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, UsageError
from installer.core.events import Emit, Event
from installer.operations.install import Outcome
from installer.operations.runs import begin_run, close_failed, end_run
from installer.operations.tally import Tally
from installer.operations.upgrade_hop import (
    HopContext,
    Paused,
    UpgradeOptions,
    hop_event,
    run_steps,
)
from installer.operations.upgrade_steps import SERVING, steps_of
from installer.plan.hop import Hop, Path
from installer.plan.hops import is_downgrade, path_of, reachable


@dataclass(frozen=True, slots=True)
class Way:
    """A decided upgrade or rollback: nothing was written yet.

    command: which of the two. path: no hops when the target is installed. stays: of a rollback, the
    components that cannot go back, with the reason.
    """

    command: str
    options: UpgradeOptions
    catalog: Catalog
    identity: Identity
    ledger: Ledger
    path: Path
    stays: Mapping[str, str] = field(default_factory=dict)

    @property
    def nothing_to_do(self) -> bool:
        """Whether the target is what is installed."""
        return not self.path.hops

    @property
    def hops(self) -> tuple[Hop, ...]:
        """Those that this run may go."""
        count = 1 if self.options.pause else self.options.to_hop
        return self.path.hops[:count] if count else self.path.hops


def find_way(cluster: Cluster, options: UpgradeOptions) -> Way:
    """Decide an upgrade. Raises UsageError for an unknown release, ChecksFailed where there is no
    way."""
    catalog = load(options.install.catalog)
    target = find_release(catalog, options.install.release).name
    identity = cluster.identity()
    ledger = ledgers.read(cluster)
    check_origin(catalog, ledger, target)
    check_settings(ledger, options)
    if ledger.release == target and ledger.upgrade is None:
        return Way("upgrade", options, catalog, identity, ledger, Path(target, target, ()))
    external = options.install.settings.external
    path = path_of(catalog, ledger.release, target, identity.version, external)
    if path is None:
        raise no_way(catalog, ledger.release, target)
    return Way("upgrade", options, catalog, identity, ledger, path)


def check_origin(catalog: Catalog, ledger: Ledger, target: str) -> None:
    """Raise ChecksFailed when no upgrade to the target can begin from what is recorded."""
    if not ledger.release:
        raise ChecksFailed(
            "nothing is installed here that the ledger knows of",
            kind="not-installed",
            remedy=f"`kserve-installer install {target}`, or `upgrade {target} --adopt all` where "
            "others have installed an earlier release",
        )
    if ledger.state in ("installing", "uninstalling"):
        word = ledger.state.removesuffix("ing")
        again = f"install {ledger.release}" if word == "install" else "uninstall"
        raise ChecksFailed(
            f"an {word} of {ledger.release} has not ended",
            kind=ledger.state,
            remedy=f"run `kserve-installer {again}` to its end first",
        )
    upgrade = ledger.upgrade
    if upgrade is not None and (upgrade.command, upgrade.target) != ("upgrade", target):
        obstacle = ledger.in_the_way_of(target)
        assert obstacle is not None, "an upgrade is in the way of every other"
        raise ChecksFailed(obstacle.reason, kind=obstacle.kind, remedy=obstacle.remedy)
    if ledger.release not in catalog.releases:
        raise ChecksFailed(
            f"the catalog does not know {ledger.release}, which is installed here",
            kind="unknown-release",
            remedy="use the catalog that it was installed from, or a later kserve-installer",
        )


def no_way(catalog: Catalog, origin: str, target: str) -> ChecksFailed:
    """Why there is no way from one release to another."""
    if is_downgrade(catalog, origin, target):
        return ChecksFailed(
            f"{target} is older than {origin}, which is installed: upgrades only go forward, since "
            "an earlier release does not understand what a later one has stored",
            kind="downgrade",
            object=target,
            remedy="`kserve-installer rollback` goes back to the release before, as far as that "
            "can be undone",
        )
    known = reachable(catalog, origin)
    there = (
        f"from {origin} there are ways to {', '.join(known)}"
        if known
        else (f"the catalog knows no upgrade from {origin}")
    )
    return ChecksFailed(
        f"the catalog knows no way from {origin} to {target}",
        kind="no-way",
        object=target,
        remedy=there,
    )


def check_settings(ledger: Ledger, options: UpgradeOptions) -> None:
    """Without its settings an upgrade would take back what they say."""
    if ledger.settings and not options.install.settings.digest():
        raise UsageError(
            f"{ledger.release} was installed with settings, and none are given",
            kind="settings-missing",
            remedy="give the same file, or a changed one, with -f",
        )


def execute_upgrade(
    cluster: Cluster,
    way: Way,
    emit: Emit,
    cancel: Cancel,
    refresh: Callable[[], Way],
) -> Outcome:
    """Go the way. refresh: decides again, once the lock is held when the ledger has changed since.

    Raises what stopped the work; the ledger then says how far it came."""
    started = time.monotonic()
    tally = Tally()
    if way.nothing_to_do:
        return Outcome.of("unchanged", tally, cluster, started)
    check_hop(way, way.hops[0])
    run = begin_run(way.command, way.path.target)
    with locks.held(cluster, run=run.id, command=way.command, emit=emit, cancel=cancel) as lock:
        now = ledgers.read(cluster)
        if now != way.ledger:
            way = refresh()
        if way.nothing_to_do:
            return Outcome.of("unchanged", tally, cluster, started)
        emit(Event("recorded", {"run": run.id}))
        check_hop(way, way.hops[0])
        context = HopContext(
            cluster,
            way.catalog,
            way.options,
            way.hops[0],
            lock,
            emit,
            cancel,
            replace(way.ledger, runs=(*way.ledger.runs, run)),
            tally,
            last=len(way.hops) == 1,
        )
        before = context.ledger
        _begin(context, way)
        try:
            _go(context, 1, len(way.path.hops))
            for index, hop in enumerate(way.hops[1:], 2):
                before = context.ledger
                check_hop(way, hop)
                context.hop, context.last = hop, index == len(way.hops)
                _begin(context, way)
                _go(context, index, len(way.path.hops))
        except Paused:
            pass
        except BaseException as error:
            close_failed(cluster, _as_left(context.ledger, before), run, error)
            raise
        ended = (*context.ledger.runs[:-1], end_run(run, "done"))
        context.write(replace(context.ledger, runs=ended))
    return Outcome.of("done", tally, cluster, started)


def check_hop(way: Way, hop: Hop) -> None:
    """Raise ChecksFailed when the hop cannot be gone on this Kubernetes, or not at all."""
    if hop.blocked:
        said = " and ".join(str(item) for item in hop.blocked)
        raise ChecksFailed(
            f"the hop from {hop.origin} to {hop.target} would skip {said}, and upstream supports "
            "no step of more than one minor version",
            kind="skipped-versions",
            remedy=f"the catalog needs these versions; see {hop.blocked[0].origin}",
        )
    server = way.identity.version
    if server not in hop.window:
        window = hop.kubernetes.window if hop.kubernetes else hop.window
        raise ChecksFailed(
            f"{hop.target} needs Kubernetes {hop.window}, and this cluster has {server}",
            kind="kubernetes-upgrade",
            remedy=f"upgrade Kubernetes to {window}, then run the same command again",
        )


def _begin(context: HopContext, way: Way) -> None:
    """Write the begin of a hop; one that an earlier run has begun goes on.

    A rollback in the middle of an upgrade's hop knows from that how the InferenceServices were.
    """
    hop, begun = context.hop, context.ledger.upgrade
    if begun is None or (begun.command, begun.hop) != (way.command, hop.target):
        since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        fresh = Upgrade(way.command, way.path.target, hop.origin, hop.target, since)
        if begun is not None and SERVING in begun.done:
            fresh = replace(fresh, done=(SERVING,), unwell=begun.unwell, silent=begun.silent)
        begun = fresh
    context.write(replace(context.ledger, state="upgrading", upgrade=begun))


def _as_left(ledger: Ledger, before: Ledger) -> Ledger:
    """The ledger of a run that ends early. before: as it was when the hop began.

    A hop that has not come to its first stop has changed nothing: it is as if it had not begun.
    """
    if ledger.upgrade is None or _has_come_far(ledger.upgrade):
        return ledger  # between two hops, or on the way
    if not _has_come_far(before.upgrade):
        before = replace(before, state="installed", upgrade=None)
    return replace(before, runs=ledger.runs)


def _has_come_far(upgrade: Upgrade | None) -> bool:
    return upgrade is not None and SERVING in upgrade.done


def is_whole(ledger: Ledger) -> bool:
    """Whether the release is there as it was installed, though a run to a later one may have begun
    and been killed."""
    return ledger.state in ("installed", "upgrading") and not _has_come_far(ledger.upgrade)


def _go(context: HopContext, index: int, total: int) -> None:
    """Take every step of a hop, then call its release the installed one."""
    began = time.monotonic()
    hop, steps = context.hop, steps_of(context.hop)
    context.emit(hop_event(context, steps, index, total))
    run_steps(context, steps)
    names = tuple(context.choice(hop.stops[-1]).release.components)
    settings = context.options.install.settings
    context.write(
        replace(
            context.ledger,
            release=hop.target,
            state="installed",
            settings=settings.digest(),
            external=settings.external,
            names=tuple(ref.name for ref in names if ref.name not in settings.external),
            before=hop.origin if context.upgrade.command == "upgrade" else "",
            upgrade=None,
        )
    )
    seconds = round(time.monotonic() - began, 3)
    fields = {"from": hop.origin, "to": hop.target, "seconds": seconds}
    context.emit(Event("hop_finished", fields))

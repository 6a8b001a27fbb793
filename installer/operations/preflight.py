"""`preflight`: what is to be installed, looked at from every side, with nothing written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from installer.catalog.load import load
from installer.catalog.model import Component
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster, Identity
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.checks import Finding, counts
from installer.core.errors import ChecksFailed, UsageError
from installer.core.events import Emit, Event
from installer.operations.choice import Choice
from installer.operations.live import Blind
from installer.operations.prepare import (
    PlannedComponent,
    Prepared,
    planned_of,
    to_let_go,
)
from installer.operations.runs import this_user
from installer.plan.handover import Handover
from installer.preflight.check import CATEGORIES, Check
from installer.preflight.kubernetes import unreachable
from installer.preflight.registry import CHECKS
from installer.preflight.rights_needed import Right
from installer.preflight.run import run_checks
from installer.preflight.world import LEDGER, Part, Target, World

PATIENCE = 10.0
"""Seconds for one answer, and in which a passing failure is tried again."""
TIMEOUT = 30.0
"""Seconds for all checks together."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which checks to run. skip: ids; only: categories, empty for all."""

    skip: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def checks(self) -> Sequence[Check]:
        """The checks that are meant. Raises UsageError for ids and categories that do not exist."""
        known = [check.id for check in CHECKS]
        unknown = [name for name in self.skip if name not in known]
        if unknown:
            one = len(unknown) == 1
            raise UsageError(
                f"there {'is no check' if one else 'are no checks'} "
                + " and ".join(map(repr, unknown)),
                kind="unknown-check",
                remedy=_offer(unknown, known)
                + "`kserve-installer preflight --list` shows every check",
            )
        for name in self.only:
            if name not in CATEGORIES:
                raise UsageError(
                    f"there is no category {name!r}: there are {', '.join(CATEGORIES)}",
                    kind="unknown-category",
                )
        return [check for check in CHECKS if not self.only or check.category in self.only]


def _offer(unknown: Sequence[str], known: Sequence[str]) -> str:
    near = dict.fromkeys(n for name in unknown for n in get_close_matches(name, known, n=1))
    return f"did you mean {' and '.join(near)}? " if near else ""


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of a preflight of one release on one cluster.

    identity: None when the API server did not say who it is.
    """

    context: str
    server: str
    identity: Identity | None
    release: str
    findings: Sequence[Finding]

    def having(self, verdict: str) -> list[Finding]:
        """The findings with this verdict."""
        return [finding for finding in self.findings if finding.verdict == verdict]

    @property
    def passed(self) -> bool:
        """True when nothing failed; warnings are allowed."""
        return not self.having("failed")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, by category."""
        categories = dict.fromkeys(finding.category for finding in self.findings)
        return {
            "release": self.release,
            "context": self.context,
            "server": self.server,
            "kubernetes": self.identity.git_version if self.identity else "",
            "passed": self.passed,
            "counts": counts(self.findings),
            "categories": [
                {
                    "category": name,
                    "checks": [f.to_dict() for f in self.findings if f.category == name],
                }
                for name in categories
            ],
        }


def preflight(
    cluster: Cluster, choice: Choice, selection: Selection, emit: Emit, cancel: Cancel
) -> Report:
    """Check one release on this cluster. Writes nothing.

    An API server that does not answer is a finding, and the only one: nothing else can be looked
    at. Raises what loading the release's objects raises.
    """
    checks = selection.checks()
    context, server = cluster.context, cluster.server
    try:
        identity = cluster.identity()
    except ApiError as error:
        return Report(context, server, None, choice.release.name, [unreachable(error)])
    blind: Blind = {}
    ledger = ledger_of(cluster, blind)
    planned, external = planned_of(cluster, choice, ledger, emit, cancel, blind)
    catalog = load(choice.options.catalog)
    handovers = to_let_go(ledger, planned, choice.options.adopt)
    target = target_for(replace(choice, catalog=catalog), external, planned, handovers)
    world = World(cluster, identity, ledger, target, blind)
    findings = run_bounded(cluster, world, checks, selection.skip, cancel)
    return Report(context, server, identity, choice.release.name, findings)


def ledger_of(cluster: Cluster, blind: Blind) -> Ledger:
    """The ledger; an empty one, noted in `blind`, where it may not be read."""
    try:
        return ledgers.read(cluster)
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        blind[LEDGER] = error.message
        return Ledger()


def check_first(
    cluster: Cluster,
    prepared: Prepared,
    skip: Sequence[str],
    emit: Emit,
    cancel: Cancel,
    *,
    origin: str = "",
    more: Sequence[Right] = (),
    backup: bool = True,
) -> None:
    """The same checks for an install that is decided and not begun; events tell the findings.

    origin: the release that is upgraded from; more: rights that the way from there takes; backup:
    one is made on it.
    Raises ChecksFailed with every reason when one fails, UsageError for unknown ids.
    """
    checks = Selection(tuple(skip)).checks()
    target = replace(target_of(prepared), origin=origin, more=more, backup=backup)
    world = World(cluster, prepared.identity, prepared.ledger, target)
    findings = run_bounded(cluster, world, checks, skip, cancel)
    for finding in findings:
        emit(Event("check", finding.to_dict()))
    emit(Event("checked", counts(findings)))
    refuse_failures(findings, prepared)


def target_for(
    choice: Choice,
    external: Sequence[Component],
    planned: Sequence[PlannedComponent],
    handovers: tuple[Handover, ...] = (),
) -> Target:
    """What checks look at; planned: empty where the objects are not known."""
    return Target(
        catalog=choice.catalog,
        release=choice.release,
        components=choice.components,
        external=external,
        parts=[Part(p.component, p.wanted, p.decisions, p.live) for p in planned],
        settings=choice.options.settings,
        take_ownership=choice.options.take_ownership,
        adopt=choice.options.adopt,
        flags=choice.options.flags,
        handovers=handovers,
    )


def target_of(prepared: Prepared) -> Target:
    """The same of a decided install."""
    components = [*(part.component for part in prepared.planned), *prepared.external]
    catalog = load(prepared.options.catalog)
    choice = Choice(prepared.options, catalog, prepared.release, components)
    return target_for(choice, prepared.external, prepared.planned, prepared.handovers)


def refuse_failures(findings: Sequence[Finding], prepared: Prepared) -> None:
    """Raise ChecksFailed with every reason when a check failed."""
    failures = [
        (finding, detail)
        for finding in findings
        for detail in finding.details
        if detail.verdict == "failed"
    ]
    if not failures:
        return
    lines = [f"  {finding.check}: {detail.reason}" for finding, detail in failures]
    version = prepared.identity.git_version
    remedies = dict.fromkeys(detail.remedy for _, detail in failures if detail.remedy)
    raise ChecksFailed(
        f"{prepared.release.name} cannot be installed here (Kubernetes {version}):\n"
        + "\n".join(lines),
        kind=failures[0][0].check,
        object=failures[0][1].object,
        remedy="; ".join(remedies) or "`kserve-installer preflight` shows every check",
    )


def run_bounded(
    cluster: Cluster, world: World, checks: Sequence[Check], skip: Collection[str], cancel: Cancel
) -> list[Finding]:
    """Run them on connections of their own, which end with them."""
    own = Cancel(min(TIMEOUT, cancel.left()))
    world.cluster = cluster.under(own, patience=PATIENCE)
    try:
        return run_checks(
            world,
            checks,
            skip=skip,
            asked_by=f"{this_user()} with --skip",
            timeout=min(TIMEOUT, cancel.left()),
            cancel=cancel,
        )
    finally:
        own.stop()
        world.cluster.close()

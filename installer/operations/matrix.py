"""`preflight --all-releases`: which releases of the catalog this cluster can take, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from installer.catalog.load import load
from installer.catalog.model import Catalog, Range, Release
from installer.catalog.resolve import components_of
from installer.cluster.client import Cluster, Identity
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.checks import WORST_FIRST, Detail, Finding, counts
from installer.core.errors import ChecksFailed, InstallerError, Interrupted
from installer.core.events import Emit
from installer.operations.choice import Choice, InstallOptions
from installer.operations.live import Blind
from installer.operations.preflight import Selection, ledger_of, run_bounded, target_for
from installer.operations.prepare import planned_of, to_let_go
from installer.preflight.world import Target, World

Answer = Literal["yes", "findings", "no"]


@dataclass(frozen=True, slots=True)
class Row:
    """One release on this cluster.

    blocked: why the settings do not suit it, empty when they do. unseen: why its objects were
    not looked at, empty when they were. installed: it is what is installed here.
    """

    release: Release
    findings: Sequence[Finding]
    blocked: str = ""
    unseen: str = ""
    installed: bool = False

    @property
    def answer(self) -> Answer:
        """Whether it can be installed: yes, with findings, or no."""
        verdicts = {finding.verdict for finding in self.findings}
        if self.blocked or "failed" in verdicts:
            return "no"
        return "findings" if verdicts & {"warning", "unknown"} else "yes"

    @property
    def reasons(self) -> list[tuple[Finding, Detail]]:
        """What speaks against it, worst first."""
        told = [
            (finding, detail)
            for finding in self.findings
            for detail in finding.details
            if detail.verdict in ("failed", "unknown", "warning")
        ]
        return sorted(told, key=lambda pair: WORST_FIRST.index(pair[1].verdict))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "release": self.release.name,
            "title": self.release.title,
            "range": span(self.release.kubernetes),
            "installable": self.answer,
            "installed": self.installed,
            "blocked": self.blocked,
            "objects": not self.unseen,
            "unseen": self.unseen,
            "counts": counts(self.findings),
            "findings": [f.to_dict() for f in self.findings if f.verdict not in ("ok", "note")],
        }


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every release of a catalog on one cluster, in the catalog's order."""

    identity: Identity
    rows: Sequence[Row]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "context": self.identity.context,
            "server": self.identity.server,
            "kubernetes": self.identity.git_version,
            "releases": [row.to_dict() for row in self.rows],
        }


def matrix(
    cluster: Cluster,
    options: InstallOptions,
    selection: Selection,
    emit: Emit,
    cancel: Cancel,
) -> Matrix:
    """Check every release of the catalog. Writes nothing and downloads nothing of its own accord.

    options: its release is not looked at. Objects are looked at where a mirror or bundle is given
    or the cache has the sources. Raises ApiError where the cluster cannot be asked at all.
    """
    sources = options.sources
    if sources.mirror is None and sources.bundle is None:
        sources = replace(sources, offline=True)
    catalog = load(options.catalog)
    blind: Blind = {}
    run = _Run(
        cluster,
        cluster.identity(),
        ledger_of(cluster, blind),
        catalog,
        replace(options, sources=sources),
        selection,
        emit,
        cancel,
        blind,
    )
    return Matrix(run.identity, [run.row(release) for release in catalog.releases.values()])


@dataclass(frozen=True, slots=True)
class _Run:
    """What every row of one matrix shares. blind: why the ledger could not be read, if so."""

    cluster: Cluster
    identity: Identity
    ledger: Ledger
    catalog: Catalog
    options: InstallOptions
    selection: Selection
    emit: Emit
    cancel: Cancel
    blind: Blind

    def row(self, release: Release) -> Row:
        """Judge one release."""
        self.cancel.check(f"judging {release.name}")
        options = replace(self.options, release=release.name)
        choice = Choice(options, self.catalog, release, components_of(self.catalog, release))
        blind = dict(self.blind)
        target, unseen = self._target(choice, blind)
        checks = [c for c in self.selection.checks() if not (c.objects and unseen)]
        world = World(self.cluster, self.identity, self.ledger, target, blind)
        findings = run_bounded(self.cluster, world, checks, self.selection.skip, self.cancel)
        installed = self.ledger.release == release.name
        return Row(release, findings, _blocked(choice), unseen, installed)

    def _target(self, choice: Choice, blind: Blind) -> tuple[Target, str]:
        """What is to be installed, and why without its objects, where that is so.

        blind: notes what could not be seen.
        """
        options = choice.options
        outside = [c for c in choice.components if c.name in options.settings.external]
        target = target_for(choice, outside, ())
        try:
            planned, external = planned_of(
                self.cluster, choice, self.ledger, self.emit, self.cancel, blind
            )
        except (ApiError, Interrupted):
            raise
        except InstallerError as error:
            if options.sources.offline and isinstance(error, ChecksFailed):
                return target, _NO_SOURCES
            return target, error.message
        handovers = to_let_go(self.ledger, planned, options.adopt)
        return target_for(choice, external, planned, handovers), ""


_NO_SOURCES = "its sources are neither in the cache nor given with --mirror or --bundle"


def _blocked(choice: Choice) -> str:
    try:
        choice.options.settings.check_components([c.name for c in choice.components])
    except InstallerError as error:
        return error.message
    return ""


def span(versions: Range) -> str:
    """`1.16..1.21`; `-` where no bound is known."""
    low = versions.min.version if versions.min else "-"
    high = versions.max.version if versions.max else "-"
    return f"{low}..{high}"

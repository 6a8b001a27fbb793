"""Looks at a real API server through checks, with real manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from every_check import PROPERTY

from installer.catalog.sources import SourceOptions
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.checks import Finding
from installer.core.events import silent
from installer.operations import preflight as operation
from installer.operations.choice import InstallOptions, choose
from installer.operations.preflight import Selection, preflight
from installer.plan.settings import Settings
from installer.preflight.run import run_checks
from installer.sandbox.lifecycle import SandboxInfo

RELEASE = "kfserving-0.5.1"

Look = Callable[..., Mapping[str, Finding]]
"""`look(sandbox, release=…, settings=…, only=(category, …))` gives the findings by id."""


@pytest.fixture(scope="session")
def seen_findings() -> Iterator[list[Finding]]:
    """Every finding of `look` and of the matrix, noted beside; they are not changed."""
    noted: list[Finding] = []

    def noting(*args: Any, **options: Any) -> Sequence[Finding]:
        findings = run_checks(*args, **options)
        noted.extend(findings)
        return findings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operation, "run_checks", noting)
        yield noted


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest, seen_findings: list[Finding]) -> Iterator[None]:
    """Says in a test's report what it has seen; see `every_check`."""
    yield
    seen = {f"{finding.check} {finding.verdict}" for finding in seen_findings}
    request.node.user_properties.extend((PROPERTY, each) for each in sorted(seen))
    seen_findings.clear()


@pytest.fixture(scope="session")
def look(shared: Path, seen_findings: list[Finding]) -> Look:
    """Runs checks against a sandbox, as `kserve-installer preflight` does."""

    def run(
        sandbox: SandboxInfo,
        *,
        release: str = RELEASE,
        settings: Settings | None = None,
        only: tuple[str, ...] = (),
        adopt: tuple[str, ...] = (),
        kubeconfig: Path | None = None,
    ) -> Mapping[str, Finding]:
        sources = SourceOptions(mirror=str(shared / "upstream"))
        options = InstallOptions(
            release, settings=settings or Settings(), sources=sources, adopt=adopt
        )
        cluster = Cluster.connect(kubeconfig=str(kubeconfig or sandbox.kubeconfig))
        report = preflight(cluster, choose(options), Selection(only=only), silent, Cancel())
        cluster.close()
        seen_findings.extend(report.findings)
        return {finding.check: finding for finding in report.findings}

    return run

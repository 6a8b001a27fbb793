"""Looks at a real API server through checks, with real manifests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from installer.catalog.sources import SourceOptions
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.checks import Finding
from installer.core.events import silent
from installer.operations.preflight import Selection, preflight
from installer.operations.prepare import InstallOptions, choose
from installer.plan.settings import Settings
from installer.sandbox.lifecycle import SandboxInfo

RELEASE = "kfserving-0.5.1"

Look = Callable[..., Mapping[str, Finding]]
"""`look(sandbox, release=…, settings=…, only=(category, …))` gives the findings by id."""


@pytest.fixture(scope="session")
def look(shared: Path) -> Look:
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
        return {finding.check: finding for finding in report.findings}

    return run

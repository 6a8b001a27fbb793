"""The compatibility matrix of one cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer.catalog.load import load
from installer.catalog.places import mirror_path
from installer.catalog.sources import SourceOptions
from installer.cli.matrix_view import lines
from installer.cli.terminal import Terminal
from installer.cluster.client import Cluster, Identity
from installer.core.cancel import Cancel
from installer.core.events import silent
from installer.operations.choice import InstallOptions
from installer.operations.matrix import Matrix, matrix
from installer.operations.preflight import Selection
from installer.preflight.registry import CHECKS
from installer.sandbox.lifecycle import SandboxInfo

PLAIN = Terminal()


def looked_at(
    sandbox: SandboxInfo, sources: SourceOptions, only: tuple[str, ...] = ()
) -> tuple[Matrix, int]:
    """The matrix and how many writes it took."""
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    options = InstallOptions("", sources=sources)
    found = matrix(cluster, options, Selection(only=only), silent, Cancel())
    writes = cluster.writes
    cluster.close()
    return found, writes


@pytest.mark.cluster
def test_every_release_is_judged_by_the_catalog_where_its_sources_are_not_at_hand(
    sandbox: SandboxInfo, tmp_path: Path
) -> None:
    found, writes = looked_at(sandbox, SourceOptions(cache_dir=tmp_path / "empty"))
    rows = {row.release.name: row for row in found.rows}
    assert writes == 0
    assert all(row.unseen for row in found.rows)
    assert {f.check for row in found.rows for f in row.findings} == {
        check.id for check in CHECKS if not check.objects
    }
    assert rows["kfserving-0.5.1"].answer != "no"
    assert rows["kserve-0.20.0"].answer == "no"
    reasons = [detail.reason for _, detail in rows["kserve-0.20.0"].reasons]
    assert "Knative Serving 1.21.1 refuses to start below 1.33" in reasons[0]


def not_in_mirror(shared: Path) -> set[str]:
    catalog = load()
    return {
        release.name
        for release in catalog.releases.values()
        for ref in release.components
        for source in catalog.components[(ref.name, ref.version)].applied
        if not (shared / "upstream" / (source.rendered or mirror_path(source.url))).exists()
    }


@pytest.mark.cluster
def test_objects_are_looked_at_with_a_mirror(sandbox: SandboxInfo, shared: Path) -> None:
    sources = SourceOptions(mirror=str(shared / "upstream"))
    found, writes = looked_at(sandbox, sources, only=("apis",))
    rows = {row.release.name: row for row in found.rows}
    assert writes == 0
    assert {name for name, row in rows.items() if row.unseen} == not_in_mirror(shared)
    assert rows["kfserving-0.5.1"].answer == "yes"
    shown = "\n".join(lines(found, PLAIN, verbose=False))
    assert "policy/v1 is not served" in shown
    assert "releases can be installed here" in shown
    assert rows["kserve-0.11.2"].to_dict()["installable"] == "no"


def test_an_empty_matrix_is_shown() -> None:
    from installer.core.kubernetes_version import KubernetesVersion

    identity = Identity("here", "https://example.com", KubernetesVersion(1, 20), "v1.20.0", 0)
    assert "0 of 0 releases can be installed here" in "\n".join(
        lines(Matrix(identity, []), PLAIN, verbose=True)
    )

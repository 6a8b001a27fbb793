"""What each hop of a way makes, changes and removes, counted from real manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer.catalog.load import load
from installer.catalog.sources import SourceOptions
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.operations.choice import InstallOptions
from installer.operations.hop_objects import HopObjects, Uncounted, count_objects
from installer.plan.hops import path_of
from installer.plan.settings import DeploymentSettings, Settings
from installer.sandbox.lifecycle import SandboxInfo

pytestmark = pytest.mark.cluster

TARGET = "kserve-0.7.0"


def counted(
    sandbox: SandboxInfo, sources: SourceOptions, settings: Settings | None = None
) -> list[HopObjects | Uncounted]:
    cluster, catalog = Cluster.connect(kubeconfig=str(sandbox.kubeconfig)), load()
    path = path_of(catalog, "kfserving-0.5.1", TARGET, cluster.identity().version)
    assert path is not None
    options = InstallOptions(TARGET, settings or Settings(), sources)
    return count_objects(cluster, catalog, options, path.hops, Cancel(60), fetch=False)


def test_a_hop_whose_manifests_are_nowhere_is_not_counted_and_may_be_fetched(
    sandbox: SandboxInfo, tmp_path: Path
) -> None:
    for sources, fetchable in (
        (SourceOptions(cache_dir=tmp_path), True),
        (SourceOptions(cache_dir=tmp_path, mirror="https://mirror.invalid/"), True),
        (SourceOptions(cache_dir=tmp_path, mirror=str(tmp_path)), False),
    ):
        for found in counted(sandbox, sources):
            assert isinstance(found, Uncounted)
            assert "are not at hand" in found.why
            assert found.fetchable == fetchable


def test_a_hop_that_settings_do_not_fit_is_told_and_the_others_are_counted(
    sandbox: SandboxInfo, shared: Path
) -> None:
    sources = SourceOptions(mirror=str(shared / "upstream"))
    plain = counted(sandbox, sources)
    assert [type(found) for found in plain] == [HopObjects, HopObjects]
    name = "kserve/kserve-controller-manager"
    other = counted(sandbox, sources, Settings(deployments={name: DeploymentSettings(replicas=2)}))
    assert [type(found) for found in other] == [Uncounted, Uncounted]
    for found, release in zip(other, ("kfserving-0.5.1", "kfserving-0.6.1"), strict=True):
        assert isinstance(found, Uncounted)
        assert f"the settings do not fit {release}: " in found.why
        assert f"no component has Deployment or StatefulSet {name}" in found.why
        assert not found.fetchable

"""Every release whose manifests are at hand, on an API server; `make test-catalog` runs it.

`make test` runs the few of `test_releases`, which differ most from each other.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import MakePlace
from test_releases import converges_then_writes_nothing_then_leaves_nothing

from installer.catalog.load import load
from installer.catalog.model import Catalog, Release
from installer.catalog.resolve import fits
from installer.core.kubernetes_version import KubernetesVersion

pytestmark = [pytest.mark.cluster, pytest.mark.catalog]

SHARED = Path(__file__).resolve().parents[3] / "shared"
KUBERNETES = ("1.20.2", "1.25.3", "1.34.4")
CATALOG = load()


def at_hand(catalog: Catalog, release: Release, mirror: Path) -> bool:
    """Whether everything that an install of it needs is in the mirror."""
    sources = [
        source
        for ref in release.components
        for source in catalog.components[(ref.name, ref.version)].applied
    ]
    return all(
        (mirror / (source.rendered or source.url.removeprefix("https://"))).exists()
        for source in sources
    )


def kubernetes_for(release: Release) -> str:
    """The first of the versions we have that suits it."""
    return next(
        version
        for version in KUBERNETES
        if not fits(CATALOG, release, KubernetesVersion.parse(version))
    )


RUNS = [
    (release.name, kubernetes_for(release))
    for release in CATALOG.releases.values()
    if at_hand(CATALOG, release, SHARED / "upstream")
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("release", "kubernetes"), RUNS)
def test_a_release_converges_then_writes_nothing_then_leaves_nothing(
    place: MakePlace, release: str, kubernetes: str
) -> None:
    converges_then_writes_nothing_then_leaves_nothing(place, release, kubernetes)


def test_runs_cover_each_minor_version_of_kubernetes_that_is_simulated() -> None:
    assert {kubernetes for _, kubernetes in RUNS} == set(KUBERNETES)
    assert len(RUNS) >= 12

"""Upgrades that cannot be: why, and what to do instead. Decided without a cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from installer.catalog.load import load
from installer.cluster.client import Identity
from installer.cluster.ledger import Ledger, Upgrade
from installer.core.errors import ChecksFailed, InstallerError
from installer.core.kubernetes_version import KubernetesVersion
from installer.operations.choice import InstallOptions
from installer.operations.upgrade import Way, check_hop, check_origin, check_settings, no_way
from installer.operations.upgrade_hop import UpgradeOptions
from installer.plan.hop import Path, Skipped
from installer.plan.hops import path_of

CATALOG = load()
OPTIONS = UpgradeOptions(InstallOptions("kserve-0.9.0"))


def way(kubernetes: str, origin: str, target: str) -> Way:
    version = KubernetesVersion.parse(kubernetes)
    path = path_of(CATALOG, origin, target, version)
    assert path is not None
    identity = Identity("here", "https://127.0.0.1", version, kubernetes, 1)
    ledger = Ledger(release=origin, state="installed")
    return Way("upgrade", OPTIONS, CATALOG, identity, ledger, path)


def test_a_kubernetes_that_is_too_old_for_a_hop_is_to_be_upgraded_first() -> None:
    found = way("v1.21.5", "kserve-0.8.0", "kserve-0.11.2")
    with pytest.raises(ChecksFailed) as caught:
        check_hop(found, found.hops[0])
    error = caught.value
    assert error.kind == "kubernetes-upgrade"
    assert (
        error.message
        == "kserve-0.9.0 needs Kubernetes >= 1.22, < 1.25, and this cluster has 1.21.5"
    )
    wanted = "upgrade Kubernetes to >= 1.22, < 1.23, then run the same command again"
    assert error.remedy == wanted
    check_hop(way("v1.22.10", "kserve-0.8.0", "kserve-0.9.0"), found.hops[0])


def test_a_hop_for_which_the_catalog_lacks_versions_is_not_run() -> None:
    found = way("v1.20.2", "kfserving-0.5.1", "kfserving-0.6.1")
    missing = Skipped("knative-serving", ("0.19", "0.20"), True, "https://knative.dev/docs")
    (hop,) = found.hops
    with pytest.raises(ChecksFailed) as caught:
        check_hop(found, replace(hop, skipped=(missing,)))
    assert caught.value.kind == "skipped-versions"
    assert "would skip knative-serving 0.19, 0.20" in caught.value.message
    check_hop(found, replace(hop, skipped=(replace(missing, hard=False),)))


@pytest.mark.parametrize(
    ("origin", "target", "kind", "message", "remedy"),
    [
        (
            "kserve-0.16.0",
            "kserve-0.11.2",
            "downgrade",
            "kserve-0.11.2 is older than kserve-0.16.0",
            "rollback",
        ),
        ("kserve-0.7.0", "kfserving-0.6.1", "downgrade", "upgrades only go forward", "rollback"),
    ],
)
def test_an_earlier_release_is_refused_with_the_reason_and_the_way_back(
    origin: str, target: str, kind: str, message: str, remedy: str
) -> None:
    error = no_way(CATALOG, origin, target)
    assert error.kind == kind
    assert message in error.message
    assert remedy in error.remedy


def test_a_release_that_nothing_leads_to_is_refused_with_those_that_something_leads_to() -> None:
    last = "kserve-0.20.0"
    alone = replace(
        CATALOG,
        releases={n: replace(r, reachable_from=()) for n, r in CATALOG.releases.items()},
    )
    error = no_way(alone, "kserve-0.16.0", last)
    assert (error.kind, error.remedy) == (
        "no-way",
        "the catalog knows no upgrade from kserve-0.16.0",
    )


def under_way(target: str) -> Ledger:
    begun = Upgrade("upgrade", target, "kserve-0.7.0", "kserve-0.8.0", "2026-01-01T00:00:00Z")
    return Ledger(release="kserve-0.7.0", state="upgrading", upgrade=begun)


@pytest.mark.parametrize(
    ("ledger", "kind", "remedy"),
    [
        (Ledger(), "not-installed", "upgrade kserve-0.9.0 --adopt all"),
        (Ledger(release="kserve-0.7.0", state="installing"), "installing", "install kserve-0.7.0"),
        (Ledger(release="kserve-0.7.0", state="uninstalling"), "uninstalling", "uninstall"),
        (
            Ledger(release="kserve-9.9", state="installed"),
            "unknown-release",
            "a later kserve-installer",
        ),
        (under_way("kserve-0.8.0"), "upgrading", "upgrade kserve-0.8.0"),
    ],
    ids=["nothing", "half an install", "half an uninstall", "unknown", "another upgrade"],
)
def test_what_an_upgrade_cannot_begin_from_is_told_with_what_to_do(
    ledger: Ledger, kind: str, remedy: str
) -> None:
    with pytest.raises(ChecksFailed) as caught:
        check_origin(CATALOG, ledger, "kserve-0.9.0")
    assert caught.value.kind == kind
    assert remedy in caught.value.remedy


def test_the_same_upgrade_goes_on() -> None:
    check_origin(CATALOG, under_way("kserve-0.9.0"), "kserve-0.9.0")


def test_an_upgrade_without_the_settings_of_the_install_is_refused() -> None:
    with pytest.raises(InstallerError) as caught:
        check_settings(Ledger(release="kserve-0.7.0", settings="abc"), OPTIONS)
    assert caught.value.kind == "settings-missing"
    check_settings(Ledger(release="kserve-0.7.0"), OPTIONS)


def test_how_many_hops_are_gone_is_what_was_asked_for() -> None:
    whole = way("v1.20.2", "kfserving-0.5.1", "kserve-0.8.0")
    assert len(whole.hops) == len(whole.path.hops) == 3
    for asked, count in ((replace(OPTIONS, to_hop=2), 2), (replace(OPTIONS, pause=True), 1)):
        assert len(replace(whole, options=asked).hops) == count
    nothing = replace(whole, path=Path("kserve-0.8.0", "kserve-0.8.0", ()))
    assert nothing.nothing_to_do

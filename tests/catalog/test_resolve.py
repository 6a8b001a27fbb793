"""Which release is meant, in what order its components come, and on which Kubernetes it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_catalog import GATEWAY, RELEASE, SmallCatalog

from installer.catalog.load import load
from installer.catalog.model import Catalog, Release
from installer.catalog.resolve import components_of, find_release, fits, nearest_fit, warnings
from installer.core.errors import UsageError
from installer.core.kubernetes_version import KubernetesVersion


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load()


def on(text: str) -> KubernetesVersion:
    return KubernetesVersion.parse(text)


def reasons(catalog: Catalog, name: str, server: str) -> list[str]:
    return [str(reason) for reason in fits(catalog, catalog.releases[name], on(server))]


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("kfserving-0.5.2", "kfserving-0.5.1"),
        ("0.5.1", "kfserving-0.5.1"),
        ("KServe-0.11.2", "kserve-0.11.2"),
        ("kfserving-0.6", "kfserving-0.6.0 or kfserving-0.6.1?"),
        ("kserve", "kserve-0.19.0 or kserve-0.18.1 or kserve-0.20.0?"),
        ("zzz", "known: kfserving-0.5.0-rc0, kfserving-0.5.0, kfserving-0.5.1"),
    ],
)
def test_an_unknown_release_gets_the_nearest_names(
    shipped: Catalog, name: str, offered: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find_release(shipped, name)
    assert caught.value.message == f"no release {name!r}"
    assert offered in caught.value.remedy
    assert caught.value.exit_code == 2


def test_a_known_release_is_found(shipped: Catalog) -> None:
    assert find_release(shipped, "kfserving-0.5.1").title == "KFServing 0.5.1"


def test_components_come_after_those_they_need(shipped: Catalog) -> None:
    for release in shipped.releases.values():
        done: set[str] = set()
        for component in components_of(shipped, release):
            assert done.issuperset(component.needs)
            done.add(component.name)
        assert done == {ref.name for ref in release.components}


def test_the_reference_release_has_the_versions_of_its_quick_install(shipped: Catalog) -> None:
    release = shipped.releases["kfserving-0.5.1"]
    assert [(c.name, c.version) for c in components_of(shipped, release)] == [
        ("istio", "1.6.2"),
        ("knative-serving", "0.18.0"),
        ("net-istio", "0.18.0"),
        ("cert-manager", "0.15.1"),
        ("kfserving", "0.5.1"),
    ]


def test_below_the_minimum_the_component_that_binds_is_named(shipped: Catalog) -> None:
    assert reasons(shipped, "kfserving-0.5.1", "1.15.12") == [
        "Knative Serving 0.18.0 refuses to start below 1.16 (likewise net-istio 0.18.0)"
    ]
    assert reasons(shipped, "kserve-0.20.0", "1.32.9") == [
        "Knative Serving 1.21.1 refuses to start below 1.33"
    ]


def test_above_the_maximum_the_component_that_binds_is_named(shipped: Catalog) -> None:
    assert reasons(shipped, "kfserving-0.5.1", "1.22.0") == [
        "Istio 1.6.2 uses admissionregistration.k8s.io/v1beta1 and apiextensions.k8s.io/v1beta1, "
        "gone in 1.22 (likewise cert-manager 0.15.1, KFServing 0.5.1)"
    ]


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("kfserving-0.5.0-rc0", "v1.15.1"),
        ("kfserving-0.5.1", "v1.16.0"),
        ("kfserving-0.5.1", "v1.20.2"),
        ("kfserving-0.5.1", "v1.21.14-gke.300"),
        ("kfserving-0.6.1", "v1.20.2"),
        ("kserve-0.11.2", "v1.25.3"),
        ("kserve-0.20.0", "v1.34.4"),
    ],
)
def test_inside_the_range_there_is_no_reason(shipped: Catalog, name: str, server: str) -> None:
    assert reasons(shipped, name, server) == []


def test_patches_below_a_minimum_with_a_patch_do_not_fit(shipped: Catalog) -> None:
    assert reasons(shipped, "kfserving-0.5.0-rc0", "1.15.0") == [
        "Knative Serving 0.15.0 refuses to start below 1.15.1"
    ]


@pytest.mark.parametrize(
    ("name", "server", "other"),
    [
        ("kfserving-0.5.1", "1.25.3", "kserve-0.11.0"),
        ("kfserving-0.5.1", "1.34.4", "kserve-0.17.0"),
        ("kserve-0.20.0", "1.20.2", "kserve-0.8.0"),
        ("kserve-0.20.0", "1.26.0", "kserve-0.12.1"),
        ("kfserving-0.5.1", "1.31.0", "kserve-0.15.0"),
        ("kserve-0.20.0", "1.14.0", None),
    ],
)
def test_the_nearest_release_that_fits_is_offered(
    shipped: Catalog, name: str, server: str, other: str | None
) -> None:
    nearest = nearest_fit(shipped, shipped.releases[name], on(server))
    assert (nearest.name if nearest else None) == other


def test_what_upstream_only_warns_of_is_a_warning_and_no_reason(tmp_path: Path) -> None:
    small = SmallCatalog(tmp_path)
    small.files[GATEWAY]["kubernetes"]["min"] = {
        "version": "1.19",
        "reason": "warns below 1.19",
        "hard": False,
    }
    catalog = load(small.write())
    release: Release = catalog.releases["stack-1"]
    assert fits(catalog, release, on("1.18.0")) == []
    assert [str(r) for r in warnings(catalog, release, on("1.18.0"))] == [
        "Gateway 1.2.0 warns below 1.19"
    ]


@pytest.mark.parametrize(
    ("name", "server", "expected"),
    [
        ("kserve-0.15.2", "1.30.7", []),
        ("kserve-0.15.2", "1.31.0", []),
        ("kserve-0.15.2", "1.32.0", ["Istio 1.24.2 is not supported by its project above 1.31"]),
        (
            "kserve-0.20.0",
            "1.35.0",
            [
                "cert-manager 1.18.0 is not supported by its project above 1.33",
                "Istio 1.27.1 is not supported by its project above 1.33",
            ],
        ),
        ("kserve-0.20.0", "1.34.4", []),
    ],
)
def test_a_kubernetes_that_a_project_does_not_support_is_warned_of_unless_the_release_ran_on_it(
    shipped: Catalog, name: str, server: str, expected: list[str]
) -> None:
    release = shipped.releases[name]
    assert [str(r) for r in warnings(shipped, release, on(server))] == expected
    assert fits(shipped, release, on(server)) == []


def test_an_external_component_binds_nothing(shipped: Catalog) -> None:
    old = shipped.releases["kserve-0.20.0"]
    assert reasons(shipped, "kserve-0.20.0", "1.32.0") == [
        "Knative Serving 1.21.1 refuses to start below 1.33"
    ]
    assert fits(shipped, old, on("1.32.0"), ["knative-serving", "net-istio"]) == []
    assert warnings(shipped, old, on("1.35.0"), ["cert-manager", "istio"]) == []


def test_a_release_narrower_than_its_components_gives_its_own_reason(tmp_path: Path) -> None:
    small = SmallCatalog(tmp_path)
    small.files[RELEASE]["kubernetes"]["max"] = {
        "version": "1.20",
        "reason": "was never tried past 1.20",
    }
    catalog = load(small.write())
    assert [str(r) for r in fits(catalog, catalog.releases["stack-1"], on("1.21.0"))] == [
        "Stack 1 was never tried past 1.20"
    ]


def test_a_bound_of_the_release_of_which_upstream_only_warns_is_no_reason(shipped: Catalog) -> None:
    release = shipped.releases["kserve-0.12.1"]
    assert release.kubernetes.min is not None
    assert (release.kubernetes.min.version, release.kubernetes.min.hard) == ("1.25", False)
    assert reasons(shipped, "kserve-0.12.1", "1.24.0") == []
    assert [str(r) for r in warnings(shipped, release, on("1.24.0"))] == [
        "Istio 1.19.6 warns below 1.25"
    ]

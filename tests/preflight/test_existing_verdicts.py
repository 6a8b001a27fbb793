"""What an existing installation means: pure decisions, in tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from installer.catalog.foreign import Project, load_foreign
from installer.catalog.load import load
from installer.core.checks import Detail
from installer.core.objects import Ref
from installer.preflight.existing_halves import halves
from installer.preflight.existing_inventory import (
    Definition,
    Installation,
    Inventory,
    Workload,
)
from installer.preflight.existing_owner import OURS, UNKNOWN, Owner
from installer.preflight.existing_verdicts import (
    adoption_refused,
    duplicates,
    external,
    foreign,
    side_by_side,
    torn_definitions,
)

CATALOG = load()
FOREIGN = load_foreign()
KUBECTL = Owner("kubectl", "kubectl", True, remove="kubectl delete -f it")
HELM = Owner("helm", "Helm release a/b", False, "Helm would put it back", "helm uninstall b -n a")
CERT_MANAGER = CATALOG.components[("cert-manager", "0.15.1")]


def project(name: str) -> Project:
    return next(project for project in FOREIGN.projects if project.name == name)


def installed(
    name: str = "cert-manager",
    *versions: str,
    owner: Owner = KUBECTL,
    namespace: str = "",
    unready: str = "",
    revision: str = "",
) -> Installation:
    place = namespace or name
    ref = Ref("apps/v1", "Deployment", place, name)
    images = project(name).images
    workload = Workload(ref, versions or ("0.15.1",), owner, unready, revision, images)
    return Installation(project(name), place, (workload,))


@pytest.mark.parametrize(
    ("found", "refusal"),
    [
        (installed(), ""),
        (installed("cert-manager", "0.15.0"), ""),
        (installed(owner=UNKNOWN), ""),
        (installed("cert-manager", "0.15.2"), "0.15.2 is newer than 0.15.1"),
        (installed("cert-manager", "0.14.9"), "0.14.9 to 0.15.1 is more than an adoption"),
        (installed("cert-manager", "1.15.1"), "1.15.1 is newer than 0.15.1"),
        (installed("cert-manager", "nightly"), "its version nightly cannot be compared"),
        (installed("cert-manager", "0.15.0", "0.15.1"), "it has more than one version"),
        (installed(owner=HELM), "it belongs to Helm release a/b, and Helm would put it back"),
        (installed(namespace="infra"), "the release installs into namespace cert-manager"),
    ],
)
def test_only_what_nobody_puts_back_and_is_no_newer_may_be_adopted(
    found: Installation, refusal: str
) -> None:
    assert adoption_refused(CERT_MANAGER, found).startswith(refusal)
    assert bool(adoption_refused(CERT_MANAGER, found)) is bool(refusal)


def test_an_installation_without_a_version_may_not_be_adopted() -> None:
    found = installed()
    unknown = replace(found, workloads=(replace(found.workloads[0], versions=()),))
    assert adoption_refused(CERT_MANAGER, unknown) == "its version is unknown"


def test_what_others_installed_stops_with_three_ways_out() -> None:
    detail = foreign(CERT_MANAGER, installed(), ())
    assert detail.verdict == "failed"
    assert detail.reason == (
        "cert-manager 0.15.1 is in namespace cert-manager already, from kubectl, healthy"
    )
    assert "`external: [cert-manager]`" in detail.remedy
    assert "--adopt cert-manager" in detail.remedy
    assert "kubectl delete -f it" in detail.remedy
    assert detail.data["settings"].endswith("external: [cert-manager]\n")


def test_what_is_not_ready_is_told_so_and_not_offered_for_use_as_it_is() -> None:
    detail = foreign(CERT_MANAGER, installed(unready="progressing: 0 of 1 pods are available"), ())
    assert detail.verdict == "failed"
    assert "not healthy: Deployment cert-manager/cert-manager is progressing" in detail.reason
    assert "external" not in detail.remedy
    assert "settings" not in detail.data
    assert detail.remedy.startswith("adopt it with --adopt cert-manager; or remove it first: ")


def test_adoption_is_offered_only_where_it_is_possible() -> None:
    remedy = foreign(CERT_MANAGER, installed(owner=HELM), ()).remedy
    assert "not --adopt, because it belongs to Helm release a/b" in remedy
    assert "helm uninstall b -n a" in remedy


@pytest.mark.parametrize(("owner", "verdict"), [(KUBECTL, "note"), (HELM, "failed")])
def test_asked_to_adopt_it_says_what_comes_of_it(owner: Owner, verdict: str) -> None:
    detail = foreign(CERT_MANAGER, installed(owner=owner), ("cert-manager",))
    assert detail.verdict == verdict
    if verdict == "failed":
        assert "cannot be adopted" in detail.reason


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], [("failed", "is declared external, but no cert-manager runs here")]),
        ([installed()], [("note", "cert-manager 0.15.1 from kubectl is used as it is")]),
        (
            [installed(unready="progressing: 0 of 1 pods are available")],
            [("failed", "is not"), ("note", "")],
        ),
        ([installed("cert-manager", "1.3.1")], [("warning", "runs 1.3.1; the release was tested")]),
        ([installed("cert-manager", "0.9.0")], [("warning", "no release of this catalog with")]),
    ],
)
def test_an_external_component_is_looked_at(
    found: list[Installation], expected: list[tuple[str, str]]
) -> None:
    details = list(external(CERT_MANAGER, "cert-manager", found, CATALOG))
    assert [detail.verdict for detail in details] == [verdict for verdict, _ in expected]
    for detail, (_, words) in zip(details, expected, strict=True):
        assert words.replace("is not", "not healthy") in detail.reason


@pytest.mark.parametrize(
    ("version", "images", "verdict"),
    [
        ("0.15.1", ("jetstack/cert-manager-controller", "jetstack/cert-manager-webhook"), "failed"),
        (
            "0.15.0",
            ("jetstack/cert-manager-controller", "jetstack/cert-manager-webhook"),
            "warning",
        ),
        ("0.15.1", (), ""),  # known by labels: its images were renamed
    ],
)
def test_an_external_component_that_lacks_a_controller_is_told(
    version: str, images: tuple[str, ...], verdict: str
) -> None:
    found = installed("cert-manager", version)
    found = replace(found, workloads=(replace(found.workloads[0], images=images),))
    details = external(CERT_MANAGER, "cert-manager", [found], CATALOG)
    told = [d.verdict for d in details if "runs its jetstack/cert-manager-cainjector" in d.reason]
    assert told == ([verdict] if verdict else [])


@pytest.mark.parametrize(
    ("installations", "verdict"),
    [
        ([installed()], ""),
        ([installed(), installed(namespace="infra")], "failed"),
        ([installed(owner=OURS), installed(namespace="infra")], "failed"),
        (
            [
                installed("istio", "1.9.1", namespace="a", revision="default"),
                installed("istio", "1.10.0", namespace="b", revision="canary"),
            ],
            "warning",
        ),
        (
            [
                installed("istio", "1.9.1", namespace="a", revision="default"),
                installed("istio", "1.10.0", namespace="b", revision="default"),
            ],
            "failed",
        ),
    ],
)
def test_two_of_one_kind_fight_unless_they_are_revisions(
    installations: list[Installation], verdict: str
) -> None:
    details = list(duplicates(Inventory(tuple(installations))))
    assert [detail.verdict for detail in details] == ([verdict] if verdict else [])


@pytest.mark.parametrize(
    ("here", "release", "told"),
    [
        ("kfserving", ["istio", "kserve"], True),
        ("kserve", ["istio", "kfserving"], True),
        ("kserve", ["istio", "kserve"], False),
        ("cert-manager", ["kserve"], False),
    ],
)
def test_kfserving_and_kserve_side_by_side_are_told(
    here: str, release: list[str], told: bool
) -> None:
    details = list(side_by_side(Inventory((installed(here),)), release))
    assert [detail.verdict for detail in details] == (["warning"] if told else [])


@pytest.mark.parametrize(
    ("crds", "controllers", "told"),
    [(HELM, KUBECTL, True), (HELM, HELM, False), (KUBECTL, HELM, False), (OURS, HELM, False)],
)
def test_crds_of_another_owner_than_their_controllers_are_told(
    crds: Owner, controllers: Owner, told: bool
) -> None:
    definition = Definition("certificates.cert-manager.io", crds)
    stock = Inventory((installed(owner=controllers),), (definition,))
    assert bool(list(torn_definitions(stock))) is told


def _halves(
    stock: Inventory,
    *,
    recorded: tuple[str, ...] = (),
    wanted: tuple[str, ...] = ("cert-manager", "knative-serving"),
    external: tuple[str, ...] = (),
    adopt: tuple[str, ...] = (),
) -> list[Detail]:
    found = halves(stock, FOREIGN, recorded=recorded, wanted=wanted, external=external, adopt=adopt)
    return list(found)


CRDS = (Definition("certificates.cert-manager.io", KUBECTL),)
HELM_CRDS = (Definition("certificates.cert-manager.io", HELM),)


@pytest.mark.parametrize(
    ("stock", "options", "verdicts"),
    [
        (Inventory(definitions=CRDS), {}, ["warning"]),
        (Inventory(definitions=CRDS), {"wanted": ("istio",)}, ["warning"]),
        (Inventory(definitions=CRDS), {"recorded": ("cert-manager",)}, []),
        (Inventory(definitions=CRDS), {"external": ("cert-manager",)}, []),
        (Inventory(definitions=HELM_CRDS), {}, ["failed"]),
        (Inventory(definitions=HELM_CRDS), {"wanted": ("istio",)}, ["warning"]),
        (Inventory(definitions=HELM_CRDS), {"adopt": ("cert-manager",)}, ["note"]),
        (Inventory((installed(),), CRDS), {}, []),
        (Inventory((installed(),)), {}, ["warning"]),
        (Inventory((installed(),)), {"external": ("cert-manager",)}, ["failed"]),
        (Inventory((installed(owner=OURS),)), {"recorded": ("cert-manager",)}, ["warning"]),
        (Inventory(operators=("knative-serving",)), {}, ["failed"]),
        (Inventory(operators=("knative-serving",)), {"wanted": ("istio",)}, ["warning"]),
    ],
)
def test_halves_are_recognised(
    stock: Inventory, options: dict[str, tuple[str, ...]], verdicts: list[str]
) -> None:
    assert [detail.verdict for detail in _halves(stock, **options)] == verdicts


def test_every_component_of_the_catalog_can_be_recognised() -> None:
    names = {component.name for component in CATALOG.components.values()}
    assert [name for name in sorted(names) if FOREIGN.of_component(name) is None] == []

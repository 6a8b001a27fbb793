"""The way from one release to another, on catalogs made for the case and on the packaged one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from installer.catalog.load import load
from installer.catalog.model import (
    Bound,
    Catalog,
    Component,
    ComponentRef,
    Counts,
    Range,
    Release,
    ServingApi,
)
from installer.catalog.versions import order
from installer.core.kubernetes_version import KubernetesVersion
from installer.operations.upgrade_steps import steps_of
from installer.plan.hop import Hop
from installer.plan.hop_notes import notes_of
from installer.plan.hops import is_downgrade, path_of, reachable
from installer.plan.skip_rules import between, newest_of, rule_of
from installer.plan.stops import way_back

Bounds = tuple[str, str]


def component(name: str, version: str, bounds: Bounds = ("", ""), needs: str = "") -> Component:
    low, high = (Bound(version=text, reason="") if text else None for text in bounds)
    return Component(
        name=name,
        version=version,
        title=name,
        namespace="",
        kubernetes=Range(min=low, max=high),
        sources=(),
        counts=Counts(objects=0, crds=0, webhooks=0),
        images=(),
        needs=tuple(needs.split()),
    )


def release(
    name: str, versions: Mapping[str, str], after: Sequence[str] = (), tested: str = ""
) -> Release:
    return Release(
        name=name,
        title=name,
        date="2021-01-01",
        kubernetes=Range(),
        components=tuple(ComponentRef(name=n, version=v) for n, v in versions.items()),
        serving=ServingApi(group="g", versions=("v1",)),
        reachable_from=tuple(after),
        tested=(tested,) if tested else (),
    )


def catalog(releases: Sequence[Release], components: Sequence[Component]) -> Catalog:
    return Catalog({r.name: r for r in releases}, {(c.name, c.version): c for c in components})


def chain(*bounds: Bounds) -> Catalog:
    """Releases r0, r1, … each reachable from the one before, with these Kubernetes bounds."""
    components = [component("kserve", f"0.{i}.0", each) for i, each in enumerate(bounds)]
    releases = [
        release(f"r{i}", {"kserve": f"0.{i}.0"}, [f"r{i - 1}"] if i else [])
        for i in range(len(bounds))
    ]
    return catalog(releases, components)


def hops(of: Catalog, origin: str, target: str, server: str) -> tuple[Hop, ...]:
    path = path_of(of, origin, target, KubernetesVersion.parse(server))
    assert path is not None
    return path.hops


def needed(found: Sequence[Hop]) -> list[str]:
    return [str(hop.kubernetes.window) if hop.kubernetes else "" for hop in found]


ANY = ("", "")


@pytest.mark.parametrize(
    ("bounds", "server", "expected"),
    [
        ([ANY, ANY], "1.20.2", [""]),
        ([("1.16", "1.21"), ("1.20", "1.21")], "1.18.0", [">= 1.20, < 1.22"]),
        ([("1.16", ""), ("1.20", ""), ("1.24", "")], "1.18.0", [">= 1.24", ""]),
        ([("1.16", "1.21"), ("1.18", "1.21"), ("1.22", "")], "1.20.2", ["", ">= 1.22"]),
        (
            [("1.16", "1.21"), ("1.20", "1.24"), ("1.22", "")],
            "1.18.0",
            [">= 1.20, < 1.22", ">= 1.22, < 1.25"],
        ),
    ],
    ids=["no bounds", "too old", "one upgrade for two hops", "later", "twice"],
)
def test_kubernetes_is_upgraded_before_the_hop_that_needs_it_and_as_rarely_as_can_be(
    bounds: list[Bounds], server: str, expected: list[str]
) -> None:
    assert needed(hops(chain(*bounds), "r0", f"r{len(bounds) - 1}", server)) == expected


def test_where_no_kubernetes_runs_both_releases_the_gap_is_told() -> None:
    (hop,) = hops(chain(("1.16", "1.21"), ("1.22", "1.25")), "r0", "r1", "1.21.4")
    assert hop.kubernetes is not None
    assert (str(hop.kubernetes.window), hop.kubernetes.gap) == (">= 1.22, < 1.26", True)


def supported_chain(*bounds: tuple[str, str, str]) -> Catalog:
    """Releases r0, r1, …: the first Kubernetes each runs on, the last that is supported, and
    one that it was tested on."""
    components, releases = [], []
    for index, (low, high, tested) in enumerate(bounds):
        span = Range(
            min=Bound(version=low, reason=""), max=Bound(version=high, reason="", hard=False)
        )
        version = f"0.{index}.0"
        components.append(replace(component("kserve", version), kubernetes=span))
        after = [f"r{index - 1}"] if index else []
        releases.append(release(f"r{index}", {"kserve": version}, after, tested))
    return catalog(releases, components)


@pytest.mark.parametrize(
    ("bounds", "server", "expected"),
    [
        ([("1.16", "1.21", ""), ("1.24", "1.26", "")], "1.20.2", [">= 1.24, < 1.27"]),
        (
            [("1.16", "1.21", ""), ("1.24", "1.26", ""), ("1.25", "1.28", "")],
            "1.20.2",
            [">= 1.25, < 1.27", ""],
        ),
        (
            [("1.16", "1.21", ""), ("1.24", "1.26", ""), ("1.27", "1.28", "")],
            "1.20.2",
            [">= 1.24, < 1.27", ">= 1.27, < 1.29"],
        ),
        ([("1.16", "1.21", ""), ("1.24", "1.26", "")], "1.30.1", [""]),
        ([("1.16", "1.21", ""), ("1.24", "1.23", "")], "1.20.2", [">= 1.24"]),
        ([("1.16", "1.21", ""), ("1.24", "1.23", "1.25.3")], "1.20.2", [">= 1.24, < 1.26"]),
    ],
    ids=[
        "no further than what is supported",
        "once where one version supports both",
        "twice where none does",
        "not down from a later version",
        "any where none is supported",
        "as far as upstream has tested it",
    ],
)
def test_kubernetes_is_upgraded_to_what_the_projects_support_where_it_has_to_be_upgraded(
    bounds: list[tuple[str, str, str]], server: str, expected: list[str]
) -> None:
    held = supported_chain(*bounds)
    assert needed(hops(held, "r0", f"r{len(bounds) - 1}", server)) == expected


def test_a_release_that_this_kubernetes_is_too_new_for_is_gone_round() -> None:
    bounds = {"1": ANY, "2": ("", "1.21"), "3": ANY}
    components = [component("kserve", version, both) for version, both in bounds.items()]
    made = [release("a", {"kserve": "1"}), release("b", {"kserve": "2"}, ["a"])]
    made += [release("c", {"kserve": "3"}, ["a", "b"]), release("d", {"kserve": "3"}, ["b", "c"])]
    found = hops(catalog(made, components), "a", "d", "1.25.0")
    assert [hop.target for hop in found] == ["c", "d"]


@pytest.mark.parametrize(
    ("name", "current", "target", "expected"),
    [
        ("knative-serving", "0.18.0", "0.18.3", []),
        ("knative-serving", "0.18.0", "0.19.0", []),
        ("knative-serving", "0.18.0", "0.21.0", [(0, 19), (0, 20)]),
        ("net-istio", "0.25.0", "1.2.0", [(0, 26), (1, 0), (1, 1)]),
        ("istio", "1.6.2", "1.9.1", [(1, 7), (1, 8)]),
        ("istio", "1.27.0", "2.1.0", []),
    ],
)
def test_minor_versions_in_between_are_those_that_the_project_has_made(
    name: str, current: str, target: str, expected: list[tuple[int, int]]
) -> None:
    rule = rule_of(name)
    assert rule is not None
    assert between(rule, current, target) == expected


def test_the_newest_patch_release_of_a_minor_version_is_the_stop() -> None:
    assert newest_of(["1.5.1", "1.5.10", "1.6.0"], (1, 5)) == "1.5.10"


def knative(*versions: str) -> list[Component]:
    return [
        component(name, version, needs="istio" if name == "net-istio" else "")
        for version in versions
        for name in ("knative-serving", "net-istio")
    ]


OLD = {"istio": "1.6.2", "knative-serving": "0.18.0", "net-istio": "0.18.0", "kserve": "1"}
NEW = {"istio": "1.9.1", "knative-serving": "0.21.0", "net-istio": "0.21.0", "kserve": "2"}
REST = [component("istio", "1.6.2"), component("istio", "1.9.1"), component("kserve", "1"),
        component("kserve", "2")]  # fmt: skip


def test_knative_stops_at_each_minor_version_with_its_istio_ahead_and_the_controller_last() -> None:
    made = [release("a", OLD), release("b", NEW, ["a"])]
    held = catalog(made, [*knative("0.18.0", "0.19.0", "0.20.2", "0.21.0"), *REST])
    (hop,) = hops(held, "a", "b", "1.20.2")
    assert [stop["knative-serving"] for stop in hop.stops] == ["0.19.0", "0.20.2", "0.21.0"]
    assert [stop["istio"] for stop in hop.stops] == ["1.9.1"] * 3
    assert [stop["kserve"] for stop in hop.stops] == ["1", "1", "2"]
    assert hop.stops[-1] == NEW
    assert not hop.blocked
    assert [str(item) for item in hop.skipped] == ["istio 1.7, 1.8"]


def test_a_hop_that_would_skip_a_minor_version_of_knative_is_blocked() -> None:
    made = [release("a", OLD), release("b", NEW, ["a"])]
    held = catalog(made, [*knative("0.18.0", "0.19.0", "0.21.0"), *REST])
    (hop,) = hops(held, "a", "b", "1.20.2")
    assert [str(item) for item in hop.blocked] == ["knative-serving 0.20", "net-istio 0.20"]


def held_hop() -> Catalog:
    made = [release("a", OLD), release("b", NEW, ["a"])]
    return catalog(made, [*knative("0.18.0", "0.19.0", "0.20.2", "0.21.0"), *REST])


def test_the_way_back_goes_through_the_same_versions_and_moves_the_controller_last() -> None:
    hop = way_back(held_hop(), "b", "a", NEW)
    assert [stop["knative-serving"] for stop in hop.stops] == ["0.20.2", "0.19.0", "0.18.0"]
    assert [stop["istio"] for stop in hop.stops] == ["1.9.1", "1.9.1", "1.6.2"]
    assert [stop["kserve"] for stop in hop.stops] == ["2", "2", "1"]


def test_the_way_back_from_the_middle_of_a_hop_goes_no_further_first() -> None:
    middle = {**OLD, "istio": "1.9.1", "knative-serving": "0.19.0", "net-istio": "0.19.0"}
    hop = way_back(held_hop(), "b", "a", middle)
    assert [stop["knative-serving"] for stop in hop.stops] == ["0.19.0", "0.19.0", "0.18.0"]
    assert {stop["kserve"] for stop in hop.stops} == {"1"}
    assert hop.stops[-1] == OLD


def test_what_comes_after_and_what_came_before() -> None:
    held = chain(("", ""), ("", ""), ("", ""))
    assert reachable(held, "r0") == ["r1", "r2"]
    assert reachable(held, "r2") == []
    assert is_downgrade(held, "r2", "r0")
    assert not is_downgrade(held, "r0", "r2")
    assert path_of(held, "r2", "r0", KubernetesVersion(1, 20)) is None


def test_a_way_of_a_dozen_hops_is_found_within_three_seconds() -> None:
    held = chain(*[(f"1.{16 + i}", f"1.{21 + i}") for i in range(13)])
    began = time.monotonic()
    found = hops(held, "r0", "r12", "1.16.0")
    assert time.monotonic() - began < 3
    assert len(found) == 12
    assert len([text for text in needed(found) if text]) >= 2


def test_every_way_of_the_packaged_catalog_ends_at_its_target_and_takes_no_component_back() -> None:
    packaged = load()
    for origin in packaged.releases:
        for target in reachable(packaged, origin):
            found = hops(packaged, origin, target, "1.20.2")
            assert found[-1].stops[-1] == {
                ref.name: ref.version for ref in packaged.releases[target].components
            }


def test_the_way_from_0_5_1_to_0_20_0_names_each_upgrade_of_kubernetes_and_has_no_gap() -> None:
    found = hops(load(), "kfserving-0.5.1", "kserve-0.20.0", "1.20.2")
    assert [hop.target for hop in found] == [
        "kfserving-0.6.1",
        "kserve-0.7.0",
        "kserve-0.8.0",
        "kserve-0.9.0",
        "kserve-0.11.2",
        "kserve-0.13.1",
        "kserve-0.15.2",
        "kserve-0.16.0",
        "kserve-0.20.0",
    ]
    named = {hop.target: str(hop.kubernetes.window) for hop in found if hop.kubernetes}
    assert named == {
        "kserve-0.9.0": ">= 1.22, < 1.23",
        "kserve-0.11.2": ">= 1.24, < 1.26",
        "kserve-0.13.1": ">= 1.27, < 1.28",
        "kserve-0.15.2": ">= 1.29, < 1.32",
        "kserve-0.20.0": ">= 1.33, < 1.35",
    }
    assert not any(hop.kubernetes.gap for hop in found if hop.kubernetes)


def test_every_way_from_0_5_on_can_be_run_and_none_leads_through_a_release_of_uncertain_files() -> (
    None
):
    packaged = load()
    for origin in packaged.releases:
        if origin == "kfserving-0.5.0-rc0":
            continue  # Knative 0.16 and 0.17 are not in the catalog
        for target in reachable(packaged, origin):
            found = hops(packaged, origin, target, "1.20.2")
            assert not any(hop.blocked for hop in found), (origin, target)
            through = {hop.target for hop in found[:-1]}
            assert not through & {"kserve-0.10.2", "kserve-0.17.1"}, (origin, target)


def test_every_later_release_can_be_reached_and_no_earlier_one() -> None:
    packaged = load()
    names = sorted(packaged.releases, key=lambda name: order(name.partition("-")[2]))
    for index, origin in enumerate(names):
        assert set(reachable(packaged, origin)) == set(names[index + 1 :])


PACKAGED = "kfserving-0.5.1", "kfserving-0.6.1", KubernetesVersion.parse("1.20.2")


def test_nothing_that_a_hop_says_or_is_stopped_by_is_of_an_external_component() -> None:
    catalog = load()
    path = path_of(catalog, *PACKAGED)
    assert path is not None
    (whole,) = path.hops
    others = path_of(catalog, *PACKAGED, ["istio", "knative-serving"])
    assert others is not None
    (left,) = others.hops
    before, after = notes_of(catalog, whole), notes_of(catalog, left)
    assert {skip.component for skip in whole.skipped} == {"istio"}
    assert left.skipped == ()
    assert any("istio 1.7" in said for said in before.manual)
    assert after.manual == ()
    assert any("serving.knative.dev is stored" in said for said in before.final)
    assert (after.stored, after.final) == ((), ())
    assert "Service istio-system/cluster-local-gateway" in before.removed
    assert not any("istio-system" in name for name in after.removed)
    assert after.restarts == ("net-istio", "kfserving")
    assert (left.stops, left.before) == (whole.stops, whole.before), "a later run counts the same"
    about = [step.about for step in steps_of(left) if step.name.startswith("stop-")]
    assert about[-1] == "apply net-istio 0.22.0, kfserving 0.6.1"


def test_an_external_component_asks_for_no_kubernetes() -> None:
    components = [
        *(component("kserve", f"0.{i}.0", ("1.16", "")) for i in range(2)),
        component("istio", "1.1.0", ("1.16", "1.20")),
        component("istio", "1.2.0", ("1.22", "")),
    ]
    two = [
        release("r0", {"istio": "1.1.0", "kserve": "0.0.0"}),
        release("r1", {"istio": "1.2.0", "kserve": "0.1.0"}, ["r0"]),
    ]
    of, server = catalog(two, components), KubernetesVersion.parse("1.20.2")
    (ours,) = hops(of, "r0", "r1", "1.20.2")
    assert str(ours.kubernetes) == "upgrade Kubernetes to >= 1.22"
    path = path_of(of, "r0", "r1", server, ["istio"])
    assert path is not None
    (left,) = path.hops
    assert (left.kubernetes, str(left.window), str(left.supported)) == (None, ">= 1.16", ">= 1.16")
    back = way_back(of, "r1", "r0", {"istio": "1.2.0", "kserve": "0.1.0"}, (), ["istio"])
    assert (str(back.window), back.external) == (">= 1.16", ("istio",))

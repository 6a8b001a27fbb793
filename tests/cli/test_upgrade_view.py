"""The way of an upgrade as people read it, on the packaged catalog."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import replace

from installer.catalog.load import load
from installer.cli.commands import parse
from installer.cli.upgrade_view import lines
from installer.cluster.client import Identity
from installer.cluster.ledger import Ledger
from installer.core.kubernetes_version import KubernetesVersion
from installer.operations.hop_objects import HopObjects, Uncounted
from installer.operations.recognise import Recognised
from installer.operations.upgrade_plan import UpgradePlan, row_of
from installer.plan.downtime import Expected
from installer.plan.hops import path_of, reachable

ORIGIN, TARGET = "kfserving-0.5.1", "kfserving-0.6.1"


def plan_on(kubernetes: str, target: str = TARGET, external: Collection[str] = ()) -> UpgradePlan:
    catalog = load()
    version = KubernetesVersion.parse(kubernetes)
    path = path_of(catalog, ORIGIN, target, version, external)
    assert path is not None
    return UpgradePlan(
        Identity("here", "https://127.0.0.1", version, kubernetes, 1),
        Ledger(release=ORIGIN, state="installed"),
        reachable(catalog, ORIGIN),
        path,
        [row_of(catalog, hop) for hop in path.hops],
        [Expected(f"models/{name}", True, "none", 4, ("each pod in turn",)) for name in ("a", "b")],
    )


def said(plan: UpgradePlan) -> list[str]:
    return list(lines(plan, parse(["upgrade", "plan", TARGET, "--no-color"])))


def test_the_table_shows_each_component_from_its_version_to_the_next() -> None:
    found = said(plan_on("v1.20.2"))
    table = next(line for line in found if line.startswith("1  "))
    assert table.split()[1] == TARGET
    for change in ("1.6.2 → 1.9.1", "0.18.0 → 0.22.0", "0.5.1 → 0.6.1", ">= 1.18, < 1.22"):
        assert change in table


def test_what_the_settings_declare_external_is_left_alone_and_named_with_the_version_tested() -> (
    None
):
    plan = plan_on("v1.20.2", external=("istio", "cert-manager"))
    (hop,) = plan.to_dict()["hops"]
    shown = {item["name"]: item for item in hop["components"]}
    assert shown["istio"] == {
        "name": "istio",
        "current": "1.6.2",
        "target": "1.9.1",
        "external": True,
    }
    assert not shown["knative-serving"]["external"]
    assert "istio" not in hop["restarts"]
    found = said(plan)
    table = next(line for line in found if line.startswith("1  "))
    assert "1.9.1" not in table
    assert table.count("external") == 2
    assert f"  left alone       istio is external; {TARGET} was tested with 1.9.1" in found
    assert "istio 1.9.1" not in "\n".join(found).replace("net-istio", ""), "no stop applies it"


def test_every_stop_and_what_cannot_be_undone_is_named() -> None:
    text = "\n".join(said(plan_on("v1.20.2")))
    assert text.count("apply ") == 4
    assert "cannot be undone" in text
    assert "  none, pods replaced 4 times: models/a, models/b\n    each pod in turn\n" in text


def test_what_a_release_on_the_way_changes_for_models_is_told_at_the_hop_that_passes_it() -> None:
    plan = plan_on("v1.20.2", "kserve-0.16.0")
    told = {hop["to"]: " ".join(hop["models"]) for hop in plan.to_dict()["hops"]}
    assert "NAME-predictor-default becomes NAME-predictor" in told["kserve-0.11.2"]
    assert "RawDeployment is Standard" in told["kserve-0.16.0"]
    assert not any(told[name] for name in told if name not in ("kserve-0.11.2", "kserve-0.16.0"))
    assert "  for models       Addresses of parts of an" in "\n".join(said(plan))


def test_a_component_that_goes_is_said_to_be_removed() -> None:
    text = "\n".join(said(plan_on("v1.20.2", "kserve-0.7.0")))
    assert "everything of kfserving 0.6.1 but its Namespaces and CRDs" in text
    assert "  objects          not counted: nobody has looked" in text
    assert "--objects" not in text


def test_objects_of_a_hop_are_counted_and_a_hop_without_its_manifests_says_so() -> None:
    plan = plan_on("v1.20.2", "kserve-0.7.0")
    hops = [
        replace(plan.hops[0], objects=HopObjects(23, 90, 1, 21, 59)),
        replace(plan.hops[1], objects=Uncounted("manifests of kserve 0.7.0 are not at hand", True)),
    ]
    text = "\n".join(said(replace(plan, hops=hops)))
    assert "objects          23 created, 90 changed (1 of them made anew), 21 removed, 59" in text
    assert "objects          not counted: manifests of kserve 0.7.0 are not at hand" in text
    assert "--objects fetches the manifests that are not at hand" in text
    first, second = replace(plan, hops=hops).to_dict()["hops"]
    assert (first["objects"]["created"], first["not_counted"]) == (23, "")
    assert (second["objects"], second["not_counted"][:9]) == (None, "manifests")


def test_the_next_command_is_the_upgrade_where_kubernetes_is_new_enough() -> None:
    plan = plan_on("v1.20.2")
    assert said(plan)[-1] == f"  kserve-installer upgrade {TARGET}"
    assert plan.to_dict()["next"] == f"upgrade {TARGET}"


def test_the_next_command_has_everything_that_the_plan_was_given() -> None:
    given = "--context east --adopt all -f a.yaml -f 'b c.yaml' --mirror /srv/m --to-hop 1"
    for shown in (
        f"upgrade plan {TARGET} {given} --objects",
        f"upgrade {TARGET} {given} --dry-run",
    ):
        args = parse([*shlex.split(shown), "--no-color"])
        found = list(lines(plan_on("v1.20.2"), args))
        assert found[-1] == f"  kserve-installer upgrade {TARGET} {given}"


def test_what_others_installed_and_what_cannot_be_taken_over_is_told() -> None:
    refused = {"cert-manager": "cert-manager 0.15.1: it belongs to Helm"}
    adopted = Recognised(ORIGIN, refused)
    plan = replace(plan_on("v1.20.2"), adopted=adopted)
    found = said(plan)
    assert found[0] == f"installed: {ORIGIN}, by others, on Kubernetes v1.20.2"
    assert found[1] == "  cannot be taken over: cert-manager 0.15.1: it belongs to Helm"
    assert found[-1] == "  nothing can be run: see above what cannot be taken over"
    assert plan.to_dict()["next"] == ""
    assert plan.to_dict()["installed"]["not_adopted"] == refused
    possible = replace(plan, adopted=Recognised(ORIGIN, {}, ["Helm release infra/cm"]))
    assert said(possible)[1] == "  lets go when it is taken over: Helm release infra/cm"
    assert possible.to_dict()["next"] == f"upgrade {TARGET}"


def test_kubernetes_comes_first_where_it_is_too_old() -> None:
    plan = plan_on("v1.17.3")
    assert said(plan)[-2:] == [
        "  upgrade Kubernetes to >= 1.18, < 1.22, then",
        f"  kserve-installer upgrade {TARGET}",
    ]
    (hop,) = plan.to_dict()["hops"]
    assert hop["kubernetes_upgrade"] == {"min": "1.18", "below": "1.22", "gap": False}


def test_the_kubernetes_that_the_projects_support_is_told_where_more_would_run() -> None:
    plan = plan_on("v1.20.2", "kserve-0.20.0")
    found = "\n".join(said(plan))
    hops = {hop["to"]: hop for hop in plan.to_dict()["hops"]}
    assert hops["kserve-0.15.2"]["kubernetes"] == {"min": "1.28"}
    assert hops["kserve-0.15.2"]["kubernetes_supported"] == {"min": "1.28", "below": "1.32"}
    assert hops["kserve-0.8.0"]["kubernetes_supported"] is not None
    whole = "supported        on Kubernetes >= 1.28, < 1.32 by the projects of its components"
    assert whole in found
    upgrade = "upgrade Kubernetes to >= 1.29, < 1.32, then run the same command again"
    assert upgrade in found


def test_without_a_release_the_plan_lists_where_upgrades_lead_to() -> None:
    whole = plan_on("v1.20.2")
    bare = UpgradePlan(whole.identity, whole.ledger, whole.reachable, None, [], [])
    assert f"  {TARGET}" in list(lines(bare, parse(["upgrade", "plan", "--no-color"])))

"""Catalog files that are wrong, and what is said about them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from small_catalog import GATEWAY, RELEASE, SERVER, SmallCatalog

from installer.catalog.check import check
from installer.catalog.field_path import split_path
from installer.catalog.load import load, load_releases
from installer.catalog.model import (
    Bound,
    Catalog,
    Changes,
    Component,
    Knob,
    MadeAtRunTime,
    ObjectMatch,
    OwnedField,
    Release,
    RuntimeApi,
    Source,
    WebhookProbe,
)
from installer.core.errors import InvalidInput


@pytest.fixture
def catalog(tmp_path: Path) -> SmallCatalog:
    return SmallCatalog(tmp_path / "versions")


def said(catalog: SmallCatalog) -> list[str]:
    """Every problem as the user reads it."""
    return [str(problem) for problem in check(catalog.write())]


def test_a_good_catalog_has_no_problems_and_loads(catalog: SmallCatalog) -> None:
    assert said(catalog) == []
    loaded = load(catalog.directory)
    assert isinstance(loaded, Catalog)
    assert loaded.components[("server", "2.0.0")].needs == ("gateway",)
    assert list(load_releases(catalog.directory)) == ["stack-1"]


def test_all_problems_of_all_files_are_reported_at_once(catalog: SmallCatalog) -> None:
    gateway = catalog.files[GATEWAY]
    gateway["tittle"] = gateway.pop("title")
    gateway["sources"][0]["size"] = "ten"
    gateway["images"] = "example.org/gateway:1.2.0"
    gateway["kubernetes"]["min"]["hard"] = "yes"
    del gateway["counts"]["crds"]
    catalog.files[RELEASE]["date"] = "January"
    with pytest.raises(InvalidInput) as caught:
        load(catalog.write())
    assert [str(problem) for problem in caught.value.problems] == [
        f"{GATEWAY}: title: missing; expected text",
        f"{GATEWAY}: kubernetes.min.hard: the text yes; expected true or false",
        f"{GATEWAY}: sources[0].size: the text ten; expected a whole number",
        f"{GATEWAY}: counts.crds: missing; expected a whole number",
        f"{GATEWAY}: images: the text example.org/gateway:1.2.0; expected a list of text",
        f"{GATEWAY}: tittle: unknown key; expected title (the nearest known)",
        f"{RELEASE}: date: January; expected year-month-day, such as 2021-03-02",
    ]
    assert caught.value.exit_code == 2


def test_a_version_without_quotes_that_yaml_takes_for_a_number_is_refused(
    catalog: SmallCatalog,
) -> None:
    catalog.files[RELEASE]["kubernetes"]["max"]["version"] = 1.21
    assert said(catalog) == [
        f"{RELEASE}: kubernetes.max.version: the number 1.21; expected text in quotes"
    ]


def test_a_list_where_a_mapping_belongs_is_said_so(catalog: SmallCatalog) -> None:
    catalog.files[RELEASE]["serving"] = ["v1"]
    assert said(catalog) == [f"{RELEASE}: serving: a list; expected a mapping with group, versions"]


def test_an_unknown_word_gets_the_nearest_known_one(catalog: SmallCatalog) -> None:
    catalog.files[GATEWAY]["stage_overrides"] = [{"kind": "Secret", "stage": "webhook"}]
    catalog.files[GATEWAY]["sources"][0]["kind"] = "helm"
    assert said(catalog) == [
        f"{GATEWAY}: sources[0].kind: the text helm; expected one of manifest, istioctl",
        f"{GATEWAY}: stage_overrides[0].stage: the text webhook; "
        "expected webhooks (the nearest known)",
    ]


def test_text_that_is_no_yaml_is_reported_with_its_line(catalog: SmallCatalog) -> None:
    catalog.files[RELEASE] = "name: stack-1\ntitle: [\n"
    (problem,) = check(catalog.write())
    assert problem.file == RELEASE
    assert problem.path.startswith("line 3")


def test_a_key_given_twice_is_refused(catalog: SmallCatalog) -> None:
    catalog.files[RELEASE] = "name: stack-1\nname: stack-2\n"
    assert said(catalog) == [
        f"{RELEASE}: line 2, column 1: the key name is there twice; expected each key once"
    ]


def test_an_empty_file_is_reported(catalog: SmallCatalog) -> None:
    catalog.files[RELEASE] = ""
    assert said(catalog) == [
        f"{RELEASE}: nothing; expected a mapping with name, title, date, kubernetes, components, "
        "serving"
    ]


def test_names_must_be_those_of_file_and_folder(catalog: SmallCatalog) -> None:
    catalog.files[GATEWAY].update(name="gate", version="1.2.1")
    catalog.files[RELEASE]["name"] = "stack"
    assert said(catalog) == [
        f"{GATEWAY}: name: gate; expected gateway, as the folder is called",
        f"{GATEWAY}: version: 1.2.1; expected 1.2.0, as the file is called",
        f"{RELEASE}: name: stack; expected stack-1, as the file is called",
    ]


def test_sources_need_https_a_hash_and_a_size(catalog: SmallCatalog) -> None:
    catalog.files[GATEWAY]["sources"] = [
        {"name": "a", "url": "http://example.org/a.yaml", "sha256": "ABC", "size": 0},
        {"name": "a", "url": "https://example.org", "sha256": "0" * 64, "profile": "p.yaml"},
    ]
    assert said(catalog) == [
        f"{GATEWAY}: sources: name a 2 times; expected each name once",
        f"{GATEWAY}: sources[0].url: http://example.org/a.yaml; "
        "expected an https address of a file",
        f"{GATEWAY}: sources[0].sha256: ABC; expected 64 lower-case hexadecimal digits",
        f"{GATEWAY}: sources[0].size: 0; expected the number of bytes, above 0",
        f"{GATEWAY}: sources[1].url: https://example.org; expected an https address of a file",
        f"{GATEWAY}: sources[1].size: missing; expected the number of bytes",
        f"{GATEWAY}: sources[1].profile: given; expected only sources of kind istioctl",
    ]


def test_an_istioctl_source_needs_a_profile_that_exists(catalog: SmallCatalog) -> None:
    catalog.files["profiles/gateway-1.2.0.yaml"] = {"kind": "IstioOperator"}
    catalog.files[GATEWAY]["sources"][0].update(
        kind="istioctl", profile="profiles/gateway-1.2.yaml", rendered="rendered/gateway.yaml"
    )
    assert said(catalog) == [
        f"{GATEWAY}: sources[0].rendered_objects_sha256: missing; expected given for kind istioctl",
        f"{GATEWAY}: sources[0].profile: no file profiles/gateway-1.2.yaml; expected "
        "profiles/gateway-1.2.0.yaml (the nearest known)",
    ]


def test_a_component_that_only_has_optional_sources_is_refused(catalog: SmallCatalog) -> None:
    catalog.files[GATEWAY]["sources"][0]["optional"] = True
    assert said(catalog) == [
        f"{GATEWAY}: sources: nothing to apply; expected a source that is not optional"
    ]


def test_versions_must_be_semantic_and_a_deviation_from_upstream_needs_a_reason(
    catalog: SmallCatalog,
) -> None:
    catalog.files["components/gateway/v3.yaml"] = {**catalog.files[GATEWAY], "version": "v3"}
    catalog.files[GATEWAY]["pinned"] = "1.2"
    expected = "expected a semantic version such as 1.10.1 or 0.5.0-rc0"
    assert said(catalog) == [
        f"{GATEWAY}: pinned: 1.2; {expected}",
        f"{GATEWAY}: why: missing; expected why the version is not the one upstream pins",
        f"components/gateway/v3.yaml: version: v3; {expected}",
        "components/gateway/v3.yaml: a component that no release names; "
        "expected a release that names it, or `stop` with the reason",
    ]


def test_a_release_that_names_what_is_not_there_gets_the_nearest(catalog: SmallCatalog) -> None:
    catalog.files[RELEASE]["components"] = [
        {"name": "gatway", "version": "1.2.0"},
        {"name": "server", "version": "2.0.1"},
    ]
    catalog.files[RELEASE]["reachable_from"] = ["stack-0"]
    catalog.files["releases/stack-2.yaml"] = {
        **catalog.files[RELEASE],
        "name": "stack-2",
        "components": [
            {"name": "gateway", "version": "1.2.0"},
            {"name": "server", "version": "2.0.0"},
        ],
        "reachable_from": ["stack-1"],
    }
    assert said(catalog) == [
        f"{RELEASE}: components[0].name: gatway; expected gateway (the nearest known)",
        f"{RELEASE}: components[1].version: no file components/server/2.0.1.yaml; "
        "expected 2.0.0 (the nearest known)",
        f"{RELEASE}: reachable_from[0]: stack-0; expected stack-2 (the nearest known)",
    ]


def test_a_component_that_cannot_be_read_is_not_also_said_to_be_missing(
    catalog: SmallCatalog,
) -> None:
    del catalog.files[GATEWAY]["title"]
    assert said(catalog) == [f"{GATEWAY}: title: missing; expected text"]


def test_needs_must_be_in_the_release_and_before(catalog: SmallCatalog) -> None:
    catalog.files[SERVER]["needs"] = ["gateway", "store"]
    catalog.files[RELEASE]["components"].reverse()
    assert said(catalog) == [
        f"{RELEASE}: components: no store, which server 2.0.0 needs; expected store in this "
        "release",
        f"{RELEASE}: components[0]: server before gateway; expected components after those they "
        "need",
    ]


def test_needs_in_a_circle_are_shown(catalog: SmallCatalog) -> None:
    catalog.files[GATEWAY]["needs"] = ["server"]
    assert said(catalog) == [
        f"{RELEASE}: components: needs in a circle: gateway → server → gateway; "
        "expected an order without one"
    ]


def test_a_release_cannot_promise_more_kubernetes_than_its_components(
    catalog: SmallCatalog,
) -> None:
    catalog.files[RELEASE]["kubernetes"] = {"min": {"version": "1.17", "reason": "hope"}}
    assert said(catalog) == [
        f"{RELEASE}: kubernetes.max: none; expected 1.21 or less: "
        "Gateway 1.2.0 uses an API that is gone in 1.22",
        f"{RELEASE}: kubernetes.min: 1.17; expected 1.18 or more: "
        "Server 2.0.0 refuses to start below 1.18",
    ]


def test_a_minimum_that_upstream_only_warns_of_does_not_bind_a_release(
    catalog: SmallCatalog,
) -> None:
    catalog.files[SERVER]["kubernetes"]["min"]["hard"] = False
    catalog.files[RELEASE]["kubernetes"]["min"]["version"] = "1.16"
    assert said(catalog) == []


def test_a_range_without_a_version_in_it_is_refused(catalog: SmallCatalog) -> None:
    catalog.files[RELEASE]["kubernetes"]["min"]["version"] = "1.22"
    catalog.files[GATEWAY]["kubernetes"]["max"]["version"] = "1.x"
    assert said(catalog) == [
        f"{GATEWAY}: kubernetes.max.version: 1.x; "
        "expected a Kubernetes version such as 1.21 or 1.15.1",
        f"{RELEASE}: kubernetes: no version from 1.22 to 1.21; "
        "expected a minimum at or below the maximum",
    ]


def test_webhook_probes_say_something_once_about_a_kind_of_a_crd(catalog: SmallCatalog) -> None:
    kind = {"group": "serving.example.org", "kind": "Model"}
    catalog.files[GATEWAY]["webhook_probes"] = [
        {**kind, "versions": ["v1"], "denied": {}, "reason": "a Model needs a size"},
        {**kind, "versions": ["v2"], "passing": {"size": 1}},
        {**kind, "versions": ["v2", "v3"], "denied": {"size": 0}},
        {**kind, "kind": "Other"},
        {"group": "", "kind": "Pod", "passing": {}},
    ]
    where = f"{GATEWAY}: webhook_probes"
    assert said(catalog) == [
        f"{where}[2].reason: missing; expected why the spec under denied is denied",
        f"{where}[2]: Model of serving.example.org again; expected each kind and version once",
        f"{where}[3]: no spec; expected denied, passing, or both",
        f"{where}[4]: Pod of the core; expected the group and the kind of a CRD",
    ]


def test_runtime_apis_have_a_version_and_a_reason(catalog: SmallCatalog) -> None:
    good = {"api_version": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "reason": "made"}
    bad = {"api_version": "autoscaling", "kind": "HorizontalPodAutoscaler", "reason": " "}
    catalog.files[GATEWAY]["runtime_apis"] = [good, bad]
    assert said(catalog) == [
        f"{GATEWAY}: runtime_apis[1].api_version: autoscaling; expected one such as autoscaling/v2",
        f"{GATEWAY}: runtime_apis[1].reason: empty; expected what it is used for",
    ]


def test_changes_are_against_an_earlier_version_that_exists(catalog: SmallCatalog) -> None:
    catalog.files[GATEWAY]["changes"] = [{"since": "1.2.0"}, {"since": "1.1.0"}]
    assert said(catalog) == [
        f"{GATEWAY}: changes[0].since: 1.2.0; expected an earlier version",
        f"{GATEWAY}: changes[1].since: 1.1.0; expected 1.2.0 (the nearest known)",
    ]


def test_a_field_path_that_leads_nowhere_is_refused(catalog: SmallCatalog) -> None:
    catalog.files[GATEWAY]["controller_owned"] = [
        {"kind": "Secret", "path": "data..key", "owner": "x", "reason": "y"}
    ]
    assert said(catalog) == [
        f"{GATEWAY}: controller_owned[0].path: 'data..key' has an empty key; "
        "expected such as spec.ports[*].port"
    ]


def test_a_file_that_nothing_reads_is_reported(catalog: SmallCatalog) -> None:
    catalog.files["components/gateway.yaml"] = catalog.files[GATEWAY]
    assert [(p.file, p.found) for p in check(catalog.write())] == [
        ("components/gateway.yaml", "a file that nothing reads")
    ]


def test_a_folder_without_a_catalog_is_said_so(tmp_path: Path) -> None:
    (problem,) = check(tmp_path)
    assert str(problem).endswith("releases: no such folder; expected a folder of release files")


def test_field_paths_are_taken_apart_at_dots_brackets_and_quotes() -> None:
    assert split_path("webhooks[*].rules") == ("webhooks", "[*]", "rules")
    assert split_path('data."config.yaml"') == ("data", "config.yaml")
    assert split_path("spec.containers[proxy].image") == ("spec", "containers", "[proxy]", "image")
    for broken in ("", ".", "a.", "a[", "a[]", 'a."b', "a[*]b"):
        with pytest.raises(ValueError, match=r"empty|open|joined"):
            split_path(broken)


def test_a_match_compares_kind_group_namespace_and_a_name_with_stars() -> None:
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "config-a", "namespace": "x"},
    }
    assert ObjectMatch(kind="Service").matches(service)
    assert ObjectMatch(kind="Service", name="config-*", group="serving.knative.dev").matches(
        service
    )
    assert not ObjectMatch(kind="Service", group="").matches(service)
    assert not ObjectMatch(kind="Service", namespace="y").matches(service)
    assert not ObjectMatch(kind="Service", name="config").matches(service)
    assert OwnedField(kind="Service", path="spec.type", owner="o").matches(service)


def test_lists_of_a_component_that_are_not_given_are_empty(catalog: SmallCatalog) -> None:
    catalog.write()
    component = load(catalog.directory).components[("gateway", "1.2.0")]
    assert component.changes == ()
    assert component.namespace_labels == {}
    assert Changes(since="1.0.0").removed == ()


def test_the_guide_explains_every_key() -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "add-a-release.md"
    explained = set(re.findall(r"`([a-z0-9_]+)`", guide.read_text(encoding="utf-8")))
    for cls in (
        Release, Component, Source, Bound, OwnedField, MadeAtRunTime, RuntimeApi, WebhookProbe, Knob
    ):  # fmt: skip
        for field in dataclasses.fields(cls):
            assert field.name in explained | {"min", "max"}, f"{cls.__name__}.{field.name}"

"""Three-way merges of ConfigMaps, and what is kept of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from installer.cli.resolutions import read_resolutions
from installer.core.errors import InvalidInput
from installer.core.objects import Ref, fingerprint
from installer.plan.edits import DOMAIN, OLD_DOMAIN, Edit, default_domains, onto, with_edits
from installer.plan.merging import ABSENT, merge
from installer.plan.wanted import Wanted
from installer.plan.yaml_text import mapping_in, text_of

PATH = "config-autoscaler/stable-window"


@pytest.mark.parametrize(
    ("before", "here", "after", "expected"),
    [
        ("60s", "90s", "60s", "90s"),
        ("60s", "60s", "120s", "120s"),
        ("60s", "120s", "120s", "120s"),
        ("60s", "90s", ABSENT, "90s"),
        (ABSENT, "90s", ABSENT, "90s"),
    ],
)
def test_what_only_one_side_has_changed_is_taken(
    before: Any, here: Any, after: Any, expected: Any
) -> None:
    merged = merge(PATH, before, here, after, {})
    assert (merged.value, merged.conflicts) == (expected, [])


@pytest.mark.parametrize(
    ("resolutions", "value", "conflicts"),
    [
        ({}, "90s", 1),
        ({PATH: "ours"}, "90s", 0),
        ({PATH: "theirs"}, "120s", 0),
        ({PATH: "75s"}, "75s", 0),
        ({"config-autoscaler/other": "theirs"}, "90s", 1),
    ],
)
def test_what_both_have_changed_is_for_somebody_to_decide(
    resolutions: dict[str, str], value: str, conflicts: int
) -> None:
    merged = merge(PATH, "60s", "90s", "120s", resolutions)
    assert (merged.value, len(merged.conflicts)) == (value, conflicts)


CONFIG = "inferenceservice-config/ingress"
BEFORE = {"gateway": "a", "service": "s", "gone": 1, "deep": {"x": 1, "y": 1}}
HERE = {"gateway": "mine", "service": "s", "gone": 1, "deep": {"x": 2, "y": 1}, "own": True}
AFTER = {"gateway": "b", "service": "t", "deep": {"x": 1, "y": 2}, "new": 0}


def test_json_is_merged_by_field() -> None:
    merged = merge(CONFIG, *map(json.dumps, (BEFORE, HERE, AFTER)), {})
    assert json.loads(merged.value) == {
        "gateway": "mine",
        "service": "t",
        "deep": {"x": 2, "y": 2},
        "new": 0,
        "own": True,
    }
    (conflict,) = merged.conflicts
    assert (conflict.path, conflict.before, conflict.here, conflict.after) == (
        f"{CONFIG}/gateway",
        "a",
        "mine",
        "b",
    )


def test_what_users_have_changed_and_the_release_no_longer_has_stays_and_is_named() -> None:
    here = {**HERE, "gone": 2, "deep": {"x": 1, "y": 1, "mine": 1}}
    merged = merge(CONFIG, *map(json.dumps, (BEFORE, here, AFTER)), {})
    assert json.loads(merged.value)["gone"] == 2
    assert merged.unknown == [f"{CONFIG}/gone"], "what only users ever had is no news"
    assert merge(CONFIG, *map(json.dumps, (BEFORE, HERE, AFTER)), {}).unknown == []


@pytest.mark.parametrize(
    ("resolutions", "gateway"),
    [
        ({f"{CONFIG}/gateway": "theirs"}, "b"),
        ({f"{CONFIG}/gateway": "c"}, "c"),
        ({f"{CONFIG}/gateway": {"name": "c"}}, {"name": "c"}),
        ({CONFIG: "ours"}, "mine"),
        ({CONFIG: "theirs"}, "b"),
    ],
)
def test_a_field_is_decided_by_its_path_or_that_of_its_key(
    resolutions: dict[str, Any], gateway: Any
) -> None:
    merged = merge(CONFIG, *map(json.dumps, (BEFORE, HERE, AFTER)), resolutions)
    assert (json.loads(merged.value)["gateway"], merged.conflicts) == (gateway, [])


@pytest.mark.parametrize(
    ("resolutions", "used"),
    [
        ({f"{CONFIG}/gateway": "theirs"}, {f"{CONFIG}/gateway"}),
        ({f"{CONFIG}/own": "theirs"}, {f"{CONFIG}/own"}),
        ({f"{CONFIG}/deep": {}, f"{CONFIG}/deep/x": 3}, {f"{CONFIG}/deep"}),
        ({CONFIG: "ours"}, {CONFIG}),
        ({f"{CONFIG}/Gateway": "theirs", f"{CONFIG}/deep/z": 1, "config-a/ingress": "ours"}, set()),
    ],
)
def test_which_paths_decided_something_is_told(resolutions: dict[str, Any], used: set[str]) -> None:
    assert merge(CONFIG, *map(json.dumps, (BEFORE, HERE, AFTER)), resolutions).used == used


def test_a_key_that_is_no_json_is_decided_by_its_path() -> None:
    assert merge(PATH, "60s", "90s", "120s", {PATH: "75s"}).used == {PATH}


def test_text_that_is_no_json_any_more_is_merged_as_a_whole() -> None:
    merged = merge(CONFIG, '{"a": 1}', "{broken", '{"a": 2}', {})
    assert (merged.value, [c.path for c in merged.conflicts]) == ("{broken", [CONFIG])


def test_a_merge_that_changes_nothing_keeps_the_text_as_the_release_writes_it() -> None:
    after = '{\n  "a" : 2\n}'
    assert merge(CONFIG, '{"a":1}', '{"a": 1}', after, {}).value == after


def config(**data: str) -> Wanted:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "n"},
        "data": data,
    }
    return Wanted(Ref("v1", "ConfigMap", "n", "c"), "x", "setup", body, fingerprint(body))


def test_an_edit_is_kept_for_the_default_it_was_merged_onto_and_no_other() -> None:
    edits = {"c": {"a": Edit("mine", onto("default")), "own": Edit("1", onto(None))}}
    kept = with_edits(config(a="default"), edits, ("c",))
    assert kept.body["data"] == {"a": "mine", "own": "1"}
    assert kept.digest == fingerprint(kept.body)
    by_settings = with_edits(config(a="by settings"), edits, ("c",))
    assert by_settings.body["data"] == {"a": "by settings", "own": "1"}
    assert with_edits(config(a="default"), edits, ()) == config(a="default")


def test_a_pinned_domain_makes_way_for_one_that_the_settings_name() -> None:
    def domains(**data: str) -> list[str]:
        item = config(**data)
        item = replace(item, ref=Ref("v1", "ConfigMap", "knative-serving", DOMAIN))
        edits = {DOMAIN: {OLD_DOMAIN: Edit("", onto(None))}}
        return sorted(with_edits(item, edits, (DOMAIN,)).body["data"])

    assert domains(_example="words") == ["_example", "example.com"]
    assert domains(_example="words", **{"models.example.org": ""}) == [
        "_example",
        "models.example.org",
    ]


def test_domains_for_certain_labels_are_none_that_count_for_every_route() -> None:
    found = default_domains(
        {
            "_example": "c: x",
            "b.example.com": "",
            "a.example.com": "# the default\n",
            "prod.example.com": "selector:\n  app: prod\n",
            "empty.example.com": "selector: {}",
        }
    )
    assert found == ["a.example.com", "b.example.com", "empty.example.com"]


def test_resolutions_come_from_words_and_files_and_every_problem_is_told(tmp_path: Any) -> None:
    file = tmp_path / "decided.yaml"
    file.write_text("config-a/key: theirs\nconfig-b/key/field: {x: 1}\n")
    words = ["config-a/key=ours", "config-c/key/number=5", "config-c/key2=5"]
    assert read_resolutions(words, str(file)) == {
        "config-a/key": "ours",
        "config-b/key/field": {"x": 1},
        "config-c/key/number": 5,
        "config-c/key2": "5",
    }
    file.write_text("nowhere: ours\nconfig-a/key: 5\n")
    with pytest.raises(InvalidInput) as caught:
        read_resolutions(["config-a=ours", "x"], str(file))
    assert len(caught.value.problems) == 4


MESH = "istio/mesh"
MESH_BEFORE = """\
accessLogFile: ""
defaultConfig:
  concurrency: 2
  drainDuration: 45s
trustDomain: cluster.local
"""
MESH_HERE = """\
accessLogFile: /dev/stdout # so that requests are seen
defaultConfig:
  concurrency: 4
  drainDuration: 45s
trustDomain: cluster.local
meshMTLS: {minProtocolVersion: "1e3"}
"""
MESH_AFTER = """\
accessLogFile: ""
defaultConfig:
  concurrency: 2
  terminationDrainDuration: 20s
enablePrometheusMerge: true
trustDomain: cluster.local
"""


def test_yaml_is_merged_by_field_and_read_as_the_cluster_reads_it() -> None:
    merged = merge(MESH, MESH_BEFORE, MESH_HERE, MESH_AFTER, {})
    assert merged.conflicts == []
    assert merged.value == (
        "accessLogFile: /dev/stdout\n"
        "defaultConfig:\n"
        "  concurrency: 4\n"
        "  terminationDrainDuration: 20s\n"
        "enablePrometheusMerge: true\n"
        "trustDomain: cluster.local\n"
        "meshMTLS:\n"
        '  minProtocolVersion: "1e3"\n'
    )


def test_a_field_of_yaml_that_both_have_changed_is_decided_by_its_path() -> None:
    after = MESH_AFTER.replace("concurrency: 2", "concurrency: 0")
    (conflict,) = merge(MESH, MESH_BEFORE, MESH_HERE, after, {}).conflicts
    path = f"{MESH}/defaultConfig/concurrency"
    assert (conflict.path, conflict.before, conflict.here, conflict.after) == (path, 2, 4, 0)
    decided = merge(MESH, MESH_BEFORE, MESH_HERE, after, {path: 8})
    assert (decided.conflicts, "concurrency: 8" in decided.value) == ([], True)


@pytest.mark.parametrize("text", ["just words", "- a\n- b\n", "a: 1\n---\nb: 2\n", "a: [", "&x"])
def test_text_that_is_no_mapping_is_merged_as_a_whole(text: str) -> None:
    merged = merge(MESH, MESH_BEFORE, text, MESH_AFTER, {})
    assert (merged.value, [c.path for c in merged.conflicts]) == (text, [MESH])


@pytest.mark.parametrize(
    "text", ["y", "no", "1e3", "0o7", "12", "2001-12-14", "1:30", "~", "", "#"]
)
def test_texts_stay_texts_in_yaml_that_is_written(text: str) -> None:
    mapping = {"a": text, text: [text], "n": 1, "b": True, "long": "word " * 50}
    assert mapping_in(text_of(mapping)) == mapping

"""Two states of an object, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from installer.plan.diff import ABSENT, Change, Element, compare, path_text, restricted


def obj(managed: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "x"}
    if managed is not None:
        metadata["managedFields"] = [{"manager": "m", "operation": "Apply", "fieldsV1": managed}]
    return {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, **fields}


def shown(changes: list[Change]) -> list[tuple[str, Any, Any]]:
    return [(change.where, change.old, change.new) for change in changes]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("spec.a", 1, 2)]),
        ({"a": 1}, {"a": True}, [("spec.a", 1, True)]),
        ({"a": None}, {}, [("spec.a", None, ABSENT)]),
        ({}, {"a": {"b": 1}}, [("spec.a", ABSENT, {"b": 1})]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [("spec.a.c", 2, 3)]),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, [("spec.a", [1, 2], [1, 2, 3])]),
        ({"a": [{"x": 1}]}, {"a": [{"x": 2}]}, [("spec.a[0].x", 1, 2)]),
        ({"a": [{"x": 1}]}, {"a": []}, [("spec.a", [{"x": 1}], [])]),
        ({"a": {"b": 1}}, {"a": [1]}, [("spec.a", {"b": 1}, [1])]),
    ],
)
def test_a_change_has_the_path_of_the_smallest_part_that_differs(
    old: Any, new: Any, expected: list[Any]
) -> None:
    assert shown(compare(obj(spec=old), obj(spec=new))) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}],
            [{"name": "b", "image": "2"}, {"name": "a", "image": "1"}],
            [("spec.list[name=b].image", "1", "2")],
        ),
        (
            [{"port": 80, "protocol": "TCP"}],
            [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}],
            [
                (
                    "spec.list[port=80,protocol=UDP]",
                    ABSENT,
                    {"port": 80, "protocol": "UDP"},
                )
            ],
        ),
        (
            [{"name": "a"}, {"name": "b"}],
            [{"name": "b"}, {"name": "a"}],
            [("spec.list", [{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}])],
        ),
        (
            [{"name": "a", "x": 1}, {"name": "a", "x": 2}],
            [{"name": "a", "x": 1}, {"name": "a", "x": 3}],
            [("spec.list[1].x", 2, 3)],
        ),
        ([{"name": {"a": 1}}], [{"name": {"a": 2}}], [("spec.list[0].name.a", 1, 2)]),
    ],
)
def test_elements_of_known_lists_are_matched_by_their_keys(
    old: Any, new: Any, expected: list[Any]
) -> None:
    assert shown(compare(obj(spec={"list": old}), obj(spec={"list": new}))) == expected


def test_managed_fields_tell_the_keys_of_other_lists() -> None:
    fields = {"f:spec": {"f:list": {'k:{"id":"a"}': {"f:x": {}}, 'k:{"id":"b"}': {}}}}
    old = obj(fields, spec={"list": [{"id": "a", "x": 1}, {"id": "b"}]})
    new = obj(spec={"list": [{"id": "b"}, {"id": "a", "x": 2}]})

    assert shown(compare(old, new)) == [("spec.list[id=a].x", 1, 2)]


def test_members_of_a_set_come_and_go_one_by_one() -> None:
    fields = {"f:spec": {"f:set": {'v:"a"': {}, 'v:"b"': {}}}}

    changes = compare(obj(fields, spec={"set": ["a", "b"]}), obj(spec={"set": ["b", "c"]}))

    assert shown(changes) == [("spec.set[=a]", "a", ABSENT), ("spec.set[=c]", ABSENT, "c")]


def test_what_only_the_server_says_is_no_change() -> None:
    old, new = obj(status={"replicas": 1}), obj(status={"replicas": 2})
    for number, one in enumerate((old, new)):
        one["metadata"] |= {
            "resourceVersion": str(number),
            "generation": number,
            "uid": str(number),
            "managedFields": [{"manager": str(number), "time": str(number)}],
        }

    assert compare(old, new) == []


def test_labels_and_annotations_are_compared() -> None:
    old, new = obj(), obj()
    old["metadata"]["annotations"] = {"a.b/c": "1"}
    new["metadata"]["annotations"] = {"a.b/c": "2"}

    assert shown(compare(old, new)) == [('metadata.annotations."a.b/c"', "1", "2")]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("spec", "replicas"), "spec.replicas"),
        (("data", "a.yaml"), 'data."a.yaml"'),
        (("list", Element((("name", "x"),)), "image"), "list[name=x].image"),
        (("rules", 0, "verbs"), "rules[0].verbs"),
        ((), ""),
    ],
)
def test_a_path_reads_like_the_catalog_writes_it(path: Any, text: str) -> None:
    assert path_text(path) == text


def test_an_object_is_cut_to_what_our_body_speaks_of() -> None:
    live = {
        "spec": {
            "replicas": 2,
            "added": True,
            "containers": [{"name": "sidecar"}, {"name": "a", "image": "1", "policy": "x"}],
        }
    }
    body = {"spec": {"replicas": 1, "containers": [{"name": "a", "image": "2"}], "new": 1}}

    assert restricted(live, body) == {
        "spec": {"replicas": 2, "containers": [{"name": "a", "image": "1"}]}
    }

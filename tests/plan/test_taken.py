"""Fields of an earlier kubectl that an install takes over, and so removes."""

from __future__ import annotations

from typing import Any

from installer.plan.taken import without_leftovers

OURS, KUBECTL = "kserve-installer", "kubectl-client-side-apply"
NOTE = "kubectl.kubernetes.io/last-applied-configuration"


def entry(manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    operation = "Apply" if manager == OURS else "Update"
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}


def obj(*entries: Any, note: bool = True, **fields: Any) -> dict[str, Any]:
    annotations = {NOTE: "{}"} if note else {}
    metadata = {"name": "x", "annotations": annotations, "managedFields": list(entries)}
    return {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, **fields}


LEFT = entry(
    KUBECTL,
    {
        "f:data": {"f:a": {}, "f:old": {}, "f:theirs": {}},
        "f:list": {'k:{"name":"gone"}': {".": {}, "f:x": {}}, 'k:{"name":"stays"}': {"f:x": {}}},
    },
)
MINE = entry(OURS, {"f:data": {"f:a": {}}, "f:list": {'k:{"name":"stays"}': {"f:x": {}}}})
OTHER = entry("somebody", {"f:data": {"f:theirs": {}}})
STATE = {
    "data": {"a": "1", "old": "1", "theirs": "1", "nobodys": "1"},
    "list": [{"name": "gone", "x": 1}, {"name": "stays", "x": 1}],
}


def test_only_what_nobody_else_has_goes() -> None:
    known, after = obj(LEFT, OTHER, **STATE), obj(LEFT, MINE, OTHER, **STATE)

    found = without_leftovers(known, after, (KUBECTL,))

    assert found is not None
    assert found["data"] == {"a": "1", "theirs": "1", "nobodys": "1"}
    assert found["list"] == [{"name": "stays", "x": 1}]
    assert "annotations" not in found["metadata"]
    assert after["data"]["old"] == "1", "the answer itself stays as it is"


def test_where_kubectl_was_not_nothing_is_taken_over() -> None:
    known = obj(OTHER, note=False, **STATE)

    assert without_leftovers(known, obj(MINE, OTHER, **STATE), (KUBECTL,)) is None


def test_what_a_keeper_that_lets_go_has_written_goes_without_kubectls_note() -> None:
    known, after = (
        obj(LEFT, OTHER, note=False, **STATE),
        obj(LEFT, MINE, OTHER, note=False, **STATE),
    )

    found = without_leftovers(known, after, (), former=(KUBECTL,))

    assert found is not None
    assert found["data"] == {"a": "1", "theirs": "1", "nobodys": "1"}
    known["kind"] = after["kind"] = "ConfigMap"
    found = without_leftovers(known, after, (), former=(KUBECTL,))
    assert found is not None
    assert found["data"] == STATE["data"], "what somebody has set in a ConfigMap stays"
    assert found["list"] == [{"name": "stays", "x": 1}]


def test_what_holds_a_field_that_goes_stays_where_it_was_never_theirs() -> None:
    marks = {"f:annotations": {"f:theirs": {}}, "f:labels": {".": {}, "f:theirs": {}}}
    item = {'k:{"name":"held"}': {"f:x": {}}}
    keeper = entry("keeper", {"f:metadata": marks, "f:list": item})
    known = obj(keeper, note=False, list=[{"name": "held", "x": 1, "y": 1}])
    known["metadata"]["annotations"] = {"theirs": "1", "nobodys": "1"}
    known["metadata"]["labels"] = {"theirs": "1"}

    found = without_leftovers(known, known, (), former=("keeper",))

    assert found is not None
    assert found["metadata"]["name"] == "x"
    assert found["metadata"]["annotations"] == {"nobodys": "1"}
    assert "labels" not in found["metadata"]
    assert found["list"] == [{"name": "held", "y": 1}]

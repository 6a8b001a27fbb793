"""Who wrote a field, and when."""

from __future__ import annotations

from typing import Any

import pytest

from installer.plan.diff import Element, Step
from installer.plan.managers import last_writer, writers_of

FIELDS = {
    "f:spec": {
        "f:replicas": {},
        "f:containers": {
            'k:{"name":"a"}': {".": {}, "f:image": {}},
        },
        "f:set": {'v:"x"': {}},
    },
    "f:data": {},
}


def entry(manager: str, fields: Any, time: str = "2021-01-01T00:00:00Z", **more: str) -> Any:
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields, **more}


def obj(*entries: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "managedFields": list(entries)}}


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        (("spec", "replicas"), True),
        (("spec", "paused"), False),
        (("spec",), True),
        (("spec", "containers", Element((("name", "a"),)), "image"), True),
        (("spec", "containers", Element((("name", "b"),)), "image"), False),
        (("spec", "set", Element(value="x")), True),
        (("spec", "set", Element(value="y")), False),
        (("data", "key"), True),
        (("rules",), False),
        ((), False),
    ],
)
def test_a_manager_owns_what_its_fields_cover(path: tuple[Step, ...], owned: bool) -> None:
    found = writers_of(obj(entry("somebody", FIELDS)), path)

    assert [writer.manager for writer in found] == (["somebody"] if owned else [])


def test_the_newest_writer_comes_first() -> None:
    fields = {"f:spec": {"f:replicas": {}}}
    live = obj(
        entry("old", fields, "2021-01-01T00:00:00Z"), entry("new", fields, "2021-02-01T00:00:00Z")
    )

    assert [w.manager for w in writers_of(live, ("spec", "replicas"))] == ["new", "old"]


def test_who_writes_only_the_status_did_not_change_the_object() -> None:
    live = obj(
        entry("user", {"f:spec": {}}, "2021-01-01T00:00:00Z"),
        entry("controller", {"f:status": {}}, "2021-03-01T00:00:00Z"),
        entry("other", {"f:spec": {}}, "2021-04-01T00:00:00Z", subresource="status"),
    )

    last = last_writer(live)

    assert last is not None
    assert str(last) == "user at 2021-01-01T00:00:00Z"
    assert last_writer(obj()) is None

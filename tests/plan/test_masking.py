"""Secrets are never shown; that a value changed is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from installer.plan.diff import compare
from installer.plan.masking import masked_pair


def secret(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, **fields}


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ({"a": "aGVsbG8="}, {"a": "aGVsbG8="}, []),
        (
            {"a": "aGVsbG8="},
            {"a": "d29ybGQ="},
            [("data.a", "(masked, 5 bytes, before)", "(masked, 5 bytes, after)")],
        ),
        ({}, {"a": "eA=="}, [("data.a", None, "(masked, 1 byte)")]),
        ({"a": "eA=="}, {"a": None}, [("data.a", "(masked, 1 byte, before)",
                                       "(masked, 0 bytes, after)")]),
        ({"a": "no base64!"}, {}, [("data.a", "(masked, 10 bytes)", None)]),
    ],
)  # fmt: skip
def test_a_value_becomes_its_length(old: Any, new: Any, shown: list[Any]) -> None:
    before, after = masked_pair(secret(data=old), secret(data=new))
    assert before is not None
    assert after is not None

    found = [
        (c.where, c.old if isinstance(c.old, str) else None, c.new if c.new else None)
        for c in compare(before, after)
    ]

    assert [(where, o, n if isinstance(n, str) else None) for where, o, n in found] == shown


def test_kubectls_copy_of_the_object_is_masked_too() -> None:
    live = secret(stringData={"token": "hunter2"})
    live["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": "hunter2"}),
        "other": "seen",
    }

    shown, nothing = masked_pair(live, None)

    assert nothing is None
    assert "hunter2" not in str(shown)
    assert "seen" in str(shown)
    assert "hunter2" in str(live), "the object itself stays as it is"


def test_other_kinds_stay_as_they_are() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"a": "b"}}

    assert masked_pair(config, None) == (config, None)

"""A plan as a file, and what makes it outdated."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from installer.core.errors import ChecksFailed, InstallerError, UsageError
from installer.core.objects import Ref
from installer.plan.saved import SavedObject, SavedPlan, checksum, moved, parse

REF = Ref("v1", "ConfigMap", "n", "c")
ITEM = SavedObject(REF, "digest", "apply", "7", "content")
PLAN = SavedPlan(
    installer="1.0",
    cluster="uid",
    kubernetes="v1.20.2",
    release="r",
    settings=("/s.yaml",),
    settings_digest="d",
    take_ownership=False,
    adopt=("cert-manager",),
    catalog="",
    ledger="l",
    run="run-1",
    objects=(ITEM,),
)


def without(name: str) -> str:
    """A plan that lacks a part and whose checksum fits."""
    data = json.loads(PLAN.text())
    del data[name]
    return json.dumps({**data, "checksum": checksum(data)})


def test_a_plan_is_read_as_it_was_written() -> None:
    assert parse(PLAN.text(), "f", "1.0") == PLAN


@pytest.mark.parametrize(
    ("text", "kind", "error"),
    [
        ("", "plan-file", UsageError),
        ("kind: Settings", "plan-file", UsageError),
        ("[]", "plan-file", UsageError),
        ('{"kind": "other"}', "plan-file", UsageError),
        ('{"kind": "kserve-installer-plan", "format": 99}', "plan-version", ChecksFailed),
        (PLAN.text().replace('"apply"', '"create"'), "plan-edited", ChecksFailed),
        (PLAN.text().replace('"sha256:', '"sha256:0'), "plan-edited", ChecksFailed),
        (replace(PLAN, installer="0.9").text(), "plan-version", ChecksFailed),
        (without("ledger"), "plan-file", UsageError),
    ],
)
def test_what_is_not_our_untouched_plan_is_refused(
    text: str, kind: str, error: type[InstallerError]
) -> None:
    with pytest.raises(error) as refused:
        parse(text, "f", "1.0")

    assert refused.value.kind == kind
    assert refused.value.object == "f"


def test_a_plan_written_with_other_spaces_is_the_same_plan() -> None:
    assert parse(json.dumps(json.loads(PLAN.text())), "f", "1.0") == PLAN


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        (ITEM, True),
        (replace(ITEM, version="8"), True),  # only its status moved on
        (replace(ITEM, version="8", content="other"), False),
        (replace(ITEM, digest="other"), False),
        (replace(ITEM, decision="unchanged"), False),
        (replace(ITEM, version="", content=""), False),
    ],
)
def test_an_object_holds_while_decision_and_content_do(now: SavedObject, holds: bool) -> None:
    found = moved(PLAN, replace(PLAN, objects=(now,)))

    assert found == ([] if holds else [(ITEM, now)])


def test_objects_that_came_or_went_are_told() -> None:
    other = SavedObject(Ref("v1", "ConfigMap", "n", "d"), "x", "create")

    assert moved(PLAN, replace(PLAN, objects=(other,))) == [(ITEM, None), (None, other)]

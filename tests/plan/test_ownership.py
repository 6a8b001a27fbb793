"""Fields that controllers own are not sent."""

from __future__ import annotations

from installer.catalog.model import OwnedField
from installer.plan.ownership import without_controller_fields


def rule(path: str, **match: str) -> OwnedField:
    return OwnedField(kind="Thing", path=path, owner="a controller", **match)


THING = {
    "kind": "Thing",
    "metadata": {"name": "t"},
    "hooks": [{"name": "a", "rules": [1], "keep": 1}, {"name": "b", "rules": [2]}],
    "data": {"config.yaml": "x", "other": "y"},
}


def test_every_item_of_a_list_loses_the_field() -> None:
    found = without_controller_fields(THING, [rule("hooks[*].rules")])
    assert found["hooks"] == [{"name": "a", "keep": 1}, {"name": "b"}]
    assert THING["hooks"][0]["rules"] == [1]


def test_only_the_named_item_loses_the_field() -> None:
    found = without_controller_fields(THING, [rule("hooks[b].rules")])
    assert found["hooks"] == [{"name": "a", "rules": [1], "keep": 1}, {"name": "b"}]


def test_a_quoted_key_may_have_dots() -> None:
    found = without_controller_fields(THING, [rule('data."config.yaml"')])
    assert found["data"] == {"other": "y"}


def test_a_rule_for_another_object_or_an_absent_path_changes_nothing() -> None:
    assert without_controller_fields(THING, [rule("data", name="else")]) == THING
    assert without_controller_fields(THING, [rule("data.absent.deeper"), rule("no[*].x")]) == THING

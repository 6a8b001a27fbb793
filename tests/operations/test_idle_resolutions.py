"""What is said of decisions about ConfigMaps that nobody had to make."""

from __future__ import annotations

import pytest

from installer.core.errors import ChecksFailed
from installer.operations.upgrade_edits import Decided, check_conflicts, idle_resolutions
from installer.plan.merging import Conflict

TARGET = "kfserving-0.6.1"
IMAGE, TYPO = "config/agent/image", "config/Agent/image"


def test_a_path_that_decides_nothing_is_told_with_what_there_was_to_decide() -> None:
    (told,) = idle_resolutions({IMAGE: "ours", TYPO: "theirs"}, {IMAGE}, {IMAGE}, TARGET)
    assert told.name == "warning"
    assert told.fields["object"] == TYPO
    assert told.fields["message"] == (
        f"what is resolved for {TYPO} decides nothing on the way to {TARGET}: "
        f"users and the release have both changed only {IMAGE}"
    )


def test_where_there_was_nothing_to_decide_that_is_told() -> None:
    (told,) = idle_resolutions({TYPO: "theirs"}, set(), set(), TARGET)
    assert "no value was changed by both users and the release" in told.fields["message"]


def test_the_conflicts_named_beside_it_are_no_endless_list() -> None:
    contested = {f"config/key/{number:02}" for number in range(30)}
    (told,) = idle_resolutions({TYPO: "theirs"}, set(), contested, TARGET)
    assert told.fields["message"].endswith("config/key/09 and 20 more")


def test_the_error_of_an_open_conflict_names_what_was_given_in_vain() -> None:
    decided = Decided({}, (), [(Conflict(IMAGE, "a:1", "ours:1", "a:2"), "kubectl-edit")])
    with pytest.raises(ChecksFailed, match=f"resolved for {TYPO} decides nothing here"):
        check_conflicts(decided, TARGET, {TYPO: "ours"})
    with pytest.raises(ChecksFailed) as caught:
        check_conflicts(decided, TARGET, {})
    assert "decides nothing" not in caught.value.message

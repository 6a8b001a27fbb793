"""A plan as text."""

from __future__ import annotations

import pytest
from plan_rows import config, plan, row

from installer.cli.plan_view import lines, verdict
from installer.cli.terminal import Terminal
from installer.operations.planning import Plan

PLAIN = Terminal()


def text(made: Plan, *, verbose: bool = False) -> str:
    return "\n".join(lines(made, PLAIN, verbose=verbose))


SOME = plan(
    [
        row("create", "new", None, config("new"), waits_for="ready", reason="does not exist"),
        row("change", "other", config(a="1"), config(a="2"), reason="1 field differs: data.a"),
        row("unchanged", "same"),
        row("unchanged", "noted", reason="only ownership is recorded"),
        row("external", "theirs", reason="declared external; never written"),
    ]
)


def test_the_table_has_what_is_done_why_and_what_is_waited_for() -> None:
    shown = text(SOME)

    assert "NAMESPACE  NAME   KIND       ACTION     WAITS FOR  REASON" in shown
    assert "n          new    ConfigMap  create     ready      does not exist" in shown
    assert "n          other  ConfigMap  change                1 field differs: data.a" in shown
    assert "istio      1.6.2      ours   1.6.2   same version, 1 object differs" in shown


def test_the_totals_count_actions_and_waits() -> None:
    shown = text(SOME)

    assert "Op:      1 create, 1 change, 0 delete, 2 unchanged, 1 external" in shown
    assert "Wait to: 1 ready" in shown


def test_what_is_unchanged_or_external_is_shown_when_asked_for_or_when_there_is_a_reason() -> None:
    assert "same\u0020\u0020" not in text(SOME)
    assert "theirs" not in text(SOME)
    assert "only ownership is recorded" in text(SOME)
    assert "theirs" in text(SOME, verbose=True)
    assert "n          same    ConfigMap  unchanged" in text(SOME, verbose=True)


def test_the_footprint_names_the_images_to_pull() -> None:
    shown = text(SOME)

    assert "3 pods requesting 1.5 CPU and 1024 MiB memory (1 pod with containers that" in shown
    assert "Images: 1 to pull, 1 known to be on a node" in shown
    assert "\n  b:2" in shown
    assert "\n  a:1" not in shown


def test_nothing_but_a_sentence_where_nothing_differs() -> None:
    made = plan([row("unchanged", "same")])

    said = "\n".join(verdict(made, PLAIN, "kserve-installer"))

    assert said == "Nothing differs: kfserving-0.5.1 is installed as it is wanted."
    assert not made.differs


@pytest.mark.parametrize("action", ["create", "change", "recreate", "adopt", "delete"])
def test_every_action_that_writes_is_a_difference(action: str) -> None:
    assert plan([row(action, "x")]).differs


def test_an_install_that_did_not_end_is_a_difference() -> None:
    made = plan([row("unchanged", "same")], state="installing")

    assert made.differs
    assert "did not end; install finishes it" in "\n".join(verdict(made, PLAIN, "p"))


def test_the_verdict_says_what_install_would_stop_at_and_what_it_leaves_to_the_user() -> None:
    made = plan([row("change", "a", stops=True), row("recreate", "b")])

    said = "\n".join(verdict(made, PLAIN, "kserve-installer"))

    assert "Fields of 1 object belong to other managers" in said
    assert "1 object must be deleted and created again by you" in said
    assert "`kserve-installer preflight kfserving-0.5.1`" in said


def test_the_document_has_changes_with_old_and_new() -> None:
    document = SOME.to_dict(created=True)

    by_name = {entry["object"]["name"]: entry for entry in document["objects"]}
    assert by_name["other"]["changes"] == [{"path": "data.a", "old": "1", "new": "2"}]
    assert by_name["new"]["changes"] == [{"path": "", "new": config("new")}]
    assert SOME.to_dict()["objects"][0]["changes"] == []
    assert document["totals"]["actions"]["create"] == 1
    assert document["cluster"]["kubernetes"] == "v1.20.2"

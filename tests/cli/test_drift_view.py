"""`status --drift` as text."""

from __future__ import annotations

from argparse import Namespace

import pytest

from installer.cli.drift_view import lines
from installer.cli.terminal import Terminal
from installer.core.objects import Ref
from installer.operations.drift_report import Difference, DriftReport

SERVICE = Ref("v1", "Service", "n", "s")
EDIT = Difference(
    SERVICE, "istio", "edit", "spec.type", "ClusterIP", "LoadBalancer", "kubectl-edit", "T1"
)
GONE = Difference(Ref("v1", "ConfigMap", "n", "c"), "istio", "deleted")
INJECTED = Difference(SERVICE, "istio", "others", "caBundle", manager="cainjector", time="T2")


def shown(*differences: Difference, problem: str = "", verbose: bool = False) -> str:
    args = Namespace(verbose=verbose, program="kserve-installer")
    report = DriftReport(differences, problem)
    return "\n".join(lines(report, "r", Terminal(), args))


def test_an_edit_has_both_values_who_and_when() -> None:
    said = shown(EDIT, GONE)

    assert (
        "Service n/s\n    spec.type: ClusterIP, wanted LoadBalancer (changed by kubectl-edit at T1)"
        in said
    )
    assert "ConfigMap n/c: deleted by somebody" in said
    assert "`kserve-installer install r` puts it back." in said


def test_what_is_expected_is_counted_and_shown_when_asked_for() -> None:
    quiet, loud = shown(INJECTED), shown(INJECTED, verbose=True)

    assert "no drift: everything is as it was installed" in quiet
    assert "(1 field written by controllers and by the server, as expected; see -v)" in quiet
    assert "caBundle (written by cainjector at T2, and never ours)" in loud
    assert "install" not in loud.replace("installed", "")


def test_what_others_added_is_always_shown_and_nothing_offers_to_put_it_back() -> None:
    added = Difference(SERVICE, "istio", "added", "metadata.labels.x", manager="alice", time="T3")

    said = shown(added, INJECTED)

    assert "metadata.labels.x (added by alice at T3; an install leaves it)" in said
    assert "everything is as it was installed" not in said
    assert "puts it back" not in said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 100, f"{'x' * 59}…"),
        ({"a": [1]}, '{"a": [1]}'),
        ("two\nlines", "two lines"),
        (None, "null"),
        (True, "true"),
    ],
)
def test_values_are_one_short_line(value: object, text: str) -> None:
    changed = Difference(SERVICE, "istio", "edit", "a", value, "new")

    assert f"a: {text}, wanted new" in shown(changed)


def test_why_fields_are_not_told_comes_first() -> None:
    said = shown(Difference(SERVICE, "istio", "edit", manager="m", time="T"), problem="no sources")

    assert said.index("no sources") < said.index("Service n/s: changed by m at T")


def test_where_fields_are_unknown_only_objects_are_spoken_of() -> None:
    said = shown(problem="fields cannot be told")
    assert "no drift: no object was changed since it was installed" in said


def test_where_nothing_is_installed_nothing_is_said_of_drift() -> None:
    args = Namespace(verbose=False, program="kserve-installer")
    assert list(lines(DriftReport([]), "", Terminal(), args)) == []

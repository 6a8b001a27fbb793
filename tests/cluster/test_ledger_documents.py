"""The ledger's documents: what was written is read again, and nothing is taken for granted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from installer.cluster.ledger_documents import (
    Damaged,
    Newer,
    record_of,
    record_text,
    stack_of,
    stack_text,
)
from installer.cluster.records import ComponentRecord, Ledger, Run
from installer.core.objects import Ref
from installer.plan.drift import Entry
from installer.plan.handover import Handover

REF = Ref("apps/v1", "Deployment", "istio-system", "istiod")
RECORD = ComponentRecord(
    "istio",
    "1.6.2",
    "installed",
    {"crds": "done"},
    {REF.identity: Entry(REF, "sent", "seen", True)},
)
RUN = Run("1", "install", "kfserving-0.5.1", "2026-01-01T00:00:00Z", "ann@laptop")
KEEPER = Handover("helm", "cert-manager", "cm", ("cert-manager",), ("helm",))
STACK = Ledger(
    "kfserving-0.5.1",
    "installed",
    "digest",
    ("cert-manager",),
    (RUN,),
    ("istio",),
    handovers=(KEEPER,),
)


def test_what_was_written_is_read_again() -> None:
    assert record_of(record_text(RECORD), "istio") == RECORD
    assert stack_of(stack_text(STACK)) == STACK


def changed(text: str, **members: Any) -> str:
    """The document with members replaced; None takes one out."""
    data = {**json.loads(text), **members}
    return json.dumps({key: value for key, value in data.items() if value is not None})


def test_what_a_later_version_adds_is_left_aside() -> None:
    run = {**json.loads(stack_text(STACK))["runs"][0], "added": 1}
    assert stack_of(changed(stack_text(STACK), runs=[run], added=[1])) == STACK


def test_a_ledger_from_before_names_were_kept_has_lost_nothing() -> None:
    found = stack_of(changed(stack_text(STACK), components=None))
    assert (found.names, found.lost) == ((), ())
    assert stack_of(changed(stack_text(STACK), handovers=None)).handovers == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no ledger.json"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "no JSON object"),
        ("{}", "format is missing"),
        (changed(stack_text(STACK), format="1"), "format is str, not int"),
        ("[" * 100_000, "nested too deeply|not JSON"),
        ("null", "no JSON object"),
        (changed(stack_text(STACK), format=True), "format is True"),
        (changed(stack_text(STACK), format=0), "format is 0"),
        (changed(stack_text(STACK), format=1.5), "format is float"),
        (changed(stack_text(STACK), settings="\ud800"), "half a character"),
        (changed(stack_text(STACK), release=None), "release is missing"),
        (changed(stack_text(STACK), release=1), "release is int, not str"),
        (changed(stack_text(STACK), state="odd"), "state is 'odd'"),
        (changed(stack_text(STACK), external="cert-manager"), "external is str, not list"),
        (changed(stack_text(STACK), external=[1]), "external has something that is no text"),
        (changed(stack_text(STACK), components=[{}]), "components has something"),
        (changed(stack_text(STACK), runs={}), "runs is dict, not list"),
        (changed(stack_text(STACK), runs=["a"]), "a run is no object"),
        (changed(stack_text(STACK), runs=[{"id": "1"}]), "command is missing"),
        (changed(stack_text(STACK), runs=[{**json.loads(stack_text(STACK))["runs"][0],
                                           "outcome": 3}]), "outcome is int"),
        (changed(stack_text(STACK), handovers={}), "handovers is no list of objects"),
        (changed(stack_text(STACK), handovers=[{"keeper": "me"}]), "keeper 'me', which is none"),
        (changed(stack_text(STACK), handovers=[{"keeper": "helm"}]), "namespace is missing"),
    ],
)  # fmt: skip
def test_a_damaged_stack_says_what_is_wrong_with_it(text: object, said: str) -> None:
    with pytest.raises(Damaged, match=said):
        stack_of(text)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"name": None}, "name is missing"),
        ({"version": 1}, "version is int"),
        ({"stages": []}, "stages is list, not dict"),
        ({"entries": {}}, "entries is dict, not list"),
        ({"entries": [["apps/v1", "Deployment"]]}, "an entry is not"),
        ({"entries": [["a", "b", "c", "d", "e", "f", "yes"]]}, "an entry is not"),
        ({"entries": [["a", "b", None, "d", "e", "f", True]]}, "no text"),
        ({"entries": [7]}, "an entry is not"),
        ({"entries": [["a", "b", "c", "d", "e", "f", True, 1]]}, "an entry is not"),
        ({"entries": [["", "b", "c", "d", "e", "f", True]]}, "does not name an object"),
        ({"entries": [["a", "b", "c", "d\ud800", "e", "f", True]]}, "half a character"),
        ({"name": "other"}, "name is other, not istio"),
        ({"name": []}, "name is list, not str"),
        ({"state": "odd"}, "state is 'odd'"),
        ({"stages": {"crds": 1}}, "crds is int"),
        ({"version": "\udfff"}, "half a character"),
    ],
)
def test_a_damaged_record_says_what_is_wrong_with_it(members: Any, said: str) -> None:
    document = {**json.loads(record_text(RECORD)), **members}
    kept = {key: value for key, value in document.items() if value is not None}
    with pytest.raises(Damaged, match=said):
        record_of(json.dumps(kept), "istio")


def test_a_later_format_is_no_damage() -> None:
    with pytest.raises(Newer, match="2"):
        record_of(changed(record_text(RECORD), format=2), "istio")


def test_only_an_installed_stack_can_have_lost_a_record() -> None:
    names = ("istio", "cert-manager")
    there = {"istio": RECORD}
    assert Ledger(state="installed", names=names, components=there).lost == ("cert-manager",)
    assert Ledger(state="installing", names=names, components=there).lost == ()

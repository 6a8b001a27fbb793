"""Whether an object has to be written."""

from __future__ import annotations

from typing import Any

import pytest

from installer.core.objects import Ref
from installer.plan.drift import RAN_ONCE, Entry, decide, seen_fingerprint

REF = Ref("v1", "ConfigMap", "n", "c")


def live(
    fields: tuple[str, ...] = ("f:a", "f:b"),
    manager: str = "kserve-installer",
    time: str = "2021-03-02T10:00:00Z",
    others: tuple[str, ...] = (),
) -> dict[str, Any]:
    entries = [
        {
            "manager": manager,
            "operation": "Apply",
            "apiVersion": "v1",
            "time": time,
            "fieldsV1": {"f:data": {name: {} for name in fields}},
        },
        *({"manager": name, "operation": "Update", "apiVersion": "v1"} for name in others),
    ]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "n", "managedFields": entries},
    }


ENTRY = Entry(REF, sent="wish", seen=seen_fingerprint(live()))
NAMELESS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


@pytest.mark.parametrize(
    ("sent", "found", "entry", "decision"),
    [
        ("wish", None, None, "create"),
        ("wish", None, ENTRY, "create"),
        ("wish", live(), None, "apply"),
        ("wish", live(), ENTRY, "unchanged"),
        ("other wish", live(), ENTRY, "apply"),
        ("wish", live(fields=("f:a",)), ENTRY, "apply"),
        ("wish", live(time="2022-01-01T00:00:00Z"), ENTRY, "apply"),
        ("wish", live(others=("somebody",)), ENTRY, "unchanged"),
        ("wish", NAMELESS, Entry(REF, "wish", seen_fingerprint(NAMELESS)), "unchanged"),
        ("wish", NAMELESS, ENTRY, "apply"),
        ("wish", live(manager="somebody"), ENTRY, "apply"),
        ("wish", live(), Entry(REF), "apply"),
    ],
)
def test_only_what_drifted_is_written(
    sent: str, found: dict[str, Any] | None, entry: Entry | None, decision: str
) -> None:
    assert decide(sent, found, entry, once=False) == decision


def test_what_runs_once_is_not_made_again_after_it_was_cleaned_up() -> None:
    assert decide("wish", None, None, once=True) == "create"
    assert decide("wish", None, Entry(REF, "wish", RAN_ONCE), once=True) == "unchanged"
    assert decide("new wish", live(), Entry(REF, "wish", RAN_ONCE), once=True) == "unchanged"

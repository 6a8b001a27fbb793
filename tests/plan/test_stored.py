"""Stored versions of a CRD on its way through several of its versions."""

from __future__ import annotations

import pytest

from installer.plan.stored import Versions, dead_end, dropped


def crd(text: str) -> Versions:
    """`v1 v2*`: two versions, stored at the one with the star."""
    names = text.replace("*", "").split()
    return Versions(frozenset(names), next(n for n in text.split() if n.endswith("*"))[:-1])


@pytest.mark.parametrize(
    ("stored", "now", "way", "expected"),
    [
        (["v1"], "v1*", ["v1*"], ""),
        (["v1"], "v1*", ["v1* v2", "v1 v2*", "v2*"], ""),
        (["v1", "v2"], "v1 v2*", ["v2*"], ""),
        (["v1"], "v1*", ["v2*"], "v1"),
        (["v1"], "v1*", ["v1 v2*", "v3*"], "v2"),
        ([], "v1*", ["v2*"], ""),
    ],
    ids=["nothing changes", "one after the other", "dropped now", "none in common", "later", "new"],
)
def test_a_version_goes_only_when_all_can_be_stored_at_another_first(
    stored: list[str], now: str, way: list[str], expected: str
) -> None:
    assert dead_end(stored, crd(now), [crd(text) for text in way]) == expected


def test_versions_that_the_next_crd_lacks_are_told() -> None:
    assert dropped(["v1alpha1", "v1beta1"], crd("v1beta1*")) == ["v1alpha1"]

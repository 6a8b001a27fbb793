"""Every check is explained in docs/checks.md, under its category."""

from __future__ import annotations

import re
from pathlib import Path

from every_check import unproven

from installer.preflight.check import CATEGORIES
from installer.preflight.registry import CHECKS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "checks.md"


def _sections() -> list[tuple[str, str]]:
    """(category, id) in the order of the document."""
    category, found = "", []
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"## ([\w-]+)", line):
            category = match[1]
        elif match := re.fullmatch(r"### ([\w-]+)", line):
            found.append((category, match[1]))
    return found


def test_each_check_has_a_section_under_its_category_and_no_section_is_left_over() -> None:
    assert sorted(_sections()) == sorted((check.category, check.id) for check in CHECKS)


def test_ids_are_unique_kebab_case_and_their_categories_known() -> None:
    ids = [check.id for check in CHECKS]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in ids)
    assert {check.category for check in CHECKS} <= set(CATEGORIES)


def test_checks_are_grouped_by_category_in_the_order_of_the_report() -> None:
    order = [CATEGORIES.index(check.category) for check in CHECKS]
    assert order == sorted(order)


def test_a_check_that_was_only_seen_one_way_is_not_proven() -> None:
    seen = {"both": {"ok", "failed"}, "fine": {"note"}, "blind": {"unknown"}}
    assert list(unproven(seen, ["both", "fine", "blind", "never"])) == [
        "fine was never seen to fail",
        "blind was never seen to hold",
        "blind was never seen to fail",
        "never was never seen to hold",
        "never was never seen to fail",
    ]

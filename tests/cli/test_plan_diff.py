"""Differences as unified YAML, or through the user's own program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from plan_rows import config, row

from installer.cli.plan_diff import VARIABLE, external, unified
from installer.cli.terminal import Terminal
from installer.core.errors import InstallerError, UsageError

CHANGED = row("change", "c", config(a="1", b="x"), config(a="2", b="x"), reason="1 field differs")


def shown(rows: list[Any], terminal: Terminal | None = None) -> list[str]:
    return list(unified(rows, terminal or Terminal()))


def test_a_changed_field_has_both_values_and_its_surroundings() -> None:
    text = shown([CHANGED])

    assert "change ConfigMap n/c: 1 field differs" in text
    assert [line for line in text if "a: '" in line] == ["-  a: '1'", "+  a: '2'"]
    assert "   b: x" in text


def test_a_new_object_is_shown_whole() -> None:
    text = shown([row("create", "c", None, config(a="1"))])

    body = [line[1:] for line in text if line.startswith("+") and not line.startswith("+++")]
    assert yaml.safe_load("\n".join(body)) == config(a="1")
    assert "--- /dev/null" in text


def test_an_object_that_goes_is_shown_whole() -> None:
    text = shown([row("delete", "c", config(a="1"), None)])

    assert "-  a: '1'" in text
    assert "+++ /dev/null" in text


def test_what_does_not_differ_is_not_shown() -> None:
    assert shown([row("unchanged", "c"), row("adopt", "d", config(), config())]) == []


def test_lines_of_a_text_are_compared_one_by_one() -> None:
    old, new = config(a="one\ntwo\nthree"), config(a="one\nTWO\nthree")

    text = shown([row("change", "c", old, new)])

    assert "-    two" in text
    assert "+    TWO" in text
    assert "     one" in text


def test_colours_are_those_of_diffs() -> None:
    text = shown([CHANGED], Terminal(colour=True))

    assert "\x1b[31m-  a: '1'\x1b[0m" in text
    assert "\x1b[32m+  a: '2'\x1b[0m" in text


PROGRAM = """
import pathlib, sys
first, live, merged = sys.argv[1:]
for side in (live, merged):
    print(first, pathlib.Path(side).name.split("-")[0])
    for file in sorted(pathlib.Path(side).iterdir()):
        print(file.name, file.read_text().count("'2'"))
sys.exit(int(first))
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    file = tmp_path / "my diff.py"
    file.write_text(PROGRAM)
    return f"{sys.executable} '{file}'"


def test_the_users_program_gets_two_directories(
    program: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [CHANGED, row("create", "d", None, config("d", a="2")), row("unchanged", "e")]

    external(rows, {VARIABLE: f"{program} 1"})

    assert capfd.readouterr().out.splitlines() == [
        "1 LIVE",
        "v1.ConfigMap.n.c 0",
        "1 MERGED",
        "v1.ConfigMap.n.c 1",
        "v1.ConfigMap.n.d 1",
    ]


def test_a_program_that_fails_is_told(program: str) -> None:
    with pytest.raises(InstallerError, match="ended with 2"):
        external([CHANGED], {VARIABLE: f"{program} 2"})


@pytest.mark.parametrize("value", ["/no/such/program -u", "'open quote"])
def test_a_program_that_cannot_be_started_is_a_mistake_of_the_user(value: str) -> None:
    with pytest.raises(UsageError, match=VARIABLE):
        external([CHANGED], {VARIABLE: value})

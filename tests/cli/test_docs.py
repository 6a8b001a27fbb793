"""Documentation that shows code is compared with it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from cli_process import ROOT, Run

from installer.cli.schema import events_page
from installer.core.errors import ExitCode
from installer.core.events import SCHEMA
from installer.plan.settings_parse import parse

README = ROOT / "README.md"
_HELP = re.compile(r"<!-- help: ([a-z -]+) -->\n```text\n(.*?)```\n", re.DOTALL)
_YAML = re.compile(r"```yaml\n(apiVersion: kserve-installer/v1\nkind: Settings\n.*?)```", re.DOTALL)


@pytest.mark.parametrize(("words", "shown"), _HELP.findall(README.read_text(encoding="utf-8")))
def test_the_help_in_the_readme_is_what_the_command_prints(
    command: Run, words: str, shown: str
) -> None:
    done = command(*words.split()[1:], "--help", env={"COLUMNS": "82"})

    assert shown == done.stdout, "run: make docs"


def test_the_readme_shows_the_main_help() -> None:
    assert "<!-- help: kserve-installer -->" in README.read_text(encoding="utf-8")


def test_the_readme_has_every_exit_code() -> None:
    rows = re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)

    assert [int(row) for row in rows] == [int(code) for code in ExitCode]


def test_the_events_page_is_made_from_the_schema() -> None:
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")

    assert page == events_page(), "run: make docs"
    assert all(f"## {name}\n" in page for name in SCHEMA)


@pytest.mark.parametrize("file", ["README.md", "docs/settings.md"])
def test_settings_in_the_documentation_are_valid(file: str) -> None:
    examples = _YAML.findall((ROOT / file).read_text(encoding="utf-8"))

    assert examples
    for text in examples:
        parse([(file, text)])


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [README, *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert broken == []


def test_the_generator_finds_nothing_to_write() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from generate_docs import pages
    finally:
        sys.path.pop(0)

    assert [p for p, text in pages().items() if Path(p).read_text(encoding="utf-8") != text] == []

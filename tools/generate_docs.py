"""Writes what documentation shows of the code: docs/events.md and help blocks of other pages.

`make docs` runs it; a test compares, so that neither can drift.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from installer.cli.commands import build
from installer.cli.schema import events_page

ROOT = Path(__file__).resolve().parent.parent
WIDTH = "82"
"""Columns of a terminal whose help fits into 80 characters."""

_BLOCK = re.compile(r"(<!-- help: ([a-z -]+) -->\n```text\n).*?(```\n)", re.DOTALL)


def with_help(page: str) -> str:
    """A page with each `<!-- help: words -->` block showing what these words print."""
    return _BLOCK.sub(lambda match: match[1] + help_of(match[2]) + match[3], page)


def help_of(words: str) -> str:
    """The `--help` of `kserve-installer` or `kserve-installer <command>`, 80 columns wide."""
    os.environ["COLUMNS"] = WIDTH
    parser = build()
    for word in words.split()[1:]:
        for action in parser._actions:
            if isinstance(action.choices, dict) and word in action.choices:
                parser = action.choices[word]
    return parser.format_help()


def pages() -> dict[Path, str]:
    """Every generated file with its content."""
    found = {ROOT / "docs" / "events.md": events_page()}
    for page in (ROOT / "README.md", ROOT / "docs" / "serving.md", ROOT / "docs" / "fleet.md"):
        found[page] = with_help(page.read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Write them; with --check only say which differ, and exit with 1 if one does."""
    differ = [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in differ:
            print(f"{path.relative_to(ROOT)} is not as the code says; run: make docs")
        return 1 if differ else 0
    for path in differ:
        path.write_text(pages()[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

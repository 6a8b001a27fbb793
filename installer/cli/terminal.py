"""What a stream can show: colour, Unicode, a live region, how many columns."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_FANCY = {
    "ok": "✔",
    "failed": "✘",
    "warn": "‼",
    "idle": "·",
    "dash": "—",
    "cut": "…",
    "holds": "√",
    "broken": "×",
}
_PLAIN = {
    "ok": "+",
    "failed": "x",
    "warn": "!",
    "idle": ".",
    "dash": "-",
    "cut": "~",
    "holds": "+",
    "broken": "x",
}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_SPINNER = "-\\|/"


@dataclass(frozen=True, slots=True)
class Terminal:
    """The abilities of one output stream.

    width: columns to fill, None when lines may be of any length (a pipe).
    live: a region of the screen can be redrawn.
    """

    colour: bool = False
    unicode: bool = False
    live: bool = False
    width: int | None = None

    @classmethod
    def of(
        cls, stream: TextIO, *, no_colour: bool = False, environ: Mapping[str, str] | None = None
    ) -> Terminal:
        """Look at a stream and the environment (NO_COLOR, TERM, COLUMNS)."""
        env = os.environ if environ is None else environ
        tty = stream.isatty()
        able = tty and env.get("TERM", "") not in ("", "dumb")
        colour = able and not no_colour and not env.get("NO_COLOR")
        width = shutil.get_terminal_size().columns if tty else None
        return cls(colour=colour, unicode=_shows(stream), live=able, width=width)

    def icon(self, name: str) -> str:
        """`ok`, `failed`, `warn`, `idle`, `dash`, `cut`, `holds`, `broken`: a sign it can show."""
        return (_FANCY if self.unicode else _PLAIN)[name]

    def spinner(self, tick: int) -> str:
        """One frame of something that moves."""
        frames = _SPINNER if self.unicode else _PLAIN_SPINNER
        return frames[tick % len(frames)]

    def paint(self, text: str, style: str) -> str:
        """The text in bold, dim, red, green, yellow or cyan where colours are on."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and text else text

    def fit(self, text: str) -> str:
        """The text cut to the width of the terminal; whole where there is none."""
        if self.width is None or len(text) <= self.width:
            return text
        return text[: max(self.width - 1, 0)] + self.icon("cut")


def _shows(stream: TextIO) -> bool:
    try:
        ("".join(_FANCY.values()) + _SPINNER).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def duration(seconds: float) -> str:
    """Seconds for a reader: `0.4s`, `12s`, `1m30s`, `2h5m`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60}s"
    return f"{whole // 3600}h{whole % 3600 // 60}m"


def size(count: float) -> str:
    """Bytes for a reader: `512 B`, `1.4 MB`."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"


def table(rows: list[list[str]], indent: int = 2, right: frozenset[int] = frozenset()) -> list[str]:
    """Rows as lines of aligned columns, two spaces between; `right` aligns those to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return lines

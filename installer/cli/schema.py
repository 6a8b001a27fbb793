"""`core.events.SCHEMA` as something that can be checked against, and as docs/events.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from installer.core.events import SCHEMA

_KEYS = re.compile(r"^(?:list of |object )\{([^}]*)\}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

_INTRODUCTION = """\
With `-o json`, `install` and `uninstall` print one JSON object per line on standard output.
Each has `event` and `time` (RFC 3339, UTC, milliseconds). The last line is always `finished`,
whatever happened, a wrong command line that asks for `-o json` included; only a second Ctrl-C or
SIGKILL leaves it out. Readers should ignore events and fields they do not know: new ones may come,
the meaning of those below stays.

Every other command with `-o json` (or `yaml`) prints one document. When it fails, the document is
`{"error": {"kind", "message", "object", "remedy"}, "exit_code"}` instead: the same error that
`finished` has, for a wrong command line too. `kind` is a stable word, the other three are for
people and empty where there is nothing to say. Standard error has the sentence in any case.

Components are worked on at the same time, so their lines mix; `component` and `stage` say where
a line belongs. In an uninstall `component` is empty: it works on all of them at once."""


def problems_of(line: Mapping[str, Any]) -> list[str]:
    """What is wrong with one decoded JSON line; empty when it is as the schema says."""
    name = line.get("event")
    if name not in SCHEMA:
        return [f"there is no event {name!r}"]
    wanted = SCHEMA[name][1]
    found = [] if _TIME.fullmatch(str(line.get("time"))) else ["time is not RFC 3339 with ms, UTC"]
    for key, words in wanted.items():
        if key in line:
            found += [f"{key}: {problem}" for problem in _mismatch(line[key], words)]
        elif not optional(words):
            found.append(f"{key} is missing")
    unknown = set(line) - set(wanted) - {"event", "time"}
    return [
        f"{name}: {problem}" for problem in [*found, *(f"unknown {k}" for k in sorted(unknown))]
    ]


def optional(words: str) -> bool:
    """A field that is not in every event of its name."""
    return "only on" in words


def _mismatch(value: Any, words: str) -> Iterator[str]:
    kind = re.split(r"[:; ]", words, maxsplit=1)[0]
    keys = _KEYS.match(words)
    names = [part.strip() for part in keys[1].split(",")] if keys else []
    if kind == "string" and not isinstance(value, str):
        yield f"{value!r} is not a string"
    elif kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        yield f"{value!r} is not a number"
    elif kind == "object":
        yield from _keys(value, names)
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{value!r} is not a list"
        elif words.startswith("list of strings"):
            yield from (f"{item!r} is not a string" for item in value if not isinstance(item, str))
        else:
            for item in value:
                yield from _keys(item, names)


def _keys(value: Any, names: list[str]) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{value!r} is not an object"
        return
    yield from (f"{name} is missing" for name in names if name not in value)


def events_page() -> str:
    """docs/events.md."""
    lines = [
        "# Events",
        "",
        "<!-- made by tools/generate_docs.py from installer/core/events.py -->",
        "",
        _INTRODUCTION,
        "",
    ]
    for name, (meaning, wanted) in SCHEMA.items():
        lines += [f"## {name}", "", f"{meaning[0].upper()}{meaning[1:]}.", ""]
        lines += ["| field | |", "|---|---|"]
        lines += [f"| `{key}` | {words} |" for key, words in wanted.items()]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"

"""A component file as text, block by block, so that what people wrote in it stays as it is.

A block is a top-level key with its value and the comment lines above it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

ORDER = (
    "name", "version", "title", "pinned", "why", "namespace", "namespace_labels", "needs",
    "kubernetes", "stop", "sources", "counts", "controller_owned", "create_only",
    "stage_overrides", "drop", "never_prune", "makes", "runtime_apis", "config_maps", "knobs",
    "changes", "webhook_probes", "images", "notes",
)  # fmt: skip
"""In which order keys are written that a file does not have yet."""
_TOGETHER = ORDER[: ORDER.index("needs") + 1]
_WIDTH = 98
_KEY = re.compile(r"^([a-z_]+):", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z][\w./ '();,+*@…-]*")


class ComponentText:
    """The blocks of a component file."""

    def __init__(self, text: str) -> None:
        self.blocks: dict[str, str] = {}
        comment = ""
        key = ""
        for line in text.splitlines(keepends=True):
            if line.startswith("#"):
                comment += line
            elif found := _KEY.match(line):
                key = found[1]
                self.blocks[key] = comment + line
                comment = ""
            elif line.strip():
                self.blocks[key] += line
        self._were = list(self.blocks)

    def put(self, key: str, body: str, comment: str = "") -> None:
        """Set a block: body is what follows `key:`. A comment that is there stays, without one
        given."""
        kept = "".join(
            line for line in self.blocks.get(key, "").splitlines(True) if line.startswith("#")
        )
        head = "".join(f"# {line}\n" for line in comment.splitlines()) if comment else kept
        self.blocks[key] = f"{head}{key}:{body.rstrip()}\n"

    def drop(self, key: str) -> None:
        """Leave a block out."""
        self.blocks.pop(key, None)

    def keep_items(self, key: str, wanted: Callable[[Any], bool]) -> None:
        """Keep those items of a list block that are wanted; without any the block goes."""
        if key not in self.blocks:
            return
        head, *items = re.split(r"(?m)^(?=  - )", self.blocks[key])
        kept = [item for item in items if wanted(yaml.safe_load(item)[0])]
        if kept:
            self.blocks[key] = head + "".join(kept)
        else:
            self.drop(key)

    def add_items(self, key: str, items: Iterable[Mapping[str, Any]], comment: str = "") -> None:
        """Add items to a list block."""
        text = "".join(mapping_item(item) for item in items)
        if text and key in self.blocks:
            self.blocks[key] += text
        elif text:
            self.put(key, "\n" + text, comment)

    def __str__(self) -> str:
        text = ""
        for key in self._order():
            apart = text and (key not in _TOGETHER)
            text += ("\n" if apart else "") + self.blocks[key]
        return text

    def _order(self) -> list[str]:
        """The keys as they were in the file; new ones before the first that comes after them."""
        keys = [key for key in self._were if key in self.blocks]
        for key in self.blocks:
            if key not in keys:
                later = ORDER[ORDER.index(key) + 1 :]
                keys.insert(next((i for i, k in enumerate(keys) if k in later), len(keys)), key)
        return keys


def scalar(value: Any) -> str:
    """A value on one line, quoted where YAML would read something else than this text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    single = f"'{text}'"
    if re.fullmatch(r"[\d.]+", text) and not _reads_back(text):
        return f'"{text}"'
    return text if _reads_back(text) else single if "'" not in text else f'"{text}"'


def _reads_back(text: str) -> bool:
    try:
        return bool(yaml.safe_load(f"k: {text}") == {"k": text})
    except yaml.YAMLError:
        return False


def field(key: str, value: Any, indent: int) -> str:
    """`key: value`, folded where it is too long for a line."""
    line = f"{' ' * indent}{key}: {scalar(value)}"
    if len(line) <= _WIDTH + 2 or " " not in str(value):
        return line + "\n"
    wrapped = textwrap.wrap(str(value), _WIDTH - indent - 2)
    pad = " " * (indent + 2)
    return f"{' ' * indent}{key}: >-\n" + "".join(f"{pad}{part}\n" for part in wrapped)


def mapping_item(item: Mapping[str, Any]) -> str:
    """A mapping of scalars as an item of a list."""
    text = "".join(field(key, value, 4) for key, value in item.items())
    return "  - " + text.removeprefix("    ")


def flow(item: Mapping[str, Any]) -> str:
    """A mapping of scalars on one line: `{kind: Service, name: x}`."""
    return "{" + ", ".join(f"{key}: {scalar(value)}" for key, value in item.items()) + "}"


def text_items(items: Iterable[str]) -> str:
    """A list of texts, folded where they are too long."""
    out = "\n"
    for item in items:
        line = f"  - {scalar(item)}"
        if len(line) <= _WIDTH or " " not in item:
            out += line + "\n"
        else:
            out += "  - >-\n" + "".join(f"    {p}\n" for p in textwrap.wrap(item, _WIDTH - 4))
    return out

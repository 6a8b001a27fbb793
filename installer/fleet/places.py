"""Where in the files of an inventory something is said: file and line of hosts and variables.

Ansible tells values but not where they come from, so the files are read a second time here, for
places only. What is found nowhere (a dynamic inventory, say) has the inventory itself as its place.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from installer.catalog.yaml_loader import LOADER

_LIMIT = 5_000_000
_SECTION = re.compile(r"\[([^\]:]+)(?::(vars|children|hosts))?\]\s*(?:[#;].*)?$")

Place = tuple[str, int]
"""A file and a line in it, from 1."""


@dataclass(slots=True)
class Places:
    """hosts: where a host is first listed. variables: (host or group, its name, variable) to the
    place that wins. twice: keys of a mapping that are there twice, of which Ansible takes the last:
    what it is, the place of the later one, the line of the earlier."""

    default: Place
    hosts: dict[str, Place] = field(default_factory=dict)
    variables: dict[tuple[str, str, str], Place] = field(default_factory=dict)
    twice: list[tuple[str, Place, int]] = field(default_factory=list)

    def of_host(self, host: str) -> Place:
        """Where the host is listed."""
        return self.hosts.get(host, self.default)

    def of_variable(self, host: str, groups: Sequence[str], name: str) -> tuple[str, Place]:
        """Whose variable it is (the host's or a group's name), and where; groups: inner first."""
        for kind, scope in [("host", host), *(("group", group) for group in groups)]:
            if found := self.variables.get((kind, scope, name)):
                return scope, found
        return host, self.of_host(host)


def find_places(inventory: Sequence[Path]) -> Places:
    """Read every file of the inventory, and the host_vars and group_vars beside it."""
    places = Places((str(inventory[0]) if inventory else "inventory", 1))
    for source in inventory:
        beside = source if source.is_dir() else source.parent
        files = sorted(p for p in source.iterdir() if p.is_file()) if source.is_dir() else [source]
        for file in files:
            if not file.name.startswith(".") and (text := _text(file)):
                _read_inventory_file(places, file, text)
        for kind in ("group", "host"):
            for file in sorted((beside / f"{kind}_vars").rglob("*")):
                if file.is_file() and (text := _text(file)):
                    inner = file.relative_to(beside / f"{kind}_vars").parts[0]
                    scope = Path(inner).stem if file.parent.name == f"{kind}_vars" else inner
                    _read_variables(places, file, kind, scope, _compose(text))
    return places


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _LIMIT:
            return ""
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""  # Ansible itself says what is wrong with it


def _compose(text: str) -> Any:
    """The node tree of YAML text; None for text that is none. No value is constructed."""
    try:
        return yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        return None


def _read_inventory_file(places: Places, file: Path, text: str) -> None:
    node = _compose(text)
    if isinstance(node, yaml.MappingNode):
        _read_groups(places, file, node)
    else:
        _read_ini(places, file, text)


def _read_groups(places: Places, file: Path, node: Any) -> None:
    for group, _, parts in _items(places, file, node, "group"):
        for part, _, inner in _items(places, file, parts, f"part of group {group}"):
            if part == "vars":
                _read_variables(places, file, "group", group, inner)
            elif part == "children":
                _read_groups(places, file, inner)
            elif part == "hosts":
                for host, line, variables in _items(places, file, inner, "host"):
                    places.hosts.setdefault(host, (str(file), line))
                    _read_variables(places, file, "host", host, variables)


def _read_variables(places: Places, file: Path, kind: str, scope: str, node: Any) -> None:
    for name, line, _ in _items(places, file, node, f"variable of {scope}"):
        places.variables[kind, scope, name] = (str(file), line)


def _items(places: Places, file: Path, node: Any, what: str) -> Iterator[tuple[str, int, Any]]:
    """Keys of a mapping with their lines and values; what is there twice is noted."""
    seen: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name, line = str(key.value), key.start_mark.line + 1
        if name in seen:
            places.twice.append((f"{what} {name}", (str(file), line), seen[name]))
        seen[name] = line
        yield name, line, value


def _read_ini(places: Places, file: Path, text: str) -> None:
    group, part = "ungrouped", ""
    seen: dict[tuple[str, str], int] = {}
    for line, raw in enumerate(text.splitlines(), 1):
        content = raw.strip()
        if not content or content[0] in "#;":
            continue
        if match := _SECTION.match(content):
            group, part = match[1], match[2] or ""
        elif part == "vars":
            name = content.partition("=")[0].strip()
            places.variables["group", group, name] = (str(file), line)
        elif part != "children":
            host = _read_ini_host(places, (str(file), line), content)
            if (group, host) in seen:
                places.twice.append((f"host {host}", (str(file), line), seen[group, host]))
            seen[group, host] = line


def _read_ini_host(places: Places, place: Place, content: str) -> str:
    """The host of the line, whose variables are noted."""
    try:
        host, *words = shlex.split(content, comments=True)
    except ValueError:
        return content  # an open quote: Ansible says so
    places.hosts.setdefault(host, place)
    for word in words:
        places.variables["host", host, word.partition("=")[0]] = place
    return host


def groups_of(host: str, groups: Mapping[str, Any]) -> list[str]:
    """The groups that hold a host, inner ones first, `all` last; groups: as Ansible lists them."""
    held = [name for name, group in groups.items() if host in _member(group, "hosts")]
    for inner in held:  # grows while it is walked
        outer = [name for name, group in groups.items() if inner in _member(group, "children")]
        held += [name for name in outer if name not in held]
    return [*(name for name in held if name != "all"), "all"]


def _member(group: Any, part: str) -> Sequence[str]:
    return group.get(part, ()) if isinstance(group, dict) else ()

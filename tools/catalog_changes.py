"""Writes `changes` of every component file: what differs between versions that a hop goes between.

    python tools/catalog_changes.py --facts FACTS --mirror MIRROR

Where both versions' manifests are at hand they are compared as `catalog check --mirror` does;
otherwise the records' differences of neighbouring versions are put together.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from component_text import ComponentText, flow, scalar
from draft_component import VERSIONS
from upstream_told import SECTIONS, records

from installer.catalog import facts
from installer.catalog.load import load
from installer.catalog.model import Catalog, Component
from installer.catalog.parse import parse
from installer.catalog.places import mirror_path
from installer.catalog.versions import order
from installer.core.objects import Object
from installer.plan.stops import hop_of

NOTHING = "since that version, applying is enough: nothing to remove or to recreate"
_NAMED = re.compile(
    r"(?P<kind>\w+)(\.(?P<group>[\w.-]+))? ((?P<namespace>[^/ ]+)/)?(?P<name>[^ ]+)"
)
_STORED = ("storage version", "versions removed")
Item = Mapping[str, str]
"""{kind, namespace, name} of an object; namespace left out for those of the whole cluster."""
Sections = dict[str, list[Item]]
"""Items by the name of their list: removed, immutable, storage."""


def steps(catalog: Catalog) -> dict[tuple[str, str], list[str]]:
    """Versions that hops come from, by the (component, version) that they come to."""
    found: dict[tuple[str, str], set[str]] = {}
    for release in catalog.releases.values():
        for origin in release.reachable_from:
            hop = hop_of(catalog, origin, release.name)
            before = {change.name: change.current for change in hop.changes}
            for stop in hop.stops:
                for name, version in stop.items():
                    if before.get(name) and before[name] != version:
                        found.setdefault((name, version), set()).add(before[name])
                before = dict(stop)
    return {key: sorted(since, key=order) for key, since in found.items()}


def difference(before: Component, after: Component, given: argparse.Namespace) -> Sections:
    """What an upgrade between the two versions has to do beside applying."""
    both = [_sent(component, given.mirror) for component in (before, after)]
    if not all(both):
        return _recorded(after.name, before.version, after.version, given.facts)
    found = facts.difference(*both)
    return {
        name: [
            _item(kind, namespace, called)
            for _, kind, namespace, called in sorted(identities, key=_by_name)
        ]
        for name, identities in (
            ("removed", found.removed),
            ("immutable", found.immutable),
            ("storage", found.storage),
        )
    }


def _sent(component: Component, mirror: Path) -> list[Object]:
    """Objects that an install sends; empty where a source is not in the mirror."""
    paths = [mirror / (source.rendered or mirror_path(source.url)) for source in component.applied]
    if not all(path.exists() for path in paths):
        return []
    objects = facts.unique(obj for path in paths for obj in _read(path))
    return [obj for obj in objects if not any(rule.matches(obj) for rule in component.drop)]


@cache
def _read(path: Path) -> list[Object]:
    return parse(path.read_bytes(), path.name)


def _by_name(identity: tuple[str, str, str, str]) -> tuple[str, ...]:
    return identity[1:]


def _item(kind: str, namespace: str, name: str) -> Item:
    item = {"kind": kind}
    if namespace:
        item["namespace"] = namespace
    return {**item, "name": name}


def _recorded(component: str, since: str, version: str, folder: Path) -> Sections:
    """From the records' neighbours: removed on the way and not there again at its end."""
    section: Mapping[str, Any] = records(folder, "diffs")[SECTIONS[component]]
    removed: dict[tuple[str, ...], Item] = {}
    lists: dict[str, dict[tuple[str, ...], Item]] = {"immutable": {}, "storage": {}}
    for step in _way(list(section), f"v{since}", f"v{version}"):
        entry = section[step]
        for text in entry.get("removed", ()):
            key, item = _parsed(text)
            removed[key] = item
        for text in entry.get("added", ()):
            removed.pop(_parsed(text)[0], None)
        for text in entry.get("immutable", ()):
            key, item = _parsed(text.partition(": ")[0])
            lists["immutable"][key] = item
        for text in entry.get("crd", ()):
            name, _, what = text.partition(": ")
            if what.startswith(_STORED):
                lists["storage"][(name,)] = _item("CustomResourceDefinition", "", name)
    gone = set(removed)
    return {
        "removed": [removed[key] for key in sorted(removed)],
        **{
            name: [items[key] for key in sorted(items) if key not in gone]
            for name, items in lists.items()
        },
    }


def _way(pairs: Sequence[str], since: str, version: str) -> Iterator[str]:
    follows = {one: (other, pair) for pair in pairs for one, _, other in [pair.partition(" -> ")]}
    at = since
    while at != version:
        at, pair = follows[at]
        yield pair


def _parsed(text: str) -> tuple[tuple[str, ...], Item]:
    found = _NAMED.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not `Kind.group namespace/name`")
    parts = found.groupdict(default="")
    key = (parts["group"], parts["kind"], parts["namespace"], parts["name"])
    return key, _item(parts["kind"], parts["namespace"], parts["name"])


def body(changes: Mapping[str, Sections]) -> str:
    """The block's text, by the version that each is since."""
    text = "\n"
    for since, sections in changes.items():
        text += f"  - since: {scalar(since)}\n"
        for name, items in sections.items():
            if items:
                text += f"    {name}:\n" + "".join(f"      - {flow(item)}\n" for item in items)
    return text


def main() -> None:
    """Write the block in every file that has one, or should."""
    parser = argparse.ArgumentParser(description="fill in `changes` of component files")
    parser.add_argument("--facts", type=Path, required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    given = parser.parse_args()
    catalog = load(VERSIONS)
    wanted = steps(catalog)
    for name, version in catalog.components:
        path = VERSIONS / "components" / name / f"{version}.yaml"
        text = ComponentText(path.read_text(encoding="utf-8"))
        text.drop("changes")
        component = catalog.components[(name, version)]
        changes = {
            since: difference(catalog.components[(name, since)], component, given)
            for since in wanted.get((name, version), ())
        }
        if changes:
            told_something = any(any(sections.values()) for sections in changes.values())
            text.put("changes", body(changes), "" if told_something else NOTHING)
        path.write_text(str(text), encoding="utf-8")


if __name__ == "__main__":
    main()

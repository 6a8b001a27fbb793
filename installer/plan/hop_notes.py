"""What a hop does beside applying, as the catalog knows it: for people to read before. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from installer.catalog.model import Catalog, Changes, Component, ObjectMatch
from installer.plan.hop import Hop
from installer.plan.pruning import KEPT


@dataclass(frozen=True, slots=True)
class HopNotes:
    """removed, recreated, stored: objects as `Kind namespace/name`; stored: CRDs whose stored
    version changes or loses versions. manual: what people have to do. models: what those with
    InferenceServices have to know. restarts: components whose pods are replaced. final: what
    `rollback` cannot undo.
    """

    removed: tuple[str, ...]
    recreated: tuple[str, ...]
    stored: tuple[str, ...]
    manual: tuple[str, ...]
    models: tuple[str, ...]
    restarts: tuple[str, ...]
    final: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Lists by name."""
        return {name: list(getattr(self, name)) for name in self.__slots__}


def notes_of(catalog: Catalog, hop: Hop) -> HopNotes:
    """What is known about a hop."""
    passed = list(_passed(catalog, hop))
    removed = (
        *_names(m for _, c in passed for m in c.removed if m.kind not in KEPT),
        *(
            f"everything of {c.name} {c.current} but its Namespaces and CRDs"
            for c in hop.ours
            if c.current and not c.target
        ),
    )
    recreated = tuple(_names(m for _, c in passed for m in c.immutable))
    stored = tuple(_names(m for _, c in passed for m in c.storage))
    before, after = catalog.releases[hop.origin], catalog.releases[hop.target]
    manual = []
    if hop.kubernetes is not None:
        manual.append(f"{hop.kubernetes}, then run the same command again")
        if hop.kubernetes.gap:
            manual.append(
                f"no Kubernetes runs both {hop.origin} and {hop.target}: let the hop follow at "
                "once, and do not reinstall in between"
            )
    for skip in hop.skipped:
        if not skip.hard:
            manual.append(
                f"{skip} is passed over: restart pods that have a sidecar of the old version"
            )
    final = [f"{name} is stored at another version" for name in stored]
    final += [f"{name} is made anew" for name in recreated]
    if before.serving.group != after.serving.group:
        final.append(f"InferenceServices move from {before.serving.group} to {after.serving.group}")
    gone = sorted(set(before.serving.versions) - set(after.serving.versions))
    if gone and before.serving.group == after.serving.group:
        final.append(f"InferenceService {', '.join(gone)} is no longer served")
    restarts = tuple(c.name for c in hop.ours if c.changes and c.target)
    models = tuple(_on_the_way(catalog, hop))
    return HopNotes(removed, recreated, stored, tuple(manual), models, restarts, tuple(final))


def _on_the_way(catalog: Catalog, hop: Hop) -> Iterator[str]:
    """What the release gone to says, and those that the hop passes over."""
    names = list(catalog.releases)
    if not hop.back:
        for name in names[names.index(hop.origin) + 1 : names.index(hop.target) + 1]:
            yield from catalog.releases[name].on_upgrade


def _passed(catalog: Catalog, hop: Hop) -> Iterator[tuple[Component, Changes]]:
    """Every component version that the hop applies, with its changes since the one before."""
    before = {c.name: c.current for c in hop.changes}
    for versions in hop.stops:
        for name, version in versions.items():
            if name in hop.external or not before.get(name) or before[name] == version:
                continue
            component = catalog.components[(name, version)]
            for change in component.changes:
                # with stops in between, what changed since an earlier version is told by them
                if change.since == before[name]:
                    yield component, change
        before = dict(versions)


def _names(matches: Iterator[ObjectMatch]) -> list[str]:
    said = [
        f"{m.kind} {m.namespace}/{m.name}" if m.namespace else f"{m.kind} {m.name or '*'}"
        for m in matches
    ]
    return list(dict.fromkeys(said))

"""`catalog check`: is a catalog well formed and, against a mirror, is it true?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from installer.catalog import facts, rules
from installer.catalog.digest import objects_sha256
from installer.catalog.load import PACKAGED, Read, read_directory
from installer.catalog.model import Component, ObjectMatch, Release, Source
from installer.catalog.parse import parse
from installer.catalog.places import mirror_path
from installer.core.errors import InvalidInput, Problem
from installer.core.objects import Object, ObjectId, ref_of

_GIVEN_NAMESPACES = ("default", "kube-system")
_BUILT_IN = ("", "apps", "autoscaling", "batch", "policy", "extensions")


def check(directory: Path | None = None, mirror: Path | None = None) -> list[Problem]:
    """Everything wrong with a catalog; None means the packaged one.

    With a mirror (a folder laid out `<host>/<path>`), the manifests themselves are read and every
    claim about them is checked: bytes, images, counts, Kubernetes range, rules, needs, changes.
    """
    read = read_directory(directory or PACKAGED)
    problems = [*read.problems, *rules.problems(read)]
    if mirror is not None:
        problems.extend(_against(read, mirror))
    return problems


@dataclass(frozen=True, slots=True)
class _Manifests:
    """A component with the objects of its sources; optional ones apart."""

    file: str
    component: Component
    applied: Sequence[Object]
    optional: Sequence[Object]

    @property
    def sent(self) -> list[Object]:
        """What is left of `applied` when `drop` has been."""
        rules = self.component.drop
        return [obj for obj in self.applied if not any(rule.matches(obj) for rule in rules)]


def _against(read: Read, mirror: Path) -> Iterator[Problem]:
    problems: list[Problem] = []
    known: dict[tuple[str, str], _Manifests] = {}
    for file, component in read.components.items():
        before = len(problems)
        manifests = _manifests(file, component, mirror, problems)
        if len(problems) == before:
            known[(component.name, component.version)] = manifests
    for manifests in known.values():
        problems.extend(_component(manifests))
        problems.extend(_changes(manifests, known))
    for file, release in read.releases.items():
        keys = [(ref.name, ref.version) for ref in release.components]
        if all(key in known for key in keys):
            problems.extend(_release(file, release, [known[key] for key in keys]))
    yield from problems


def _manifests(
    file: str, component: Component, mirror: Path, problems: list[Problem]
) -> _Manifests:
    applied: list[Object] = []
    optional: list[Object] = []
    for index, source in enumerate(component.sources):
        objects = _objects(file, f"sources[{index}]", source, mirror, problems)
        (optional if source.optional else applied).extend(objects)
    return _Manifests(file, component, facts.unique(applied), optional)


def _objects(
    file: str, path: str, source: Source, mirror: Path, problems: list[Problem]
) -> list[Object]:
    place = source.rendered or mirror_path(source.url)
    try:
        data = (mirror / place).read_bytes()
    except OSError as error:
        problems.append(Problem(file, f"{path}.url", f"{place}: {error.strerror}", "in the mirror"))
        return []
    if source.kind == "manifest":
        digest = hashlib.sha256(data).hexdigest()
        if digest != source.sha256:
            problems.append(Problem(file, f"{path}.sha256", source.sha256, f"{digest} ({place})"))
        if len(data) != source.size:
            problems.append(Problem(file, f"{path}.size", str(source.size), f"{len(data)}"))
    try:
        objects = parse(data, place)
    except InvalidInput as error:
        problems.extend(error.problems)
        return []
    if source.kind == "istioctl":
        digest = objects_sha256(objects)
        if digest != source.rendered_objects_sha256:
            problems.append(
                Problem(
                    file,
                    f"{path}.rendered_objects_sha256",
                    source.rendered_objects_sha256 or "nothing",
                    f"{digest} ({place})",
                )
            )
    return objects


def _component(manifests: _Manifests) -> Iterator[Problem]:
    file, component = manifests.file, manifests.component
    counts = facts.counts_of(manifests.applied)
    if counts != component.counts:
        yield Problem(file, "counts", _said(component.counts), _said(counts))
    yield from _images(manifests)
    yield from _kubernetes(manifests)
    yield from _rules(manifests)
    present = {ref_of(obj).identity for obj in manifests.applied}
    for obj in manifests.applied:
        for service in facts.services_called(obj):
            if service.identity not in present:
                found = f"{ref_of(obj)} calls {service}"
                yield Problem(file, "sources", found, "that Service in a source")


def _said(counts: object) -> str:
    return str(counts).removeprefix("Counts")


def _images(manifests: _Manifests) -> Iterator[Problem]:
    found = set(facts.images_of(manifests.applied))
    claimed = set(manifests.component.images)
    for image in sorted(found - claimed):
        yield Problem(manifests.file, "images", f"without {image}", "every image of the sources")
    for image in sorted(claimed - found):
        yield Problem(manifests.file, "images", image, "only images of the sources")


def _kubernetes(manifests: _Manifests) -> Iterator[Problem]:
    span = manifests.component.kubernetes
    last, gone = facts.last_kubernetes(manifests.sent)
    if last and (span.max is None or rules.later(span.max.version, last) or not span.max.hard):
        found = span.max.version if span.max else "none"
        yield Problem(
            manifests.file, "kubernetes.max", found, f"{last} at most: {', '.join(gone)} ends there"
        )
    first, served = facts.first_kubernetes(manifests.sent)
    if first and (span.min is None or rules.later(first, span.min.version)):
        found = span.min.version if span.min else "none"
        yield Problem(
            manifests.file,
            "kubernetes.min",
            found,
            f"{first} at least: {', '.join(served)} starts there",
        )


def _rules(manifests: _Manifests) -> Iterator[Problem]:
    """Rules that match nothing are mistakes, or leftovers of the version they were copied from."""
    component = manifests.component
    everything = [*manifests.applied, *manifests.optional]
    fields: tuple[tuple[str, Sequence[ObjectMatch]], ...] = (
        ("controller_owned", component.controller_owned),
        ("stage_overrides", component.stage_overrides),
        ("create_only", component.create_only),
        ("never_prune", component.never_prune),
        ("drop", component.drop),
    )
    for name, matches in fields:
        for index, match in enumerate(matches):
            if not any(match.matches(obj) for obj in everything):
                yield Problem(
                    manifests.file,
                    f"{name}[{index}]",
                    f"no {match.kind} {match.name or ''}".strip() + " in the sources",
                    "an object of the sources",
                )
    yield from _named(manifests)


def _named(manifests: _Manifests) -> Iterator[Problem]:
    """Objects and webhooks that a component's file names must exist."""
    file, component = manifests.file, manifests.component
    there = {(obj["kind"], obj["metadata"].get("name")) for obj in manifests.applied}
    for index, name in enumerate(component.config_maps):
        if ("ConfigMap", name) not in there:
            yield Problem(file, f"config_maps[{index}]", name, "a ConfigMap of the sources")
    for index, knob in enumerate(component.knobs):
        if (knob.kind, knob.object) not in there:
            found = f"{knob.kind} {knob.object}"
            yield Problem(file, f"knobs[{index}]", found, "an object of the sources")
    served = facts.served_versions(manifests.applied)
    for index, probe in enumerate(component.webhook_probes):
        path, versions = f"webhook_probes[{index}]", served.get((probe.group, probe.kind))
        if versions is None:
            found = f"{probe.kind} of {probe.group}"
            yield Problem(file, path, found, "a kind that a CRD of the sources defines")
            continue
        for version in sorted(set(probe.versions) - versions):
            yield Problem(file, f"{path}.versions", version, f"of {', '.join(sorted(versions))}")


def _changes(
    manifests: _Manifests, known: Mapping[tuple[str, str], _Manifests]
) -> Iterator[Problem]:
    """What `changes` lists must be what the two versions' manifests differ in, no more, no less."""
    for index, change in enumerate(manifests.component.changes):
        before = known.get((manifests.component.name, change.since))
        if before is None:
            continue
        actual = facts.difference(before.sent, manifests.sent)
        objects = {ref_of(obj).identity: obj for obj in (*before.sent, *manifests.sent)}
        renamed = {(r.kind, r.before) for r in change.renamed}
        removed = {i for i in actual.removed if (i[1], i[3]) not in renamed}
        for name, found, matches in (
            ("removed", removed, change.removed),
            ("immutable", actual.immutable, change.immutable),
            ("storage", actual.storage, change.storage),
        ):
            path = f"changes[{index}].{name}"
            yield from _listed(manifests.file, path, found, matches, objects)


def _listed(
    file: str,
    path: str,
    found: frozenset[ObjectId] | set[ObjectId],
    matches: Sequence[ObjectMatch],
    objects: Mapping[ObjectId, Object],
) -> Iterator[Problem]:
    for identity in sorted(found):
        if not any(match.matches(objects[identity]) for match in matches):
            missing = str(ref_of(objects[identity]))
            yield Problem(file, path, f"without {missing}", "every object the manifests tell")
    for index, match in enumerate(matches):
        if not any(match.matches(objects[identity]) for identity in found):
            told = f"{match.kind} {match.name or ''}".strip()
            yield Problem(file, f"{path}[{index}]", told, "only objects the manifests tell")


def _release(file: str, release: Release, parts: Sequence[_Manifests]) -> Iterator[Problem]:
    needs = {part.component.name: _closure(part.component, parts) for part in parts}
    yield from _owners(file, parts)
    yield from _kinds(file, parts, needs)
    for part in parts:
        names = {part.component.name, *needs[part.component.name]}
        there = {*_GIVEN_NAMESPACES, *_namespaces(p for p in parts if p.component.name in names)}
        for obj in part.applied:
            namespace = obj["metadata"].get("namespace")
            if namespace and namespace not in there:
                yield Problem(
                    part.file,
                    "needs",
                    f"{ref_of(obj)} in {namespace}, in {release.name} not there yet",
                    "the component that brings this namespace",
                )


def _namespaces(parts: Iterator[_Manifests]) -> Iterator[str]:
    for part in parts:
        yield part.component.namespace
        for obj in part.applied:
            if obj["kind"] == "Namespace":
                yield obj["metadata"]["name"]


def _owners(file: str, parts: Sequence[_Manifests]) -> Iterator[Problem]:
    owners: dict[ObjectId, str] = {}
    for part in parts:
        for obj in part.applied:
            ref = ref_of(obj)
            first = owners.setdefault(ref.identity, part.component.name)
            if first != part.component.name:
                found = f"{ref} in {first} and in {part.component.name}"
                yield Problem(file, "components", found, "each object in one component")


def _kinds(
    file: str, parts: Sequence[_Manifests], needs: Mapping[str, set[str]]
) -> Iterator[Problem]:
    """A custom resource's kind comes from its own component or from one that it needs."""
    makers = {kind: p.component.name for p in parts for kind in facts.defined_kinds(p.applied)}
    for part in parts:
        name = part.component.name
        used = {(ref.group, ref.kind) for ref in map(ref_of, part.applied)}
        for group, kind in sorted(used):
            if group in _BUILT_IN or group.endswith(".k8s.io"):
                continue
            maker = makers.get((group, kind))
            if maker is None:
                found = f"{kind} of {group}, in {name}"
                yield Problem(file, "components", found, "a component that defines this kind")
            elif maker != name and maker not in needs[name]:
                found = f"not {maker}, which defines {kind} of {group}"
                yield Problem(part.file, "needs", found, f"{maker} among the needs")


def _closure(component: Component, parts: Sequence[_Manifests]) -> set[str]:
    """Names of everything a component needs, and what those need."""
    by_name = {part.component.name: part.component for part in parts}
    found: set[str] = set()
    left = list(component.needs)
    while left:
        name = left.pop()
        if name not in found and name in by_name:
            found.add(name)
            left.extend(by_name[name].needs)
    return found

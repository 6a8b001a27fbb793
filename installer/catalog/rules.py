"""What must hold in a catalog beyond the form of its files: references, versions, ranges."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

from semver import Version

from installer.catalog.field_path import split_path
from installer.catalog.model import (
    Bound,
    Component,
    ComponentRef,
    Knob,
    OwnedField,
    Range,
    Release,
    Source,
    WebhookProbe,
)
from installer.catalog.structure import nearest
from installer.catalog.versions import order
from installer.core.errors import Problem
from installer.core.kubernetes_version import KubernetesVersion

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_KUBERNETES = re.compile(r"\d+\.\d+(\.\d+)?")
_API_VERSION = re.compile(r"([a-z0-9.-]+/)?v\d+((alpha|beta)\d+)?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Contents(Protocol):
    """What `load.read_directory` returns."""

    directory: Path
    files: set[str]
    releases: dict[str, Release]
    components: dict[str, Component]


def problems(read: Contents) -> list[Problem]:
    """Every broken rule, in file order. Values that could not be read are passed over."""
    by_key = {(c.name, c.version): c for c in read.components.values()}
    out: list[Problem] = []
    for file, component in read.components.items():
        out.extend(_component(file, component, read.files))
        out.extend(_changes(file, component, read.files))
        out.extend(_runtime_apis(file, component))
        out.extend(_webhook_probes(file, component))
    for file, release in read.releases.items():
        out.extend(_release(file, release, read.files))
        parts = [by_key[key] for key in map(_key, release.components) if key in by_key]
        if len(parts) == len(release.components):
            out.extend(_needs(file, release, parts))
            out.extend(_ranges(file, release, parts))
    used = {_component_file(ref) for r in read.releases.values() for ref in r.components}
    if len(read.releases) == sum(file.startswith("releases/") for file in read.files):
        out.extend(
            Problem(
                file,
                "",
                "a component that no release names",
                "a release that names it, or `stop` with the reason",
            )
            for file in sorted(set(read.components) - used)
            if not read.components[file].stop
        )
    return out


def later(version: str, other: str) -> bool:
    """True when a Kubernetes version is past another; minors only where one names no patch."""
    if not (_KUBERNETES.fullmatch(version) and _KUBERNETES.fullmatch(other)):
        return False
    return KubernetesVersion.parse(version) > KubernetesVersion.parse(other)


def _key(ref: ComponentRef) -> tuple[str, str]:
    return (ref.name, ref.version)


def _component_file(ref: ComponentRef) -> str:
    return f"components/{ref.name}/{ref.version}.yaml"


def _component(file: str, component: Component, files: set[str]) -> Iterator[Problem]:
    path = PurePosixPath(file)
    if component.name != path.parent.name:
        yield Problem(file, "name", component.name, f"{path.parent.name}, as the folder is called")
    if component.version != path.stem:
        yield Problem(file, "version", component.version, f"{path.stem}, as the file is called")
    yield from _version(file, "version", component.version)
    if component.pinned:
        yield from _version(file, "pinned", component.pinned)
        if not component.why:
            yield Problem(file, "why", "missing", "why the version is not the one upstream pins")
    if component.namespace and not _NAME.fullmatch(component.namespace):
        yield Problem(file, "namespace", component.namespace, "the name of a namespace")
    yield from _range(file, component.kubernetes)
    if not component.applied:
        yield Problem(file, "sources", "nothing to apply", "a source that is not optional")
    yield from _twice(file, "sources", [source.name for source in component.sources], "name")
    for index, source in enumerate(component.sources):
        yield from _source(file, f"sources[{index}]", source, files)
    yield from _twice(file, "images", component.images, "image")
    yield from _twice(file, "needs", component.needs, "need")
    if component.name in component.needs:
        yield Problem(file, "needs", "the component itself", "other components")
    yield from _paths(file, "controller_owned", component.controller_owned)
    yield from _paths(file, "knobs", component.knobs)
    yield from _twice(file, "knobs", [knob.name for knob in component.knobs], "name")


def _source(file: str, path: str, source: Source, files: set[str]) -> Iterator[Problem]:
    url = urlsplit(source.url)
    if url.scheme != "https" or not url.netloc or not url.path.strip("/"):
        yield Problem(file, f"{path}.url", source.url, "an https address of a file")
    for name in ("sha256", "rendered_objects_sha256"):
        digest = getattr(source, name)
        if digest is not None and not _SHA256.fullmatch(digest):
            yield Problem(file, f"{path}.{name}", digest, "64 lower-case hexadecimal digits")
    if source.size is not None and source.size <= 0:
        yield Problem(file, f"{path}.size", str(source.size), "the number of bytes, above 0")
    if source.kind == "manifest":
        if source.size is None:
            yield Problem(file, f"{path}.size", "missing", "the number of bytes")
        for name in ("profile", "rendered", "rendered_objects_sha256"):
            if getattr(source, name) is not None:
                yield Problem(file, f"{path}.{name}", "given", "only sources of kind istioctl")
        return
    for name in ("profile", "rendered", "rendered_objects_sha256"):
        if getattr(source, name) is None:
            yield Problem(file, f"{path}.{name}", "missing", "given for kind istioctl")
    profiles = sorted(name for name in files if name.startswith("profiles/"))
    if source.profile is not None and source.profile not in profiles:
        yield Problem(
            file,
            f"{path}.profile",
            f"no file {source.profile}",
            nearest(source.profile, profiles) if profiles else "a file of profiles/",
        )


def _paths(file: str, where: str, rules: Sequence[OwnedField | Knob]) -> Iterator[Problem]:
    for index, rule in enumerate(rules):
        try:
            split_path(rule.path)
        except ValueError as error:
            yield Problem(file, f"{where}[{index}].path", str(error), "such as spec.ports[*].port")


def _changes(file: str, component: Component, files: set[str]) -> Iterator[Problem]:
    since = [change.since for change in component.changes]
    yield from _twice(file, "changes", since, "version")
    for index, version in enumerate(since):
        yield from _version(file, f"changes[{index}].since", version)
        if f"components/{component.name}/{version}.yaml" not in files:
            known = [f.removesuffix(".yaml").split("/")[-1] for f in _siblings(component, files)]
            yield Problem(file, f"changes[{index}].since", version, nearest(version, sorted(known)))
        elif order(version) >= order(component.version):
            yield Problem(file, f"changes[{index}].since", version, "an earlier version")


def _siblings(component: Component, files: set[str]) -> list[str]:
    return [file for file in files if file.startswith(f"components/{component.name}/")]


def _release(file: str, release: Release, files: set[str]) -> Iterator[Problem]:
    stem = PurePosixPath(file).stem
    if release.name != stem:
        yield Problem(file, "name", release.name, f"{stem}, as the file is called")
    if not _DATE.fullmatch(release.date):
        yield Problem(file, "date", release.date, "year-month-day, such as 2021-03-02")
    if not release.components:
        yield Problem(file, "components", "none", "at least one component")
    if not release.serving.versions:
        yield Problem(file, "serving.versions", "none", "the versions served, newest first")
    yield from _range(file, release.kubernetes)
    for index, version in enumerate(release.tested):
        yield from _kubernetes(file, f"tested[{index}]", version)
    yield from _twice(file, "components", [ref.name for ref in release.components], "component")
    for index, ref in enumerate(release.components):
        if _component_file(ref) not in files:
            yield _no_component(file, f"components[{index}]", ref, files)
    yield from _twice(file, "reachable_from", release.reachable_from, "release")
    names = sorted(PurePosixPath(f).stem for f in files if f.startswith("releases/"))
    for index, name in enumerate(release.reachable_from):
        if name == release.name or name not in names:
            others = [known for known in names if known != release.name]
            yield Problem(file, f"reachable_from[{index}]", name, nearest(name, others))


def _no_component(file: str, path: str, ref: ComponentRef, files: set[str]) -> Problem:
    known: dict[str, list[str]] = {}
    for name in sorted(f for f in files if f.startswith("components/")):
        known.setdefault(PurePosixPath(name).parent.name, []).append(PurePosixPath(name).stem)
    if ref.name not in known:
        return Problem(file, f"{path}.name", ref.name, nearest(ref.name, sorted(known)))
    return Problem(
        file,
        f"{path}.version",
        f"no file {_component_file(ref)}",
        nearest(ref.version, known[ref.name]),
    )


def _needs(file: str, release: Release, parts: Sequence[Component]) -> Iterator[Problem]:
    needs = {part.name: part.needs for part in parts}
    for part in parts:
        for need in part.needs:
            if need not in needs:
                yield Problem(
                    file,
                    "components",
                    f"no {need}, which {part.name} {part.version} needs",
                    f"{need} in this release",
                )
    circle = _circle(needs)
    if circle:
        yield Problem(
            file, "components", f"needs in a circle: {' → '.join(circle)}", "an order without one"
        )
    seen: set[str] = set()
    for index, ref in enumerate(release.components):
        late = [n for n in needs[ref.name] if n in needs and n not in seen]
        if late and not circle:
            yield Problem(
                file, f"components[{index}]", f"{ref.name} before {', '.join(late)}",
                "components after those they need",
            )  # fmt: skip
        seen.add(ref.name)


def _runtime_apis(file: str, component: Component) -> Iterator[Problem]:
    for index, api in enumerate(component.runtime_apis):
        path = f"runtime_apis[{index}]"
        if not _API_VERSION.fullmatch(api.api_version):
            found = api.api_version or "empty"
            yield Problem(file, f"{path}.api_version", found, "one such as autoscaling/v2")
        if not api.reason.strip():
            yield Problem(file, f"{path}.reason", "empty", "what it is used for")


def _webhook_probes(file: str, component: Component) -> Iterator[Problem]:
    """Each says something, about a kind of its own at versions of its own."""
    seen: list[WebhookProbe] = []
    for index, probe in enumerate(component.webhook_probes):
        path, kind = f"webhook_probes[{index}]", f"{probe.kind} of {probe.group or 'the core'}"
        if "." not in probe.group or not probe.kind:
            yield Problem(file, path, kind, "the group and the kind of a CRD")
        if probe.denied is None and probe.passing is None:
            yield Problem(file, path, "no spec", "denied, passing, or both")
        if probe.denied is not None and not probe.reason.strip():
            yield Problem(file, f"{path}.reason", "missing", "why the spec under denied is denied")
        yield from _twice(file, f"{path}.versions", probe.versions, "version")
        for other in seen:
            shared = not probe.versions or not other.versions
            shared = shared or bool(set(probe.versions) & set(other.versions))
            if (other.group, other.kind) == (probe.group, probe.kind) and shared:
                yield Problem(file, path, f"{kind} again", "each kind and version once")
                break
        seen.append(probe)


def _circle(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Names of one circle, first and last the same; empty when there is none."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for need in needs.get(name, ()):
            circle = visit(need, [*trail, name])
            if circle:
                return circle
        done.add(name)
        return []

    return next((circle for name in needs if (circle := visit(name, []))), [])


def _ranges(file: str, release: Release, parts: Sequence[Component]) -> Iterator[Problem]:
    """A release's range lies within those of its components (minimums that only warn aside)."""
    low, high = release.kubernetes.min, release.kubernetes.max
    for part in parts:
        bound = part.kubernetes.min
        if bound and bound.hard and _valid(bound) and (low is None or _lower(low, bound)):
            yield Problem(
                file,
                "kubernetes.min",
                low.version if low else "none",
                f"{bound.version} or more: {part.title} {part.version} {bound.reason}",
            )
        bound = part.kubernetes.max
        if bound and bound.hard and _valid(bound) and (high is None or _lower(bound, high)):
            yield Problem(
                file,
                "kubernetes.max",
                high.version if high else "none",
                f"{bound.version} or less: {part.title} {part.version} {bound.reason}",
            )


def _range(file: str, span: Range) -> Iterator[Problem]:
    bad = False
    for name, bound in (("min", span.min), ("max", span.max)):
        if bound is None:
            continue
        found = list(_kubernetes(file, f"kubernetes.{name}.version", bound.version))
        bad = bad or bool(found)
        yield from found
        if not bound.reason.strip():
            yield Problem(file, f"kubernetes.{name}.reason", "empty", "what happens beyond it")
    if span.min and span.max and not bad and _series(span.max) < _series(span.min):
        yield Problem(
            file,
            "kubernetes",
            f"no version from {span.min.version} to {span.max.version}",
            "a minimum at or below the maximum",
        )


def _valid(bound: Bound) -> bool:
    return bool(_KUBERNETES.fullmatch(bound.version))


def _lower(one: Bound, other: Bound) -> bool:
    if not _valid(one):
        return False
    return KubernetesVersion.parse(one.version) < KubernetesVersion.parse(other.version)


def _series(bound: Bound) -> tuple[int, int]:
    return KubernetesVersion.parse(bound.version).series


def _kubernetes(file: str, path: str, version: str) -> Iterator[Problem]:
    if not _KUBERNETES.fullmatch(version):
        yield Problem(file, path, version, "a Kubernetes version such as 1.21 or 1.15.1")


def _version(file: str, path: str, version: str) -> Iterator[Problem]:
    try:
        Version.parse(version)
    except ValueError:
        yield Problem(file, path, version, "a semantic version such as 1.10.1 or 0.5.0-rc0")


def _twice(file: str, path: str, names: Sequence[str], what: str) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Problem(file, path, f"{what} {name} {count} times", f"each {what} once")

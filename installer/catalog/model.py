"""The catalog as values: releases, their components, and what is known about each.

Files under versions/ become these through `load`; docs/add-a-release.md describes the files.
Nothing here reads, downloads or decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from installer.catalog.field_path import split_path
from installer.core.kubernetes_version import KubernetesVersion

SourceKind = Literal["manifest", "istioctl"]
Stage = Literal["namespaces", "crds", "setup", "workloads", "webhooks", "resources", "jobs"]

UNKNOWN_SIZE_LIMIT = 128 * 1024 * 1024
"""Most bytes taken from a source whose size no fact records (Istio's archives have about 40 MB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One end of a Kubernetes range.

    version: `1.16` or `1.16.0` as a minimum; `1.21` as a maximum, meaning every 1.21.x.
    reason: what happens beyond it, a clause that follows the component's title:
        "refuses to start below 1.16".
    hard: False when upstream only warns; such a bound never stops an install.
    origin: where the fact comes from (repository, tag, file).
    """

    version: str
    reason: str
    hard: bool = True
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Kubernetes versions something runs on; None where no bound is known."""

    min: Bound | None = None
    max: Bound | None = None

    def below(self, version: KubernetesVersion) -> Bound | None:
        """The minimum, when `version` is under it."""
        if self.min and version < KubernetesVersion.parse(self.min.version):
            return self.min
        return None

    def above(self, version: KubernetesVersion) -> Bound | None:
        """The maximum, when `version` is past it; patch releases of the maximum still fit."""
        if self.max and version.series > KubernetesVersion.parse(self.max.version).series:
            return self.max
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMatch:
    """Picks objects of a manifest. name takes `*`; None stands for any; group "" is the core's."""

    kind: str
    name: str | None = None
    group: str | None = None
    namespace: str | None = None
    reason: str = ""

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """True when the object is meant."""
        metadata = obj.get("metadata") or {}
        if obj.get("kind") != self.kind:
            return False
        if self.group is not None and _group(obj) != self.group:
            return False
        if self.namespace is not None and (metadata.get("namespace") or "") != self.namespace:
            return False
        return self.name is None or fnmatchcase(str(metadata.get("name") or ""), self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedField(ObjectMatch):
    """A field that a running controller writes, so it is never sent.

    path: keys joined by dots; `[*]` after a key stands for every item of its list, `[name]` for
        the item of that name; a key that has dots itself is written in double quotes:
        `webhooks[*].clientConfig.service.path`, `data."config.yaml"`.
    owner: who writes it.
    """

    path: str
    owner: str

    @property
    def steps(self) -> tuple[str, ...]:
        """`path` taken apart: ("webhooks", "[*]", "rules"); list steps keep their brackets."""
        return split_path(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRule(ObjectMatch):
    """Objects that go into another stage than their kind's."""

    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookProbe:
    """Specs of one kind that show whether the webhooks called for it answer.

    What is sent, and how it is kept from being stored, is decided on the live cluster from the
    webhooks' rules; a kind without a probe is asked about with the smallest object that its
    schema allows.

    group, kind: of a CRD among the component's sources. versions: those the specs are of; empty
        for all.
    denied: a spec that its validating (or mutating) webhook denies, which proves more than one
        that passes: the webhook itself has answered.
    passing: a spec that passes validation; conversion is only reached by such.
    reason: why `denied` is denied. origin: where the fact comes from.
    """

    group: str
    kind: str
    versions: tuple[str, ...] = ()
    denied: Mapping[str, Any] | None = None
    passing: Mapping[str, Any] | None = None
    reason: str = ""
    origin: str = ""

    def covers(self, group: str, kind: str, version: str) -> bool:
        """Whether the specs are of this kind at this version."""
        return (group, kind) == (self.group, self.kind) and (
            not self.versions or version in self.versions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One thing users set. path is a field of the object (form: `OwnedField.path`)."""

    name: str
    kind: str
    object: str
    path: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeAtRunTime:
    """Objects that the component's controllers make outside its manifests and leave behind.

    name takes `*`; namespace empty for any. Uninstall removes them, and they do not count as
    somebody else's in a namespace that is to go.
    """

    api_version: str
    kind: str
    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeApi:
    """A kind that the component's controllers use while running, beside what its manifests hold.

    reason: what for, a clause that follows the kind: "made for RawDeployment". origin: where the
    fact comes from (repository, tag, file).
    """

    api_version: str
    kind: str
    reason: str
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where manifests come from.

    name: unique in its component, for messages.
    kind: `manifest`, the URL is YAML; `istioctl`, the URL is an archive with an istioctl, which
        renders `profile`.
    sha256, size: of the bytes at url; size None where no fact records it.
    profile: path under versions/ of the IstioOperator to render.
    rendered: path in a mirror of what istioctl prints; rendered_objects_sha256 is the digest of
        its objects (`objects_sha256`), since the bytes of an own build may differ.
    optional: recorded, and not applied by an install.
    """

    name: str
    url: str
    sha256: str
    size: int | None = None
    kind: SourceKind = "manifest"
    profile: str | None = None
    rendered: str | None = None
    rendered_objects_sha256: str | None = None
    optional: bool = False
    about: str = ""

    @property
    def size_limit(self) -> int:
        """Bytes after which a download is given up."""
        return UNKNOWN_SIZE_LIMIT if self.size is None else self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """An object of the version before that this version has under another name."""

    kind: str
    before: str
    after: str
    namespace: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an upgrade from the version before must do beside applying.

    since: that version. removed: objects to prune. immutable: objects to delete and recreate.
    storage: CRDs whose stored version changes or loses versions.
    """

    since: str
    removed: tuple[ObjectMatch, ...] = ()
    renamed: tuple[Rename, ...] = ()
    immutable: tuple[ObjectMatch, ...] = ()
    storage: tuple[ObjectMatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Objects of the sources that are applied, before `drop`; `check --mirror` compares."""

    objects: int
    crds: int
    webhooks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One upstream project at one version.

    pinned: the version upstream's quick install names, where ours differs; why: the reason.
    needs: components of the same release that must be ready first.
    namespace: where its controllers live; also for namespaced objects that name none.
    namespace_labels: put on that Namespace where the manifests do not bring it.
    images: everything its pods, ConfigMaps, arguments and runtimes name.
    config_maps: ConfigMaps that users edit; an upgrade merges them.
    stop: why upgrades stop at this version though no release has it; empty for what releases have.
    """

    name: str
    version: str
    title: str
    namespace: str
    kubernetes: Range
    sources: tuple[Source, ...]
    counts: Counts
    images: tuple[str, ...]
    pinned: str = ""
    why: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    controller_owned: tuple[OwnedField, ...] = ()
    stage_overrides: tuple[StageRule, ...] = ()
    create_only: tuple[ObjectMatch, ...] = ()
    never_prune: tuple[ObjectMatch, ...] = ()
    drop: tuple[ObjectMatch, ...] = ()
    webhook_probes: tuple[WebhookProbe, ...] = ()
    config_maps: tuple[str, ...] = ()
    makes: tuple[MadeAtRunTime, ...] = ()
    runtime_apis: tuple[RuntimeApi, ...] = ()
    knobs: tuple[Knob, ...] = ()
    changes: tuple[Changes, ...] = ()
    notes: tuple[str, ...] = ()
    stop: str = ""

    @property
    def applied(self) -> tuple[Source, ...]:
        """The sources that an install applies, in order."""
        return tuple(source for source in self.sources if not source.optional)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentRef:
    """Names a component file: versions/components/<name>/<version>.yaml."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingApi:
    """API group and served versions of InferenceService, newest first."""

    group: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A tested set of components.

    kubernetes: the range all its components share; each bound's reason names the binding one.
    components: in the order in which upstream installs them.
    reachable_from: releases an upgrade may start from.
    tested: Kubernetes versions it is known to run on: upstream's own tests, or a real cluster.
    on_upgrade: what those who come from an earlier release have to know or to do about their
    InferenceServices, as sentences.
    """

    name: str
    title: str
    date: str
    kubernetes: Range
    components: tuple[ComponentRef, ...]
    serving: ServingApi
    reachable_from: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    on_upgrade: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every release and component, in version order; components by (name, version)."""

    releases: Mapping[str, Release]
    components: Mapping[tuple[str, str], Component]


def _group(obj: Mapping[str, Any]) -> str:
    return str(obj.get("apiVersion") or "").rpartition("/")[0]

"""What users change about a release, as values: the content of `-f settings.yaml`.

docs/settings.md describes the file. `settings_parse` makes these values out of text,
`settings_apply` puts them into a component's objects. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal, NewType

from installer.core.errors import InvalidInput, Problem
from installer.core.objects import Object, fingerprint

Quantity = NewType("Quantity", str)
"""A Kubernetes quantity such as `500m` or `1Gi`."""

_REMEDY = "correct what is named above, then run the same command again"
_GATEWAY = "Service istio-system/istio-ingressgateway"
_DOMAIN = "ConfigMap knative-serving/config-domain"
_CONFIG = "ConfigMap inferenceservice-config"
WORKLOADS = ("Deployment", "StatefulSet")
"""Kinds that `deployments` means; KFServing up to 0.6 runs its controller as a StatefulSet."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Service of the ingress gateway. node_ports: by the name of the Service's port."""

    type: Literal["LoadBalancer", "NodePort", "ClusterIP"] | None = None
    node_ports: Mapping[str, int] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    external_traffic_policy: Literal["Cluster", "Local"] | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of one container, by resource name."""

    requests: Mapping[str, Quantity] = field(default_factory=dict)
    limits: Mapping[str, Quantity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """One workload. resources: of its only container; containers: of several, by name."""

    replicas: int | None = None
    resources: Resources | None = None
    containers: Mapping[str, Resources] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class PatchTarget:
    """Which object is patched. group None stands for any API group, namespace "" for any."""

    kind: str
    name: str
    namespace: str = ""
    group: str | None = None

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        group = f" of {self.group or 'the core group'}" if self.group is not None else ""
        return f"{self.kind} {place}{group}"


@dataclass(frozen=True, slots=True)
class Patch:
    """RFC 6902 operations on one object."""

    target: PatchTarget
    patch: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was written: file, and path in it."""

    file: str
    path: str


@dataclass(frozen=True, slots=True)
class Target:
    """Something a setting must meet in some component. key: into `Settings.origins`."""

    key: str
    meant: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a run; empty by default.

    deployments: by `namespace/name`. inferenceservice: keys of the ConfigMap
    inferenceservice-config; a mapping is merged into the key's JSON, a string replaces it.
    origins: for messages, by `gateway`, `domain`, `deployments.<key>`, `inferenceservice.<key>`,
    `labels`, `patches[<n>]`, `external[<n>]`; not part of what is equal or digested.
    """

    gateway: Gateway | None = None
    domain: str = ""
    deployments: Mapping[str, DeploymentSettings] = field(default_factory=dict)
    inferenceservice: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[Patch, ...] = ()
    external: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)

    def apply(
        self, component: str, objects: Sequence[Object], matched: set[int] | None = None
    ) -> list[Object]:
        """The component's objects with the settings in; the objects given stay as they are.

        matched collects the indexes of `targets` that were met; give the same set for every
        component, then ask `unmatched`. Raises InvalidInput where a setting does not fit.
        """
        from installer.plan.settings_apply import apply_settings

        return apply_settings(self, component, objects, set() if matched is None else matched)

    def targets(self) -> Sequence[Target]:
        """What must be met by some component, in a fixed order."""
        return list(self._targets())

    def unmatched(self, matched: set[int]) -> list[Problem]:
        """A problem for each target that no component had."""
        return [
            self.problem(target.key, f"no component has {target.meant}", "an object of the release")
            for index, target in enumerate(self._targets())
            if index not in matched
        ]

    def check_components(self, names: Sequence[str]) -> None:
        """Raise InvalidInput when `external` names a component that the release does not have."""
        problems = self.unknown_components(names)
        if problems:
            raise invalid(problems)

    def unknown_components(self, names: Sequence[str]) -> list[Problem]:
        """A problem for each name in `external` that is not among these."""
        return [
            self.problem(
                f"external[{index}]", f"the release has no component {name!r}", offer(name, names)
            )
            for index, name in enumerate(self.external)
            if name not in names
        ]

    def digest(self) -> str:
        """Equal settings have equal digests; empty when nothing is set."""
        if self == Settings():
            return ""
        return fingerprint({key: value for key, value in _plain(self).items() if key != "origins"})

    def problem(self, key: str, found: str, expected: str) -> Problem:
        """A problem with the setting of this key, at the place where it was written."""
        origin = self.origins.get(key) or Origin("settings", key)
        return Problem(origin.file, origin.path, found, expected)

    def _targets(self) -> Iterator[Target]:
        if self.gateway is not None:
            yield Target("gateway", _GATEWAY)
        if self.domain:
            yield Target("domain", _DOMAIN)
        for key in self.deployments:
            yield Target(f"deployments.{key}", f"{' or '.join(WORKLOADS)} {key}")
        if self.inferenceservice:
            yield Target(f"inferenceservice.{next(iter(self.inferenceservice))}", _CONFIG)
        for index, patch in enumerate(self.patches):
            yield Target(f"patches[{index}]", str(patch.target))


def invalid(problems: Sequence[Problem]) -> InvalidInput:
    """The error that tells all problems of the settings."""
    return InvalidInput("the settings", list(problems), plural=True, remedy=_REMEDY)


def offer(word: str, names: Sequence[str]) -> str:
    """What could stand in place of a word that is not known: the nearest name, and all names."""
    near = get_close_matches(word, names, n=1)
    return (f"{near[0]}? There are " if near else "one of ") + ", ".join(names)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value

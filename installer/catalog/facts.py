"""What manifests say by themselves: images, counts, Kubernetes versions, changes. Pure.

`catalog check --mirror` compares these with what the catalog's files claim.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.catalog.model import Counts
from installer.core.objects import Object, ObjectId, Ref, dig, ref_of

WEBHOOK_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

GONE = {
    ("admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration"): "1.22",
    ("admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration"): "1.22",
    ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition"): "1.22",
    ("apiregistration.k8s.io/v1beta1", "APIService"): "1.22",
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler"): "1.25",
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler"): "1.26",
    ("batch/v1beta1", "CronJob"): "1.25",
    ("policy/v1beta1", "PodDisruptionBudget"): "1.25",
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRole"): "1.22",
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRoleBinding"): "1.22",
    ("rbac.authorization.k8s.io/v1beta1", "Role"): "1.22",
    ("rbac.authorization.k8s.io/v1beta1", "RoleBinding"): "1.22",
}
"""First Kubernetes without a kind at a version (the API deprecation guide of Kubernetes)."""

SERVED_FROM = {
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"): "1.16",
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"): "1.16",
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): "1.16",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "1.23",
    ("policy/v1", "PodDisruptionBudget"): "1.21",
}
"""First Kubernetes with a kind at a version."""

_IMAGE_KEY = re.compile(r"(^|[a-z-])image$", re.IGNORECASE)
_IMAGE_ARGUMENT = re.compile(r"--[a-z0-9-]*image=(\S+)")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?")


def unique(objects: Iterable[Object]) -> list[Object]:
    """Each object once, the last of those with the same identity, as applying them all gives."""
    return list({ref_of(obj).identity: obj for obj in objects}.values())


def counts_of(objects: Sequence[Object]) -> Counts:
    """How many different objects, CRDs and webhooks there are."""
    each = unique(objects)
    return Counts(
        objects=len(each),
        crds=sum(obj["kind"] == "CustomResourceDefinition" for obj in each),
        webhooks=sum(len(webhooks_of(obj)) for obj in each),
    )


def webhooks_of(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The webhooks of a webhook configuration; empty for other kinds."""
    return list(obj.get("webhooks") or []) if obj["kind"] in WEBHOOK_KINDS else []


def services_called(obj: Mapping[str, Any]) -> Iterator[Ref]:
    """The Services that the API server calls because of this object."""
    configs = [dig(webhook, "clientConfig", "service") for webhook in webhooks_of(obj)]
    if obj["kind"] == "CustomResourceDefinition":
        conversion = dig(obj, "spec", "conversion", default={})
        configs.append(dig(conversion, "webhookClientConfig", "service"))
        configs.append(dig(conversion, "webhook", "clientConfig", "service"))
    for service in configs:
        if service:
            yield Ref("v1", "Service", service["namespace"], service["name"])


def defined_kinds(objects: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """(group, kind) of the custom resources that CRDs among the objects define."""
    return {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"])
        for obj in objects
        if obj["kind"] == "CustomResourceDefinition"
    }


def served_versions(objects: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], set[str]]:
    """Names of the versions at which the CRDs among the objects serve each (group, kind)."""
    found: dict[tuple[str, str], set[str]] = {}
    for obj in objects:
        if obj["kind"] == "CustomResourceDefinition":
            spec = obj["spec"]
            versions = spec.get("versions") or [{"name": spec["version"], "served": True}]
            names = {item["name"] for item in versions if item.get("served")}
            found.setdefault((spec["group"], spec["names"]["kind"]), set()).update(names)
    return found


def last_kubernetes(objects: Iterable[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """The last Kubernetes minor that serves every object ("" when unbounded), and why."""
    limits = _limits(objects, GONE)
    first_gone = min((_minor(version) for _, version in limits), default=None)
    if first_gone is None:
        return "", []
    because = [what for what, version in limits if _minor(version) == first_gone]
    return f"1.{first_gone - 1}", because


def first_kubernetes(objects: Iterable[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """The first Kubernetes minor that serves every object ("" when unbounded), and why."""
    limits = _limits(objects, SERVED_FROM)
    last_start = max((_minor(version) for _, version in limits), default=None)
    if last_start is None:
        return "", []
    because = [what for what, version in limits if _minor(version) == last_start]
    return f"1.{last_start}", because


def _limits(
    objects: Iterable[Mapping[str, Any]], table: Mapping[tuple[str, str], str]
) -> list[tuple[str, str]]:
    used = sorted({(obj["apiVersion"], obj["kind"]) for obj in objects})
    return [(f"{key[0]} {key[1]}", table[key]) for key in used if key in table]


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def images_of(objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every container image the objects name, sorted: pods, runtimes, ConfigMaps, arguments."""
    found: set[str] = set()
    for obj in objects:
        if obj["kind"] == "CustomResourceDefinition":
            continue  # schemas describe images; they name none
        if obj["kind"] == "ConfigMap":
            for key, text in (obj.get("data") or {}).items():
                if not key.startswith("_"):  # Knative's and KServe's _example
                    found.update(_images(_decoded(text), key))
        else:
            found.update(_images(obj, ""))
    return sorted(found)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _images(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _images_of_mapping(value)
    elif isinstance(value, list):
        for item in value:
            yield from _images(item, "")
    elif isinstance(value, str):
        argument = _IMAGE_ARGUMENT.fullmatch(value)
        if argument:
            yield argument[1]
        elif _IMAGE_KEY.search(key) and _IMAGE.fullmatch(value):
            yield value


def _images_of_mapping(value: Mapping[str, Any]) -> Iterator[str]:
    versions = [value.get(key) for key in ("defaultImageVersion", "defaultGpuImageVersion")]
    image = value.get("image")
    if isinstance(image, str) and any(versions):
        # KFServing's configuration keeps name and tag apart.
        yield from (f"{image}:{version}" for version in versions if version)
    variable = str(value.get("name") or "")
    for key, item in value.items():
        if key == "image" and any(versions):
            continue
        if key == "value" and variable.upper().endswith("IMAGE"):
            yield from _images(item, "image")
        else:
            yield from _images(item, key)


@dataclass(frozen=True, slots=True)
class Difference:
    """What applying `after` over `before` leaves undone: objects to remove, to recreate (with a
    field that cannot change), and CRDs whose stored data must be rewritten."""

    removed: frozenset[ObjectId]
    immutable: frozenset[ObjectId]
    storage: frozenset[ObjectId]


def difference(before: Iterable[Object], after: Iterable[Object]) -> Difference:
    """Compare two versions of a component's objects by identity (group, kind, namespace, name).

    A namespace that a manifest gives to an object of the whole cluster counts for nothing.
    """
    old, new = ({ref_of(obj).identity: obj for obj in _scoped(list(o))} for o in (before, after))
    both = old.keys() & new.keys()
    return Difference(
        frozenset(old.keys() - new.keys()),
        frozenset(key for key in both if fixed(old[key]) != fixed(new[key])),
        frozenset(key for key in both if _storage_changes(old[key], new[key])),
    )


def _scoped(objects: Sequence[Object]) -> Iterator[Object]:
    """The objects, without the namespace of those whose CRD among them is of the whole cluster.

    KServe 0.16 puts ClusterStorageContainer `default` into a namespace, 0.20 does not.
    """
    wide = {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"])
        for obj in objects
        if obj["kind"] == "CustomResourceDefinition" and obj["spec"].get("scope") == "Cluster"
    }
    for obj in objects:
        ref = ref_of(obj)
        if ref.namespace and (ref.group, ref.kind) in wide:
            plain = {k: v for k, v in obj["metadata"].items() if k != "namespace"}
            yield {**obj, "metadata": plain}
        else:
            yield obj


def fixed(obj: Mapping[str, Any]) -> Any:
    """The fields of an object that the API server lets nobody change."""
    kind = obj["kind"]
    if kind in ("Deployment", "DaemonSet"):
        return dig(obj, "spec", "selector")
    if kind == "StatefulSet":
        keys = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")
        return [dig(obj, "spec", key) for key in keys]
    if kind == "Job":
        return dig(obj, "spec", "template")
    if kind in ("RoleBinding", "ClusterRoleBinding"):
        return obj.get("roleRef")
    if kind == "Service":
        return dig(obj, "spec", "clusterIP")
    if kind == "CustomResourceDefinition":
        return [dig(obj, "spec", "scope"), dig(obj, "spec", "names", "kind")]
    return None


def _storage_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if new["kind"] != "CustomResourceDefinition":
        return False
    (stored, had), (stores, has) = _versions(old), _versions(new)
    return stored != stores or bool(had - has)


def _versions(crd: Mapping[str, Any]) -> tuple[str, set[str]]:
    spec = crd["spec"]
    versions = spec.get("versions") or [{"name": spec["version"], "storage": True}]
    stored = next(item["name"] for item in versions if item.get("storage"))
    return stored, {item["name"] for item in versions}

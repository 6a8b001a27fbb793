"""Installations by others on a sandbox: real manifests with other tools' marks, and small ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installer.catalog.load import load_release
from installer.catalog.manifests import load_objects
from installer.catalog.sources import SourceOptions
from installer.cluster.apply import apply_all
from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.events import silent
from installer.core.objects import Object, Ref, ref_of
from installer.plan.settings import Settings
from installer.plan.wanted import wanted_of

HELM = {
    "annotations": {
        "meta.helm.sh/release-name": "cm",
        "meta.helm.sh/release-namespace": "cert-manager",
    }
}


@dataclass(frozen=True)
class Custom:
    """An object of a kind whose CRD may be established and not served yet."""

    body: Object
    create_only: bool = False

    @property
    def ref(self) -> Ref:
        return ref_of(self.body)


def put(cluster: Cluster, obj: Object) -> None:
    """Apply a custom resource as soon as its kind is served."""
    item = Custom(obj)
    apply_all(cluster, [item], expected={(item.ref.group, item.ref.kind)})


def manifest(shared: Path, name: str, *, kind: str = "") -> list[Object]:
    """The objects of a component of KFServing 0.5.1's release, in order; one kind, or all."""
    catalog = load_release("kfserving-0.5.1")
    ref = next(c for c in catalog.releases["kfserving-0.5.1"].components if c.name == name)
    component = catalog.components[(ref.name, ref.version)]
    sources = SourceOptions(mirror=str(shared / "upstream"))
    objects = load_objects(component, sources, silent, Cancel())
    wanted = wanted_of(component, objects, lambda *_: None, Settings(), set())
    return [item.body for item in wanted if kind in ("", item.ref.kind)]


def marked(objects: Sequence[Object], marks: Mapping[str, Mapping[str, str]]) -> list[Object]:
    """Copies with more labels or annotations."""
    found = []
    for obj in objects:
        body = copy.deepcopy(obj)
        for place, values in marks.items():
            body["metadata"][place] = {**(body["metadata"].get(place) or {}), **values}
        found.append(body)
    return found


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(place: str, name: str, image: str, **labels: str) -> Object:
    """A Deployment of one pod with these labels."""
    labels = {"app": name, **labels}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": place, "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    }


def definition(plural: str, group: str, kind: str, *, scope: str = "Namespaced") -> Object:
    """The smallest CRD of a kind."""
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [version],
        },
    }


def webhooks(name: str, webhook: str, *, service: str, **rule: Any) -> Object:
    """A fail-closed configuration with one webhook. service: namespace/name."""
    place, _, served_by = service.partition("/")
    rules = {"operations": ["CREATE"], "apiVersions": ["*"], **rule}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": webhook,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {"service": {"namespace": place, "name": served_by}},
                "rules": [rules],
            }
        ],
    }


@contextmanager
def placed(
    cluster: Cluster, objects: Sequence[Object], *, manager: str = "kubectl", ready: bool = True
) -> Iterator[None]:
    """The objects are there inside the block, and gone after it. ready: Deployments are too."""
    refs = [ref_of(obj) for obj in objects]
    kinds = ("Namespace", "CustomResourceDefinition")
    first = [obj for obj in objects if obj["kind"] in kinds]
    brought = {obj["spec"]["group"] for obj in first if "spec" in obj}
    try:
        custom = [obj for obj in objects if ref_of(obj).group in brought]
        rest = [obj for obj in objects if obj not in first and obj not in custom]
        for group in (first, rest):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda o: cluster.apply(o, manager=manager, force=True), group))
            wait_ready(
                cluster,
                [r for r in map(ref_of, group) if r.kind == "CustomResourceDefinition"],
                deadline=120,
                cancel=Cancel(),
            )
            cluster.refresh_discovery()
        for obj in custom:
            put(cluster, obj)
        if ready:
            workloads = [ref for ref in refs if ref.kind == "Deployment"]
            wait_ready(cluster, workloads, deadline=120, cancel=Cancel())
        yield
    finally:
        for ref in sorted(refs, key=lambda ref: "Webhook" not in ref.kind):
            cluster.delete(ref)
        wait_gone(cluster, refs, deadline=120, cancel=Cancel())

"""What upstream tells about one version of a component: its manifests where they are at hand,
otherwise records of them (files of facts, with the url, size and sha256 of what was read).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from installer.catalog import facts
from installer.catalog.parse import parse
from installer.core.objects import Object, dig

SECTIONS = {
    "knative-serving": "knative_serving",
    "net-istio": "net_istio",
    "istio": "istio",
    "cert-manager": "cert_manager",
    "kfserving": "kserve",
    "kserve": "kserve",
}
"""What the records call a component."""
_OPTIONAL = {
    "hpa": "the autoscaler of class hpa; no quick install applies it",
    "post-install": (
        "Jobs that rewrite stored objects and clean up; an upgrade runs them, an install does not"
    ),
}
_KNATIVE_FILES = {"crds": "crds", "core": "core", "hpa": "hpa", "post-install": "post-install",
                  "storage-version-migration": "post-install"}  # fmt: skip
_ASSETS = "https://github.com/kserve/kserve/releases/download"
_ASSET_NAMES = {"main": "kserve.yaml", "0.10.2": "kserve-runtimes.yaml"}
_UNTAGGED = "latest"
"""What an image without a version in the records has: KServe's explainers from 0.8 on."""


@dataclass(frozen=True, slots=True)
class Told:
    """One version as upstream made it.

    sources: as in a component file. objects: of the sources that are applied, empty where they are
    not at hand. record: the entry of the records. counts: objects, crds, webhooks. last: the last
    Kubernetes that serves all of them, and what ends there; first likewise.
    converting: CRDs converted by a webhook, with the path of its caBundle. certificates: (name,
    namespace, secret) of cert-manager's.
    """

    sources: Sequence[Mapping[str, Any]]
    objects: Sequence[Object]
    record: Mapping[str, Any]
    counts: Mapping[str, int]
    images: Sequence[str]
    last: str
    ending: Sequence[str]
    first: str
    starting: Sequence[str]
    converting: Mapping[str, str] = field(default_factory=dict)
    certificates: Sequence[tuple[str, str, str]] = ()


@cache
def records(folder: Path, name: str) -> Any:
    """One file of the records."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def record_of(component: str, version: str, folder: Path) -> Mapping[str, Any]:
    """The entry of one version."""
    if component in ("kserve", "kfserving"):
        found = [r for r in records(folder, "releases") if r["version"] == f"v{version}"]
        return dict(found[0])
    section = records(folder, "components")[SECTIONS[component]]
    return dict(section.get(version) or section[f"v{version}"])


def told(component: str, version: str, folder: Path, mirror: Path) -> Told:
    """Everything about one version."""
    record = record_of(component, version, folder)
    sources = list(_sources(component, version, record, mirror))
    applied = [s for s in sources if not s.get("optional")]
    if all(_path(mirror, s["url"]).exists() for s in applied):
        objects = [o for s in applied for o in _objects(mirror, s["url"])]
        return _from_manifests(sources, facts.unique(objects), record)
    return _from_record(sources, record)


def _path(mirror: Path, url: str) -> Path:
    return mirror / url.removeprefix("https://")


@cache
def _objects(mirror: Path, url: str) -> list[Object]:
    return parse(_path(mirror, url).read_bytes(), url)


def _from_manifests(
    sources: Sequence[Mapping[str, Any]], objects: Sequence[Object], record: Mapping[str, Any]
) -> Told:
    counts = facts.counts_of(objects)
    last, ending = facts.last_kubernetes(objects)
    first, starting = facts.first_kubernetes(objects)
    converting = {}
    for obj in objects:
        conversion = dig(obj, "spec", "conversion", default={})
        if obj["kind"] == "CustomResourceDefinition" and conversion.get("strategy") == "Webhook":
            old = "webhookClientConfig" in conversion
            inner = "webhookClientConfig" if old else "webhook.clientConfig"
            converting[obj["metadata"]["name"]] = f"spec.conversion.{inner}.caBundle"
    certificates = [
        (o["metadata"]["name"], o["metadata"]["namespace"], o["spec"]["secretName"])
        for o in objects
        if o["kind"] == "Certificate" and o["apiVersion"].startswith("cert-manager.io/")
    ]
    return Told(
        sources, objects, record,
        {"objects": counts.objects, "crds": counts.crds, "webhooks": counts.webhooks},
        facts.images_of(objects), last, ending, first, starting, converting, certificates,
    )  # fmt: skip


def _from_record(sources: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> Told:
    counts = {
        "objects": record["objects_total"],
        "crds": len(record["crds"]),
        "webhooks": len(record["webhooks"]),
    }
    named = sorted({*record["workload_images"], *record["other_images"]})
    images = sorted(i if ":" in i else f"{i}:{_UNTAGGED}" for i in named)
    converting = {
        crd["name"]: "spec.conversion.webhook"
        + ("ClientConfig.caBundle" if crd["api"].endswith("v1beta1") else ".clientConfig.caBundle")
        for crd in record["crds"]
        if crd["conversion"] == "Webhook"
    }
    certificates = [
        (o["name"], o["namespace"], o["secretName"])
        for o in record["cert_manager_objects"]
        if o["kind"] == "Certificate"
    ]
    return Told(
        sources, [], record, counts, images,
        record["max_k8s_by_manifest_api"] or "", _named(record["max_k8s_reasons"]),
        record["min_k8s_by_manifest_api"] or "", _named(record["min_k8s_reasons"]),
        converting, certificates,
    )  # fmt: skip


def _named(reasons: Sequence[str]) -> list[str]:
    """`group/version Kind` of `group/version Kind gone in 1.22`."""
    return [" ".join(reason.split()[:2]) for reason in reasons]


def _sources(
    component: str, version: str, record: Mapping[str, Any], mirror: Path
) -> Iterator[dict[str, Any]]:
    if component in ("kserve", "kfserving"):
        yield from _serving_sources(component, version, record)
    elif component == "knative-serving":
        for entry in record["files"]:
            stem = re.sub(r"^\d-serving-|\.yaml$", "", entry["path"].rpartition("/")[2])
            name = next((v for k, v in _KNATIVE_FILES.items() if stem.startswith(k)), "")
            if name:
                more = {"optional": True, "about": _OPTIONAL[name]} if name in _OPTIONAL else {}
                yield {"name": name, **_bytes(entry), **more}
    else:
        entries = record.get("rendered") or record["files"]
        if component == "istio":
            entries = [e for e in entries if e["path"].endswith("istio-kind-no-mesh/istio.yaml")]
        here = [e for e in entries if _path(mirror, e["url"]).exists()]
        yield {"name": component, **_bytes((here or entries)[0])}


def _serving_sources(
    component: str, version: str, record: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """kserve.yaml is all of KServe, so its CRDs are applied apart only where it lacks them."""
    apart = component == "kfserving"
    names = {"main": component, "runtimes": "runtimes", **({"crds": "crds"} if apart else {})}
    for entry in record["manifests"]:
        if entry["role"] in names:
            url = entry.get("url") or f"{_ASSETS}/v{version}/{_asset(version, entry['role'])}"
            yield {"name": names[entry["role"]], **_bytes({**entry, "url": url})}


def _asset(version: str, role: str) -> str:
    if role == "main":
        return _ASSET_NAMES["main"]
    return _ASSET_NAMES.get(version, "kserve-cluster-resources.yaml")


def _bytes(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("url", "sha256", "size")}

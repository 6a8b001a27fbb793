"""Writes a component file of versions/ from what upstream tells, after the file of another version.

    python tools/draft_component.py kserve 0.12.1 --like 0.11.2 --facts FACTS --mirror MIRROR

What manifests say by themselves is taken from them (bytes, counts, images, Kubernetes range, what
controllers own, what they make); the rest is kept from the other version's file, without the rules
that match nothing here. Read the result, complete `notes`, and run `catalog check --mirror`.
`tools/catalog_changes.py` fills in `changes` afterwards.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml
from component_text import ComponentText, field, flow, mapping_item, text_items
from upstream_told import Told, told

from installer.catalog.model import ObjectMatch

VERSIONS = Path(__file__).resolve().parents[1] / "versions"
_STOP = (
    "Upstream supports upgrades by one minor version only; the releases before and after it are "
    "further apart."
)
_GONE_AFTER = re.compile(r"1\.(\d+)")


def draft(component: str, version: str, like: str, what: Told, *, stop: bool = False) -> str:
    """The text of the component's file."""
    folder = VERSIONS / "components" / component
    text = ComponentText((folder / f"{like}.yaml").read_text(encoding="utf-8"))
    text.put("version", f" {version}")
    for key in ("pinned", "why", "stop", "changes", "notes") if like != version else ():
        text.drop(key)
    if stop:
        text.put("stop", " >-\n" + "".join(f"  {line}\n" for line in _folded(_STOP)))
    looked_up = _looked_up(text) if like == version else {}
    text.put("kubernetes", _kubernetes(component, version, what, looked_up))
    text.put("sources", "\n" + "".join(mapping_item(source) for source in what.sources))
    text.put("counts", f" {flow(what.counts)}")
    if what.objects:
        _fit_to_objects(text, what)
    if component in ("kserve", "kfserving"):
        _serving(text, component, version, what)
    text.put("images", text_items(what.images))
    return str(text)


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, 96)


def _looked_up(text: ComponentText) -> Mapping[str, Any]:
    """The maximum of a project's own table of supported versions, which no manifest tells."""
    bounds = (yaml.safe_load(text.blocks.get("kubernetes", "{}")) or {}).get("kubernetes") or {}
    highest = bounds.get("max") or {}
    return highest if highest.get("hard") is False else {}


def _kubernetes(component: str, version: str, what: Told, looked_up: Mapping[str, Any]) -> str:
    highest = _maximum(what) or looked_up
    bounds = {"min": _minimum(component, version, what), "max": highest}
    out = "\n"
    for name, bound in bounds.items():
        if bound:
            out += f"  {name}:\n" + "".join(field(k, v, 4) for k, v in bound.items())
    return out


def _minimum(component: str, version: str, what: Told) -> dict[str, Any]:
    """The bound that binds: a hard one of the manifests, or upstream's own word."""
    said = _said_minimum(component, version, what)
    served = {
        "version": what.first,
        "reason": f"uses {_versions(what.starting)}, served from {what.first}",
        "origin": "the manifests",
    }
    if not said:
        return served if what.first else {}
    if what.first and _minor(what.first) > _minor(said["version"]):
        return served
    return said


def _said_minimum(component: str, version: str, what: Told) -> dict[str, Any]:
    record = what.record
    if component in ("kserve", "kfserving"):
        return _serving_minimum(version, record)
    low = record.get("min_kubernetes")
    if not low:
        return {}
    low = low.removesuffix(".0") if low.count(".") == 2 else low
    origin = record["min_kubernetes_source"].split(" ")[0]
    if component == "knative-serving":
        return {"version": low, "reason": f"refuses to start below {low}", "origin": origin}
    reason = {
        "istio": f"warns below {low}",
        "cert-manager": f"is not released for Kubernetes below {low}",
    }[component]
    return {"version": low, "reason": reason, "hard": False, "origin": origin}


def _serving_minimum(version: str, record: Mapping[str, Any]) -> dict[str, Any]:
    tag = f"kserve/kserve@v{version}"
    script = max(record["upstream_quick_install"]["script_min_kubernetes"], default="")
    rules = any(crd["cel_rules"] for crd in record["crds"])
    if rules and _minor(script) < 25:
        return {
            "version": "1.25",
            "reason": "has validation rules in its CRDs that are ignored below 1.25",
            "hard": False,
            "origin": "the manifests: x-kubernetes-validations",
        }
    if script:
        return {
            "version": script,
            "reason": f"is refused by upstream's quick install below {script}",
            "hard": False,
            "origin": f"{tag}:hack/quick_install.sh",
        }
    readme = (record["documented_minimums"] or {}).get("kubernetes")
    if readme:
        return {
            "version": readme,
            "reason": f"asks for {readme} in its README",
            "hard": False,
            "origin": f"{tag}:README.md",
        }
    return {}


def _maximum(what: Told) -> dict[str, Any]:
    if not what.last:
        return {}
    gone = f"1.{_minor(what.last) + 1}"
    return {
        "version": what.last,
        "reason": f"uses {_versions(what.ending)}, gone in {gone}",
        "origin": "the manifests",
    }


def _versions(named: Any) -> str:
    versions = list(dict.fromkeys(name.split()[0] for name in named))
    return " and ".join([", ".join(versions[:-1]), versions[-1]] if versions[1:] else versions)


def _minor(version: str) -> int:
    found = _GONE_AFTER.match(version)
    return int(found[1]) if found else 0


def _fit_to_objects(text: ComponentText, what: Told) -> None:
    """Leave out rules that match nothing, and add what the other version did not have."""

    def there(item: Mapping[str, Any]) -> bool:
        keys = {k: v for k, v in item.items() if k in ("kind", "name", "group", "namespace")}
        found = [obj for obj in what.objects if ObjectMatch(**keys).matches(obj)]
        if str(item.get("path")).startswith("spec.conversion."):
            return any(obj["metadata"]["name"] in what.converting for obj in found)
        return bool(found)

    for key in ("controller_owned", "stage_overrides", "drop", "never_prune"):
        text.keep_items(key, there)
    maps = {o["metadata"]["name"] for o in what.objects if o["kind"] == "ConfigMap"}
    text.keep_items("config_maps", lambda name: name in maps)
    named = {(o["kind"], o["metadata"]["name"]) for o in what.objects}
    text.keep_items("knobs", lambda knob: (knob["kind"], knob["object"]) in named)
    owned = text.blocks.get("controller_owned", "")
    text.add_items("controller_owned", [
        {
            "kind": "Secret",
            "name": obj["metadata"]["name"],
            "path": "data",
            "owner": "Knative's controller",
            "reason": "shipped empty; filled with the certificate it makes",
        }
        for obj in what.objects
        if obj["kind"] == "Secret"
        and not obj.get("data")
        and obj["metadata"]["name"].endswith(("-certs", "-ctrl-ca"))
        and f"name: {obj['metadata']['name']}\n" not in owned
    ])  # fmt: skip


def _serving(text: ComponentText, component: str, version: str, what: Told) -> None:
    """KFServing's and KServe's rules follow from which CRDs convert and which Certificates there
    are."""
    text.keep_items("controller_owned", lambda item: item["kind"] != "CustomResourceDefinition")
    text.add_items("controller_owned", [
        {
            "kind": "CustomResourceDefinition",
            "name": name,
            "path": path,
            "owner": "cert-manager's cainjector",
            "reason": "injected by annotation",
        }
        for name, path in sorted(what.converting.items())
    ])  # fmt: skip
    text.put("makes", "\n" + "".join(mapping_item({
        "api_version": "v1",
        "kind": "Secret",
        "name": secret,
        "namespace": namespace,
        "reason": f"issued by cert-manager for Certificate {name}",
    }) for name, namespace, secret in sorted(what.certificates)),
        "made while running, by its controllers, and left behind by them",
    )  # fmt: skip
    if component == "kserve":
        old = any("v2beta2" in s for s in what.record["effective_kubernetes"]["soft_limits"][:1])
        minor = int(version.split(".")[1])
        mode = "Standard (RawDeployment)" if minor >= 16 else "RawDeployment"
        path = "pkg/controller/v1beta1/inferenceservice/reconcilers/hpa/hpa_reconciler.go"
        text.put("runtime_apis", "\n" + mapping_item({
            "api_version": "autoscaling/v2beta2" if old else "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "reason": f"made for InferenceServices of deployment mode {mode}",
            "origin": f"kserve/kserve@v{version}:{path}",
        }))  # fmt: skip
        if what.record["namespaces_created"]:
            text.drop("namespace_labels")


def main() -> None:
    """Write one file."""
    parser = argparse.ArgumentParser(description="draft a component file")
    parser.add_argument("component")
    parser.add_argument("version")
    parser.add_argument("--like", required=True, help="version whose file is taken as a model")
    parser.add_argument("--facts", type=Path, required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument(
        "--stop", action="store_true", help="no release has it; upgrades stop there"
    )
    parser.add_argument("--pinned", help="the version that upstream's quick install names")
    parser.add_argument("--why", help="why the version is not that one")
    given = parser.parse_args()
    what = told(given.component, given.version, given.facts, given.mirror)
    text = ComponentText(draft(given.component, given.version, given.like, what, stop=given.stop))
    if given.pinned:
        comment = "what upstream's quick install names, and why it is not that"
        text.put("pinned", f" {given.pinned}", comment)
        text.put("why", " >-\n" + "".join(f"  {line}\n" for line in _folded(given.why)))
    path = VERSIONS / "components" / given.component / f"{given.version}.yaml"
    path.write_text(str(text), encoding="utf-8")


if __name__ == "__main__":
    main()

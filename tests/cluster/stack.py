"""Real manifests on a sandbox, applied stage by stage and awaited as an installation would."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from installer.catalog.load import load
from installer.catalog.model import WebhookProbe
from installer.cluster.client import Cluster
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Object, Ref, ref_of
from installer.plan.normalise import normalise
from installer.plan.stages import STAGES, default_stage

CERT_MANAGER = "github.com/jetstack/cert-manager/releases/download/v0.15.1/cert-manager.yaml"
KFSERVING = "raw.githubusercontent.com/kserve/kserve/v0.5.1/install/v0.5.1/kfserving.yaml"
ISTIO = "rendered/istio/1.6.2/kfserving-quick-install.yaml"
_KNATIVE = (
    "raw.githubusercontent.com/knative/operator/v0.18.0/cmd/operator/kodata/knative-serving/0.18.0"
)
KNATIVE = (f"{_KNATIVE}/1-serving-crds.yaml", f"{_KNATIVE}/2-serving-core.yaml")
_SECONDS = 180.0


@dataclass(frozen=True)
class Manifest:
    """The objects of one component, by stage."""

    stages: dict[str, list[Object]]
    probes: tuple[WebhookProbe, ...]

    @property
    def webhooks(self) -> list[Ref]:
        return [ref_of(obj) for obj in self.stages["webhooks"]]

    @property
    def definitions(self) -> list[Ref]:
        refs = [ref_of(obj) for obj in self.stages["crds"]]
        return [ref for ref in refs if ref.kind == "CustomResourceDefinition"]


def read(upstream: Path, *files: str, component: tuple[str, str]) -> Manifest:
    """Parse manifests of a component of the catalog (name, version); its namespace is created
    first and used where objects name none."""
    known = load().components[component]
    namespace = known.namespace
    documents: Iterable[Object] = [
        document
        for file in files
        for document in yaml.load_all((upstream / file).read_text(), Loader=yaml.CSafeLoader)
        if document
    ]
    objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}]
    for document in documents:
        objects += document["items"] if document["kind"] == "List" else [document]
    own = {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"]): obj["spec"]["scope"] == "Namespaced"
        for obj in objects
        if obj["kind"] == "CustomResourceDefinition"
    }

    def scope(api_version: str, kind: str) -> bool | None:
        return own.get((api_version.rpartition("/")[0], kind))

    stages: dict[str, list[Object]] = {stage: [] for stage in STAGES}
    for obj in objects:
        body = normalise(obj, scope, namespace)
        stages[default_stage(ref_of(body).group, body["kind"], own)].append(body)
    return Manifest(stages, known.webhook_probes)


def apply(cluster: Cluster, manifest: Manifest, *stages: str) -> None:
    """Apply these stages in order; each but `webhooks` is awaited."""
    for stage in stages:
        objects = manifest.stages[stage]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda obj: cluster.apply(obj, force=True), objects))
        cluster.refresh_discovery()
        if stage != "webhooks":
            refs = [ref_of(obj) for obj in objects]
            wait_ready(cluster, refs, deadline=_SECONDS, cancel=Cancel())

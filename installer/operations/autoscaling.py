"""`autoscaling`: how an InferenceService scales, why, and what some load would lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from installer.catalog.autoscaler import load_defaults
from installer.catalog.yaml_loader import LOADER
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref, dig, ref_of
from installer.serving import inference_service
from installer.serving.autoscaling import (
    Expected,
    Setting,
    Sources,
    expected_pods,
    settings,
    strange_annotations,
)
from installer.serving.autoscaling_words import sentences
from installer.serving.inference_service import InferenceService, predictor_of
from installer.serving.scene import uids_of_owners

_KNATIVE = "serving.knative.dev/v1"
_SYSTEM = "knative-serving"
_CONFIG = Ref("v1", "ConfigMap", _SYSTEM, "config-autoscaler")


@dataclass(frozen=True, slots=True)
class AutoscalingReport:
    """How one component scales.

    revision: empty before there is one. wanted, actual: pods by its PodAutoscaler, -1 when not
    known. expected: for a load that was asked about. warnings: what looks wrong.
    """

    service: InferenceService
    revision: str
    version: str
    settings: Mapping[str, Setting]
    sentences: tuple[str, ...]
    mode: str
    wanted: int
    actual: int
    expected: Expected | None
    concurrency: float | None
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The `-o json` form."""
        return {
            "inference_service": self.service.ref.to_dict(),
            "revision": self.revision,
            "knative": self.version,
            "settings": {
                name: {"value": s.value, "unit": s.unit, "origin": s.origin}
                for name, s in self.settings.items()
            },
            "explained": list(self.sentences),
            "activator_mode": self.mode,
            "pods": {"wanted": self.wanted, "actual": self.actual},
            "load": None
            if self.expected is None
            else {
                "concurrency": self.concurrency,
                "pods": self.expected.pods,
                "why": self.expected.why,
            },
            "warnings": list(self.warnings),
        }


def autoscaling(cluster: Cluster, text: str, concurrency: float | None = None) -> AutoscalingReport:
    """How `[NAMESPACE/]NAME` scales. Writes nothing.

    Raises what `inference_service.find` raises; InstallerError, kind `not-autoscaled`, where no
    Knative Service was made for it.
    """
    service = inference_service.find(cluster, text)
    revision = _revision(cluster, service)
    config, warnings = _config(cluster)
    version = _version(cluster, config)
    data = {k: str(v) for k, v in dig(config, "data", default={}).items() if k != "_example"}
    sources = Sources(
        service.obj,
        predictor_of(service.obj),
        revision,
        data,
        _defaults(config, version),
        version,
    )
    found = settings(sources)
    scaler, mode = _scaler(cluster, revision)
    warnings += [f"{key} is no setting of Knative" for key in strange_annotations(service.obj)]
    return AutoscalingReport(
        service,
        ref_of(revision).name if revision else "",
        version,
        found,
        tuple(sentences(found, mode)),
        mode,
        int(dig(scaler, "status", "desiredScale", default=-1)),
        int(dig(scaler, "status", "actualScale", default=-1)),
        None if concurrency is None else expected_pods(found, concurrency),
        concurrency,
        tuple(warnings),
    )


def _revision(cluster: Cluster, service: InferenceService) -> Object | None:
    """The newest revision of the component that takes the requests."""
    place = service.ref.namespace
    if cluster.discovery().find(_KNATIVE, "Service") is None:
        raise _not_autoscaled(service)
    uid = dig(service.obj, "metadata", "uid")
    mine = [
        obj for obj in cluster.list(_KNATIVE, "Service", place).items if uid in uids_of_owners(obj)
    ]
    predictors = [obj for obj in mine if "-predictor" in ref_of(obj).name] or mine
    if not predictors:
        if dig(service.obj, "status", "conditions"):
            raise _not_autoscaled(service)
        return None
    name = dig(predictors[0], "status", "latestReadyRevisionName") or dig(
        predictors[0], "status", "latestCreatedRevisionName"
    )
    return cluster.get(Ref(_KNATIVE, "Revision", place, str(name))) if name else None


def _not_autoscaled(service: InferenceService) -> InstallerError:
    return InstallerError(
        f"{service.ref} has no Knative Service, so Knative does not scale it",
        kind="not-autoscaled",
        object=str(service.ref),
        remedy="a raw deployment is scaled by its HorizontalPodAutoscaler: "
        f"kubectl -n {service.ref.namespace} describe hpa",
    )


def _config(cluster: Cluster) -> tuple[Object, list[str]]:
    try:
        found = cluster.get(_CONFIG)
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        return {}, [f"{_CONFIG} may not be read, so what it sets is not known: {error.message}"]
    return (found, []) if found else ({}, [f"{_CONFIG} does not exist"])


def _version(cluster: Cluster, config: Object) -> str:
    """Of Knative Serving: by the labels of its ConfigMap, else by our ledger."""
    labels = dig(config, "metadata", "labels", default={})
    said = labels.get("app.kubernetes.io/version") or labels.get("serving.knative.dev/release")
    if said:
        return str(said).removeprefix("v")
    try:
        record = ledgers.read(cluster).components.get("knative-serving")
    except InstallerError:
        return ""
    return record.version if record else ""


def _defaults(config: Object, version: str) -> Mapping[str, str]:
    """Of the version; where that is not known, those that the ConfigMap's `_example` tells."""
    try:
        return load_defaults().of(version)
    except ValueError:
        pass
    try:
        example = yaml.load(str(dig(config, "data", "_example", default="")), Loader=LOADER)
    except yaml.YAMLError:
        return {}
    return {k: str(v) for k, v in example.items()} if isinstance(example, dict) else {}


def _scaler(cluster: Cluster, revision: Object | None) -> tuple[Object | None, str]:
    """The revision's PodAutoscaler and the mode of its ServerlessService."""
    if revision is None:
        return None, ""
    ref = ref_of(revision)
    try:
        scaler = cluster.get(
            Ref(
                "autoscaling.internal.knative.dev/v1alpha1",
                "PodAutoscaler",
                ref.namespace,
                ref.name,
            )
        )
        serverless = cluster.get(
            Ref(
                "networking.internal.knative.dev/v1alpha1",
                "ServerlessService",
                ref.namespace,
                ref.name,
            )
        )
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        return None, ""
    return scaler, str(dig(serverless, "spec", "mode", default=""))

"""The webhooks of KFServing and KServe, as far as the recorded answers of 0.5.1 show them.

The group of the object decides the dialect: `serving.kubeflow.org` is KFServing,
`serving.kserve.io` KServe. Well-formed objects are admitted; what upstream refuses is refused with
its words.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.admission import Admission, Denial
from installer.sandbox.simulators.api import path_of
from installer.sandbox.simulators.storage_initializer import StorageInitializer
from installer.sandbox.simulators.world import World

_NAME = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUANTITY = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_SCHEMES = ("gs://", "s3://", "pvc://", "file://", "https://", "http://")
_CONSTANT_VERSIONS = {"pytorch": "0.3.0"}
"""Recorded: for these v1beta1 ignores the version in inferenceservice-config."""

_ROOM = {"cpu": "1", "memory": "2Gi"}

KUBEFLOW = {
    "SKLearn": "sklearn", "XGBoost": "xgboost", "Tensorflow": "tensorflow", "PyTorch": "pytorch",
    "Triton": "triton", "ONNX": "onnx", "PMML": "pmml", "LightGBM": "lightgbm",
    "PodSpec": "containers",
}  # fmt: skip
KSERVE = {
    "SKLearn": "sklearn", "XGBoost": "xgboost", "Tensorflow": "tensorflow", "PyTorch": "pytorch",
    "Triton": "triton", "ONNX": "onnx", "HuggingFace": "huggingface", "PMML": "pmml",
    "LightGBM": "lightgbm", "Paddle": "paddle", "Model": "model", "PodSpec": "containers",
}  # fmt: skip
ALPHA = {
    "Custom": "custom", "ONNX": "onnx", "Tensorflow": "tensorflow", "Triton": "triton",
    "SKLearn": "sklearn", "XGBoost": "xgboost", "LightGBM": "lightgbm",
}  # fmt: skip
"""Frameworks a predictor can name: upstream's word for each, in upstream's order, and its field."""


def register(admission: Admission, world: World) -> None:
    """Answer for every path of KFServing's and KServe's webhooks."""
    defaulter = Defaulter(world)
    admission.default("/mutate-pods", StorageInitializer(world).inject)
    for group in ("kubeflow-org", "kserve-io"):
        prefix = f"serving-{group}"
        admission.default(f"/mutate-{prefix}-v1beta1-inferenceservice", defaulter.beta)
        admission.default(f"/mutate-{prefix}-v1alpha2-inferenceservice", defaulter.alpha)
        admission.validate(f"/mutate-{prefix}-", quantities)
        admission.validate(f"/validate-{prefix}-v1beta1-inferenceservice", inference_service)
        admission.validate(f"/validate-{prefix}-v1alpha2-inferenceservice", inference_service)
        admission.validate(f"/validate-{prefix}-v1alpha1-trainedmodel", trained_model)
        admission.validate(f"/validate-{prefix}-v1alpha1-clusterservingruntime", runtime)
        admission.validate(f"/validate-{prefix}-v1alpha1-servingruntime", runtime)
        admission.validate(f"/validate-{prefix}-v1alpha1-inferencegraph", graph)


def inference_service(obj: Object) -> Denial | None:
    """v1beta1 and v1alpha2."""
    name = obj["metadata"].get("name", "")
    if name and not re.fullmatch(_NAME, name):
        return Denial(
            f'The InferenceService "{name}" is invalid: a InferenceService name must consist of '
            "lower case alphanumeric characters or '-', and must start with alphabetical "
            'character. (e.g. "my-name" or "abc-123", regex used for validation is '
            f"'{_NAME}')"
        )
    spec = obj.get("spec") or {}
    alpha = obj["apiVersion"].endswith("/v1alpha2")
    endpoint = dig(spec, "default", default={}) if alpha else spec
    frameworks = ALPHA if alpha else KUBEFLOW if _kubeflow(obj) else KSERVE
    return _predictor(endpoint.get("predictor") or {}, frameworks)


def _kubeflow(obj: Object) -> bool:
    return str(obj["apiVersion"]).startswith("serving.kubeflow.org/")


def _predictor(predictor: dict[str, Any], frameworks: dict[str, str]) -> Denial | None:
    named = [field for field in frameworks.values() if predictor.get(field) is not None]
    workers = predictor.get("workerSpec") or predictor.get("pod")
    if len(named) != 1 and not (workers and not named):
        told = ", ".join(frameworks)
        return Denial(f"Exactly one of [{told}] must be specified in PredictorSpec")
    lowest, highest = predictor.get("minReplicas"), predictor.get("maxReplicas") or 0
    if lowest is not None and lowest < 0:
        return Denial("MinReplicas cannot be less than 0.")
    if highest < 0:
        return Denial("MaxReplicas cannot be less than 0.")
    if highest and (lowest or 0) > highest:
        return Denial("MinReplicas cannot be greater than MaxReplicas.")
    parallel = predictor.get("containerConcurrency", predictor.get("parallelism"))
    if (parallel or 0) < 0:
        return Denial("Parallelism cannot be less than 0.")
    framework = predictor.get(named[0]) if named else None
    return _framework(named[0], framework) if isinstance(framework, dict) else None


def _framework(field: str, framework: dict[str, Any]) -> Denial | None:
    uri = framework.get("storageUri") or ""
    if "://" in uri and not uri.startswith((*_SCHEMES, "hf://", "oci://", "hdfs://", "webhdfs://")):
        told = ", ".join(_SCHEMES)
        return Denial(
            f"storageUri, must be one of: [{told}] or match "
            "https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path. "
            f"StorageUri [{uri}] is not supported."
        )
    if field == "onnx" and uri and not uri.endswith(".onnx"):
        ending = uri.rpartition("/")[2]
        ending = "." + ending.rpartition(".")[2] if "." in ending else ""
        return Denial(f"Expected storageUri file extension: '.onnx' but got '{ending}'")
    if field == "tensorflow":
        resources = framework.get("resources") or {}
        wanted = any("nvidia.com/gpu" in (part or {}) for part in resources.values())
        version = framework.get("runtimeVersion") or ""
        end = "Tensorflow RuntimeVersion must be one of %!s(MISSING)"
        if wanted and version and not version.endswith("-gpu"):
            return Denial(
                "Tensorflow RuntimeVersion is not GPU enabled but GPU resources are requested. "
                + end
            )
        if version.endswith("-gpu") and not wanted:
            return Denial(
                "Tensorflow RuntimeVersion is GPU enabled but GPU resources are not requested. "
                + end
            )
    return None


def trained_model(obj: Object) -> Denial | None:
    """TrainedModel v1alpha1."""
    name, uri = obj["metadata"].get("name", ""), dig(obj, "spec", "model", "storageUri", default="")
    if not re.fullmatch(r"[a-z0-9A-Z]([-a-z0-9A-Z]*[a-z0-9A-Z])?", name):
        return Denial(f'the Trained Model "{name}" is invalid')
    if not uri.startswith(("s3://", "gs://", *(() if _kubeflow(obj) else _SCHEMES))):
        return Denial(
            f'the Trained Model "{name}" storageUri field is invalid. The storage uri must start '
            f'with one of the prefixes: s3://, gs://. (the storage uri given is "{uri}")'
        )
    return None


def runtime(obj: Object) -> Denial | None:
    """ServingRuntime and ClusterServingRuntime."""
    seen: dict[tuple[str, str], set[int]] = {}
    for entry in dig(obj, "spec", "supportedModelFormats", default=[]):
        priority = entry.get("priority")
        if priority is None:
            continue
        if priority <= 0:
            return Denial(
                f"the priority assigned for the model format {entry['name']} must be greater than "
                "zero"
            )
        known = seen.setdefault((entry["name"], str(entry.get("version"))), set())
        if priority in known:
            return Denial(
                f"different priorities assigned for the model format {entry['name']} under the "
                f"runtime {obj['metadata'].get('name', '')}"
            )
        known.add(priority)
    return None


def graph(obj: Object) -> Denial | None:
    """InferenceGraph."""
    name = obj["metadata"].get("name", "")
    if name and not re.fullmatch(_NAME, name):
        return Denial(
            f"The InferenceGraph \"{name}\" is invalid: regex used for validation is '{_NAME}'"
        )
    if "root" not in dig(obj, "spec", "nodes", default={}):
        return Denial(
            'Root node not found, InferenceGraph needs a node with name "root" as the root node of '
            "the graph"
        )
    return None


def quantities(obj: Object) -> Denial | None:
    """What cannot even be decoded: a resource that is no quantity."""
    for text in _resources(obj.get("spec")):
        if not re.match(_QUANTITY, str(text)):
            version = obj["apiVersion"].rpartition("/")[2]
            return Denial(
                f"{version}.InferenceService.Spec: Resources: v1.ResourceRequirements: "
                f"unmarshalerDecoder: quantities must match the regular expression '{_QUANTITY}', "
                f"error found at {text!r}",
                code=400,
                reason="",
            )
    return None


def _resources(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [text for item in value for text in _resources(item)]
    if not isinstance(value, dict):
        return []
    found = [text for key, item in value.items() if key != "resources" for text in _resources(item)]
    for part in (value.get("resources") or {}).values():
        if isinstance(part, dict):
            found.extend(part.values())
    return found


class Defaulter:
    """What the mutating webhooks fill in: container name, resources, runtime version."""

    def __init__(self, world: World):
        self._world = world

    def beta(self, obj: Object) -> Object:
        """v1beta1."""
        result = copy.deepcopy(obj)
        predictor = dig(result, "spec", "predictor", default={})
        kubeflow = _kubeflow(obj)
        frameworks = {
            k: v for k, v in (KUBEFLOW if kubeflow else KSERVE).items() if v != "containers"
        }
        named = [f for f in frameworks.values() if isinstance(predictor.get(f), dict)]
        for field in named:
            framework = predictor[field]
            # Upstream's Go type writes an unset name as null when it does not default it.
            name = "kfserving-container" if kubeflow else ""
            framework["name"] = framework.get("name") or (name if len(named) == 1 else None)
            if len(named) == 1 and kubeflow:
                self._fill(field, framework, beta=True)
        return result

    def alpha(self, obj: Object) -> Object:
        """v1alpha2."""
        result = copy.deepcopy(obj)
        for endpoint in ("default", "canary"):
            predictor = dig(result, "spec", endpoint, "predictor", default={})
            for field in ALPHA.values():
                if field != "custom" and isinstance(predictor.get(field), dict):
                    self._fill(field, predictor[field], beta=False)
        return result

    def _fill(self, field: str, framework: dict[str, Any], *, beta: bool) -> None:
        resources = framework.setdefault("resources", {})
        for part in ("requests", "limits"):
            resources[part] = _ROOM | (resources.get(part) or {})
        known = self._predictors().get(field) or {}
        if "v1" in known or "v2" in known:
            if beta:
                framework.setdefault("protocolVersion", "v1")
            known = known.get(framework.get("protocolVersion", "v1")) or {}
        gpu = "nvidia.com/gpu" in resources["limits"] or "nvidia.com/gpu" in resources["requests"]
        version = known.get("defaultGpuImageVersion" if gpu else "defaultImageVersion")
        if beta and not gpu:
            version = _CONSTANT_VERSIONS.get(field, version)
        if version:
            framework.setdefault("runtimeVersion", version)

    def _predictors(self) -> dict[str, Any]:
        place = "kfserving-system", "inferenceservice-config"
        if self._world.config_maps.get(*place) is None:
            return {}
        found = self._world.api.get(path_of("v1", "configmaps", *place))
        try:
            decoded = json.loads(dig(found, "data", "predictors", default="{}"))
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}

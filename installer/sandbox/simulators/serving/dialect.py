"""What differs between the releases of KFServing and KServe in the objects they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KUBEFLOW = "serving.kubeflow.org"
KSERVE = "serving.kserve.io"
MODEL_PATH = "/mnt/models"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one release names things.

    group: of InferenceServices. home: namespace of the controller. container: of the model.
    suffix: of the predictor's Knative Service. manager: field manager of the controller.
    """

    group: str
    home: str
    container: str
    suffix: str
    manager: str = "manager"

    @property
    def api_version(self) -> str:
        """Of InferenceServices."""
        return f"{self.group}/v1beta1"

    @property
    def label(self) -> str:
        """The label that names the InferenceService."""
        return f"{self.group}/inferenceservice"

    @property
    def source(self) -> str:
        """The annotation that tells the storage initializer what to fetch."""
        return f"internal.{self.group}/storage-initializer-sourceuri"

    @property
    def creator(self) -> str:
        """Who Knative notes as the creator of a Knative Service."""
        account = "default" if self.group == KUBEFLOW else "kserve-controller-manager"
        return f"system:serviceaccount:{self.home}:{account}"


def dialect_of(group: str, version: tuple[int, int]) -> Dialect:
    """The dialect of a controller of this group and (major, minor) version.

    The suffix `-default` went with KServe 0.11: kserve/kserve pull request 2508.
    """
    if group == KUBEFLOW:
        return Dialect(group, "kfserving-system", "kfserving-container", "-predictor-default")
    suffix = "-predictor-default" if version < (0, 11) else "-predictor"
    return Dialect(group, "kserve", "kserve-container", suffix)


def framework_of(predictor: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(name, spec) of the framework that a v1beta1 predictor names; ("", {}) for none."""
    for name, value in predictor.items():
        if isinstance(value, dict) and ("storageUri" in value or "resources" in value):
            return name, value
    return "", {}


def model_container(
    predictor: Mapping[str, Any], name: str, dialect: Dialect, predictors: Mapping[str, Any]
) -> dict[str, Any]:
    """The container of the model; predictors: of ConfigMap inferenceservice-config."""
    if predictor.get("containers"):
        return {"name": dialect.container, **predictor["containers"][0]}
    framework, spec = framework_of(predictor)
    known = predictors.get(framework) or {}
    known = known.get(spec.get("protocolVersion", "v1"), known)
    image = spec.get("image") or known.get("image") or f"{framework or 'model'}server"
    version = spec.get("runtimeVersion") or known.get("defaultImageVersion") or "latest"
    container = {
        "image": image if ":" in image.rpartition("/")[2] else f"{image}:{version}",
        "name": dialect.container,
        "args": _arguments(framework, name),
        # Knative takes port 0 for the port that it gives the container itself
        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
    }
    if framework == "tensorflow":
        container["command"] = ["/usr/bin/tensorflow_model_server"]
    for key in ("env", "resources", "ports"):
        if spec.get(key):
            container[key] = spec[key]
    return container


def _arguments(framework: str, name: str) -> list[str]:
    if framework == "tensorflow":
        return [
            "--port=9000",
            "--rest_api_port=8080",
            f"--model_name={name}",
            f"--model_base_path={MODEL_PATH}",
            "--rest_api_timeout_in_ms=60000",
        ]
    return [f"--model_name={name}", f"--model_dir={MODEL_PATH}", "--http_port=8080"]


def storage_uri(predictor: Mapping[str, Any]) -> str:
    """What the storage initializer is to fetch; empty for nothing."""
    return str(framework_of(predictor)[1].get("storageUri") or "")

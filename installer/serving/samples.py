"""The InferenceService that `verify` makes, for each API version, and what it asks of it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from installer.catalog.yaml_loader import LOADER
from installer.core.errors import InvalidInput, Problem
from installer.core.objects import Object, dig
from installer.serving.ask import Reply
from installer.serving.inference_service import API_VERSIONS, KIND
from installer.serving.replies import json_of

NAME = "flowers-sample"
_LIMIT = 1_000_000
_MODELS = {
    "serving.kubeflow.org": "gs://kfserving-samples/models/tensorflow/flowers",
    "serving.kserve.io": "gs://kfserving-examples/models/tensorflow/flowers",
}
"""Upstream's flowers model (kserve/kserve: docs/samples/tensorflow of v0.5.1 and of v0.7.0)."""
_CONTAINERS = {
    "serving.kubeflow.org": "kfserving-container",
    "serving.kserve.io": "kserve-container",
}
"""The name that each group's controller expects (pkg/constants: InferenceServiceContainerName)."""
_KEY = "1"
_IMAGE = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI//////////////////////"
    "//////////////////////////////2wBDAVVaWnhpeOuCguv////////////////////////////////////////"
    "/////////////////////////////////wAARCAAIAAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAP/"
    "xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAAAgT/xAAUEQEAAAAAAAAAAAAAAAAAAAAA"
    "/9oADAMBAAIRAxEAPwCwCc3/2Q=="
)
"""A yellow square of 8 by 8 pixels as JPEG."""
SAMPLE_INPUT = json.dumps({"instances": [{"image_bytes": {"b64": _IMAGE}, "key": _KEY}]}).encode()


@dataclass(frozen=True, slots=True)
class Wish:
    """What the sample's predictor is to be; empty fields mean upstream's flowers model.

    image: a container that answers predictions itself. storage_uri: another TensorFlow model.
    """

    image: str = ""
    storage_uri: str = ""


def sample(api_version: str, namespace: str, wish: Wish) -> Object:
    """The sample InferenceService of an API version that the cluster serves."""
    group, _, version = api_version.partition("/")
    if wish.image:
        predictor: Object = _custom(group, version, wish.image)
    else:
        predictor = {"tensorflow": {"storageUri": wish.storage_uri or _MODELS[group]}}
    spec = {"predictor": predictor}
    return {
        "apiVersion": api_version,
        "kind": KIND,
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"default": spec} if version == "v1alpha2" else spec,
    }


def _custom(group: str, version: str, image: str) -> Object:
    container = {"name": _CONTAINERS[group], "image": image}
    return (
        {"custom": {"container": container}}
        if version == "v1alpha2"
        else {"containers": [container]}
    )


def read_inference_service(file: str) -> Object:
    """The one InferenceService in a file of the user's. Raises InvalidInput with every problem."""
    try:
        data = Path(file).read_bytes()[: _LIMIT + 1]
        documents = [d for d in yaml.load_all(data, Loader=LOADER) if d is not None]
    except OSError as error:
        raise _invalid(file, "", error.strerror or "cannot be read", "") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _invalid(file, "", f"is no YAML: {' '.join(str(error).split())}", "") from error
    if len(data) > _LIMIT:
        raise _invalid(file, "", "is too large", f"at most {_LIMIT} bytes")
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise _invalid(file, "", f"has {len(documents)} documents", f"one {KIND}")
    problems = _problems(file, documents[0])
    if problems:
        raise InvalidInput("the InferenceService", problems)
    found: Object = documents[0]
    return found


def _invalid(file: str, path: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput("the InferenceService", [Problem(file, path, found, expected)])


def _problems(file: str, document: dict[str, Any]) -> list[Problem]:
    expected = {
        "apiVersion": (document.get("apiVersion") in API_VERSIONS, " or ".join(API_VERSIONS)),
        "kind": (document.get("kind") == KIND, KIND),
        "metadata.name": (isinstance(dig(document, "metadata", "name"), str), "a name"),
        "spec": (isinstance(document.get("spec"), dict), "a predictor"),
    }
    return [
        Problem(file, path, repr(dig(document, *path.split("."))), what)
        for path, (holds, what) in expected.items()
        if not holds
    ]


def difference(sent: bytes, reply: Reply, expected: Any = None) -> str:
    """How an answer differs from what must come back for what was sent; empty when it does not.

    expected: the exact answer, decoded; without it as many predictions as instances are wanted,
    in their order where they carry a key.
    """
    found = json_of(reply)
    if expected is not None:
        return "" if found == expected else "the answer is not the expected one"
    if not isinstance(found, dict):
        return "the answer is no JSON object"
    asked = json.loads(sent)
    if "instances" not in asked:
        return "" if found.get("outputs") or found.get("predictions") else "it predicts nothing"
    predictions = found.get("predictions")
    if not isinstance(predictions, list):
        return f"the answer has no predictions, but {', '.join(sorted(found)) or 'nothing'}"
    if len(predictions) != len(asked["instances"]):
        return f"{len(asked['instances'])} instances gave {len(predictions)} predictions"
    for instance, prediction in zip(asked["instances"], predictions, strict=True):
        keys = [str(dig(part, "key", default="")).strip() for part in (instance, prediction)]
        if all(keys) and keys[0] != keys[1]:
            return f"the prediction for {keys[0]} says that it is for {keys[1]}"
    return ""

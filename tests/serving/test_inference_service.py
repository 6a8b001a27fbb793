"""What an InferenceService object says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.core.errors import UsageError
from installer.core.objects import Object
from installer.serving.inference_service import of_object, parse_name

RECORDED = "facts/recordings/kfserving-0.5.1/inferenceservice/flowers-sample/objects"


def test_a_recorded_one_tells_its_hosts_and_path(shared: Path) -> None:
    folder = shared / RECORDED
    (file,) = folder.glob("inferenceservices.*.yaml")
    found = of_object(yaml.safe_load(file.read_text()))
    assert found.name == "default/flowers-sample"
    assert found.host == "flowers-sample.default.example.com"
    assert found.internal_host == "flowers-sample.default.svc.cluster.local"
    assert found.predict_path == "/v1/models/flowers-sample:predict"


def _predicting(predictor: dict[str, Any]) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "namespace": "models"},
        "spec": {"predictor": predictor},
    }


@pytest.mark.parametrize(
    ("predictor", "path"),
    [
        ({"sklearn": {}}, "/v1/models/iris:predict"),
        ({"sklearn": {"protocolVersion": "v2"}}, "/v2/models/iris/infer"),
        ({"model": {"protocolVersion": "v2"}}, "/v2/models/iris/infer"),
        ({"triton": {}}, "/v2/models/iris/infer"),
        ({"containers": [{"args": ["--model_name=rose"]}]}, "/v1/models/rose:predict"),
        ({"containers": [{"args": ["--model_name", "rose"]}]}, "/v1/models/rose:predict"),
        ({"containers": [{}], "minReplicas": 0}, "/v1/models/iris:predict"),
    ],
)
def test_the_predict_path_follows_protocol_and_model_name(
    predictor: dict[str, Any], path: str
) -> None:
    assert of_object(_predicting(predictor)).predict_path == path


def test_one_that_is_not_ready_has_no_host_yet() -> None:
    assert of_object(_predicting({"sklearn": {}})).host == ""


@pytest.mark.parametrize(
    ("text", "expected"), [("iris", ("mine", "iris")), ("models/iris", ("models", "iris"))]
)
def test_a_name_may_have_a_namespace(text: str, expected: tuple[str, str]) -> None:
    assert parse_name(text, "mine") == expected


@pytest.mark.parametrize("text", ["", "/", "a/b/c", "models/", "/iris"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_name(text)

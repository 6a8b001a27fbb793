"""The sample of each API version, files of users, and what counts as the right answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from installer.core.errors import InvalidInput
from installer.serving.ask import Reply
from installer.serving.samples import (
    SAMPLE_INPUT,
    Wish,
    difference,
    read_inference_service,
    sample,
)


@pytest.mark.parametrize(
    ("version", "wish", "spec"),
    [
        (
            "serving.kubeflow.org/v1beta1",
            Wish(),
            {
                "predictor": {
                    "tensorflow": {"storageUri": "gs://kfserving-samples/models/tensorflow/flowers"}
                }
            },
        ),
        (
            "serving.kserve.io/v1beta1",
            Wish(image="example.com/m:1"),
            {
                "predictor": {
                    "containers": [{"name": "kserve-container", "image": "example.com/m:1"}]
                }
            },
        ),
        (
            "serving.kubeflow.org/v1alpha2",
            Wish(storage_uri="pvc://m"),
            {"default": {"predictor": {"tensorflow": {"storageUri": "pvc://m"}}}},
        ),
    ],
)
def test_the_sample_fits_the_api_version(version: str, wish: Wish, spec: dict[str, Any]) -> None:
    found = sample(version, "here", wish)
    assert found["apiVersion"] == version
    assert found["metadata"] == {"name": "flowers-sample", "namespace": "here"}
    assert found["spec"] == spec


def test_a_file_s_problems_are_all_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "isvc.yaml"
    file.write_text("apiVersion: v1\nkind: Pod\nmetadata: {}\n")
    with pytest.raises(InvalidInput) as raised:
        read_inference_service(str(file))
    paths = [problem.path for problem in raised.value.problems]
    assert paths == ["apiVersion", "kind", "metadata.name", "spec"]


@pytest.mark.parametrize("text", ["", "a: [", "a: 1\n---\nb: 2\n"])
def test_what_is_not_one_inference_service_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "isvc.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        read_inference_service(str(file))


def _reply(value: Any) -> Reply:
    return Reply(200, {}, json.dumps(value).encode())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"predictions": [{"key": " 1", "prediction": 0}]}, ""),
        ({"predictions": [0]}, ""),
        ({"predictions": []}, "1 instances gave 0 predictions"),
        ({"predictions": [{"key": "2"}]}, "the prediction for 1 says that it is for 2"),
        ({"error": "no"}, "the answer has no predictions, but error"),
        ([], "the answer is no JSON object"),
    ],
)
def test_an_answer_is_compared_with_what_was_sent(answer: Any, said: str) -> None:
    assert difference(SAMPLE_INPUT, _reply(answer)) == said


def test_an_expected_answer_must_come_back_exactly() -> None:
    assert difference(b"{}", _reply({"a": 1}), {"a": 1}) == ""
    assert difference(b"{}", _reply({"a": 1}), {"a": 2}) != ""


def test_a_v2_answer_needs_outputs() -> None:
    assert difference(b'{"inputs": []}', _reply({"outputs": [1]})) == ""
    assert difference(b'{"inputs": []}', _reply({})) == "it predicts nothing"

"""Effective settings, where they come from, and the pods that a load would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from recorded import RECORDINGS

from installer.catalog.autoscaler import load_defaults
from installer.core.objects import Object
from installer.serving.autoscaling import (
    PREFIX,
    Sources,
    expected_pods,
    settings,
    strange_annotations,
)
from installer.serving.autoscaling_words import sentences

_OPERATOR = "upstream/raw.githubusercontent.com/knative/operator"
_AUTOSCALE = f"{RECORDINGS}/autoscale"


def _sources(
    *,
    revision: dict[str, str] | None = None,
    own: dict[str, str] | None = None,
    predictor: dict[str, Any] | None = None,
    limit: int = 0,
    config: dict[str, str] | None = None,
    version: str = "0.18.0",
) -> Sources:
    """Annotations without their prefix."""
    annotations = {PREFIX + key: value for key, value in (revision or {}).items()}
    made: Object = {
        "metadata": {"annotations": annotations},
        "spec": {"containerConcurrency": limit},
    }
    service: Object = {"metadata": {"annotations": {PREFIX + k: v for k, v in (own or {}).items()}}}
    defaults = load_defaults().of(version)
    return Sources(service, predictor or {}, made, config or {}, defaults, version)


def test_every_shipped_configuration_says_the_defaults_that_we_say(shared: Path) -> None:
    files = sorted((shared / _OPERATOR).glob("*/cmd/operator/kodata/knative-serving/*/2-*.yaml"))
    told_since = {row.key for row in load_defaults().defaults}
    for file in files:
        example = _example(file)
        ours = load_defaults().of(file.parent.name)
        assert ours == {k: v for k, v in example.items() if k in told_since}, file
    assert len(files) > 30


def _example(file: Path) -> dict[str, str]:
    for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
        if document and document["metadata"]["name"] == "config-autoscaler":
            found = yaml.load(document["data"]["_example"], Loader=yaml.CSafeLoader)
            return {key: str(value) for key, value in found.items()}
    raise AssertionError(file)


@pytest.mark.parametrize(
    ("sources", "name", "value", "origin"),
    [
        (_sources(), "target", "100", "Knative's default of 0.18.0"),
        (_sources(), "burst capacity", "200", "Knative's default of 0.18.0"),
        (_sources(version="1.10.1"), "burst capacity", "211", "Knative's default of 1.10.1"),
        (_sources(config={"stable-window": "30s"}), "window", "30s", "config-autoscaler"),
        (
            _sources(revision={"target": "10"}, own={"target": "10"}),
            "target",
            "10",
            "annotation autoscaling.knative.dev/target of the InferenceService",
        ),
        (
            _sources(revision={"target": "10"}, predictor={"scaleTarget": 10}),
            "target",
            "10",
            "spec.predictor.scaleTarget",
        ),
        (_sources(revision={"target": "10"}), "target", "10", "of the revision"),
        (_sources(revision={"minScale": "1"}), "min scale", "1", "minReplicas is 1 unless"),
        (
            _sources(revision={"min-scale": "0"}, predictor={"minReplicas": 0}),
            "min scale",
            "0",
            "spec.predictor.minReplicas",
        ),
        (_sources(limit=5), "target", "5", "default of Knative"),
        (_sources(limit=5, revision={"target": "10"}), "target", "5", "below the target 10"),
        (_sources(revision={"metric": "rps"}), "target", "200", "Knative's default"),
        (_sources(revision={"targetUtilizationPercentage": "0.5"}), "utilization", "50", "of the"),
        (_sources(revision={"class": "hpa.autoscaling.knative.dev"}), "metric", "cpu", "class hpa"),
    ],
)
def test_a_setting_tells_where_it_comes_from(
    sources: Sources, name: str, value: str, origin: str
) -> None:
    found = settings(sources)[name]
    assert found.value == value
    assert origin in found.origin


def test_a_setting_that_a_version_does_not_have_is_not_told() -> None:
    assert "scale down delay" not in settings(_sources())
    assert "scale down delay" in settings(_sources(version="1.10.1"))


def test_expected_pods_are_those_that_were_recorded(shared: Path) -> None:
    seen = []
    for folder in sorted((shared / _AUTOSCALE).iterdir()):
        summary = yaml.safe_load((folder / "summary.yaml").read_text())
        concurrency = float(summary["hey"].rpartition(" ")[2])
        found = settings(_sources(revision={"target": summary["target"], "minScale": "1"}))
        assert expected_pods(found, concurrency).pods == summary["peakWanted"], folder
        seen.append(summary["peakWanted"])
    assert sorted(seen) == [1, 4, 8, 36]


@pytest.mark.parametrize(
    ("sources", "concurrency", "pods", "why"),
    [
        (_sources(revision={"target": "10"}), 25, 4, "25 / (10 × 70 %) = 3.57, so 4"),
        (_sources(revision={"target": "10", "maxScale": "2"}), 25, 2, "at most 2"),
        (_sources(revision={"target": "10", "minScale": "6"}), 25, 6, "at least 6"),
        (_sources(revision={"metric": "rps"}), 25, None, "requests a second"),
        (_sources(revision={"class": "hpa.autoscaling.knative.dev"}), 25, None, "cpu"),
    ],
)
def test_a_load_leads_to_a_number_of_pods_or_to_the_reason_why_not(
    sources: Sources, concurrency: float, pods: int | None, why: str
) -> None:
    found = expected_pods(settings(sources), concurrency)
    assert found.pods == pods
    assert why in found.why


def test_scaling_to_zero_and_the_activator_are_explained() -> None:
    found = settings(_sources(revision={"minScale": "0", "target": "10"}))
    said = " ".join(sentences(found, "Proxy"))
    assert "Without requests for 60s it scales to zero" in said
    assert "waits in the activator until a pod has started" in said
    assert "20 idle pods. Now: it is in the path." in said


def test_a_misspelt_annotation_is_noticed() -> None:
    service = {"metadata": {"annotations": {PREFIX + "taget": "10", PREFIX + "target": "10"}}}
    assert strange_annotations(service) == [PREFIX + "taget"]

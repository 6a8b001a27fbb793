"""Readiness of custom resources, made up and recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from readiness_objects import Case, condition, custom

from installer.cluster.readiness import readiness
from installer.core.objects import Object

CASES: list[Case] = [
    (
        "an inference service that nobody has looked at",
        custom("serving.kubeflow.org/v1beta1", "InferenceService"),
        "progressing",
        "NoCondition",
    ),
    (
        "a ready inference service",
        custom("serving.kserve.io/v1beta1", "InferenceService", condition("Ready", "True")),
        "ready",
        "",
    ),
    (
        "an inference service whose revision has failed",
        custom(
            "serving.kubeflow.org/v1beta1",
            "InferenceService",
            condition("Ready", "False", "RevisionMissing"),
        ),
        "failed",
        "RevisionMissing",
    ),
    (
        "an inference service whose model cannot be loaded",
        custom(
            "serving.kserve.io/v1beta1",
            "InferenceService",
            condition("Ready", "False", "NotReady"),
            modelStatus={
                "transitionStatus": "BlockedByFailedLoad",
                "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "no such bucket"},
            },
        ),
        "failed",
        "ModelLoadFailed",
    ),
    (
        "a serving runtime",
        custom("serving.kserve.io/v1alpha1", "ClusterServingRuntime"),
        "ready",
        "",
    ),
    (
        "a trained model without conditions",
        custom("serving.kubeflow.org/v1alpha1", "TrainedModel"),
        "progressing",
        "NoCondition",
    ),
    (
        "a certificate being issued",
        custom("cert-manager.io/v1", "Certificate", condition("Ready", "False", "DoesNotExist")),
        "progressing",
        "DoesNotExist",
    ),
    (
        "a certificate request that was refused",
        custom("cert-manager.io/v1", "CertificateRequest", condition("Ready", "False", "Failed")),
        "failed",
        "Failed",
    ),
    (
        "an issuer without conditions",
        custom("cert-manager.io/v1alpha2", "Issuer"),
        "progressing",
        "NoCondition",
    ),
    (
        "a failed Knative service",
        custom("serving.knative.dev/v1", "Service", condition("Ready", "False", "RevisionFailed")),
        "failed",
        "RevisionFailed",
    ),
    (
        "a Knative service on its way",
        custom("serving.knative.dev/v1", "Service", condition("Ready", "Unknown")),
        "progressing",
        "NotReady",
    ),
    (
        "a Knative certificate that no controller handles",
        custom("networking.internal.knative.dev/v1alpha1", "Certificate"),
        "ready",
        "",
    ),
    (
        "an unprogrammed gateway",
        custom(
            "gateway.networking.k8s.io/v1", "Gateway", condition("Programmed", "Unknown", "Pending")
        ),
        "progressing",
        "Pending",
    ),
    (
        "a condition older than the object",
        custom(
            "gateway.networking.k8s.io/v1",
            "Gateway",
            {**condition("Programmed", "True"), "observedGeneration": 0},
        ),
        "progressing",
        "NotObserved",
    ),
    ("Istio's configuration", custom("networking.istio.io/v1beta1", "VirtualService"), "ready", ""),
    (
        "an unknown kind that says Ready",
        custom("example.com/v1", "Thing", condition("Ready", "True")),
        "ready",
        "",
    ),
    (
        "an unknown kind that says it is not ready",
        custom("example.com/v1", "Thing", condition("Ready", "False", "Why")),
        "progressing",
        "Why",
    ),
    (
        "an unknown kind that has stalled",
        custom("example.com/v1", "Thing", condition("Stalled", "True", "Broken")),
        "failed",
        "Broken",
    ),
]


@pytest.mark.parametrize(
    ("obj", "state", "reason"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_each_kind_is_judged_by_its_condition(obj: Object | None, state: str, reason: str) -> None:
    verdict = readiness(obj)
    assert (verdict.state, verdict.reason) == (state, reason)


def recorded(shared: Path, case: str) -> Iterator[tuple[str, Object]]:
    folder = shared / "facts/recordings/kfserving-0.5.1/inferenceservice" / case / "objects"
    for path in sorted(folder.glob("*.yaml")):
        yield path.name, yaml.safe_load(path.read_text())


def test_every_object_of_a_recorded_ready_inference_service_is_ready(shared: Path) -> None:
    verdicts = {name: readiness(obj) for name, obj in recorded(shared, "flowers-sample")}
    assert len(verdicts) == 22
    assert {name: v for name, v in verdicts.items() if not v.ready} == {}


# What each recorded failure says; `progressing` where the real objects never said more.
RECORDED_FAILURES = [
    ("fail-tag-missing", "InferenceService", "failed"),
    ("fail-tag-missing", "Revision", "failed"),
    ("fail-digest-missing", "Deployment", "failed"),
    ("fail-digest-missing", "Pod", "progressing"),
    ("fail-crash-loop", "Pod", "failed"),
    ("fail-crash-loop", "InferenceService", "failed"),
    ("fail-model-missing", "Pod", "failed"),
    ("fail-unschedulable", "Pod", "progressing"),
    ("fail-unschedulable", "Revision", "failed"),
    ("fail-never-ready", "InferenceService", "progressing"),
    ("fail-never-ready", "Deployment", "failed"),
]


@pytest.mark.parametrize(("case", "kind", "state"), RECORDED_FAILURES)
def test_recorded_failures_are_judged_as_they_were(
    shared: Path, case: str, kind: str, state: str
) -> None:
    objects = [obj for _, obj in recorded(shared, case) if obj["kind"] == kind]
    assert objects
    assert state in {readiness(obj).state for obj in objects}

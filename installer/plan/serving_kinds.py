"""The kinds of KFServing and KServe that hold what users deploy."""

from __future__ import annotations

GROUPS = ("serving.kubeflow.org", "serving.kserve.io")
"""API groups of KFServing and of KServe; while one is being replaced both are served."""

MODELS = ("InferenceService", "TrainedModel", "InferenceGraph", "LLMInferenceService")
"""What a user deploys a model with, each kind after those that it may name. Source: the CRDs of
KFServing 0.5.0-rc0 to 0.6.1 and of KServe 0.7.0 to 0.20.0."""

LABELS = tuple(f"{group}/inferenceservice" for group in GROUPS)
"""Labels that name the InferenceService on what was made for it; Knative copies them down to pods.
Recorded for KFServing 0.5.1; kserve@v0.20.0: pkg/constants/constants.go,
InferenceServicePodLabelKey."""

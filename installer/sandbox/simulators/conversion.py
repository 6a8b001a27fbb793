"""CRD conversion webhooks: the same object in another version.

Versions of one kind differ little in what an installer meets: mostly the apiVersion changes. Where
the shape of the spec differs (KFServing's v1alpha2, KServe's LLMInferenceService) the parts with a
counterpart are moved.
"""

from __future__ import annotations

import copy
from typing import Any

from installer.core.objects import Object


def convert_review(review: dict[str, Any]) -> dict[str, Any]:
    """Answer a ConversionReview."""
    request = review["request"]
    wanted = request["desiredAPIVersion"]
    objects = [convert(obj, wanted) for obj in request.get("objects") or []]
    response = {
        "uid": request["uid"],
        "convertedObjects": objects,
        "result": {"status": "Success"},
    }
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


def convert(obj: Object, wanted: str) -> Object:
    """One object at the version `wanted`; metadata is never touched."""
    given = obj["apiVersion"]
    result = dict(obj, apiVersion=wanted)
    if obj["kind"] == "InferenceService" and given.split("/")[0] == "serving.kubeflow.org":
        old, new = given.endswith("/v1alpha2"), wanted.endswith("/v1alpha2")
        if old and not new:
            result["spec"] = _from_v1alpha2(obj.get("spec") or {})
        elif new and not old:
            result["spec"] = _to_v1alpha2(obj.get("spec") or {})
    if obj["kind"] in _LLM_KINDS and given != wanted:
        result["spec"] = _llm_spec(obj.get("spec") or {}, newer=wanted.endswith("/v1alpha2"))
    return result


_SCALING = {"parallelism": "containerConcurrency"}


def _from_v1alpha2(spec: dict[str, Any]) -> dict[str, Any]:
    endpoint = spec.get("default") or {}
    result = {name: _renamed(part, _SCALING) for name, part in endpoint.items()}
    percent = spec.get("canaryTrafficPercent")
    if percent is not None and "predictor" in result:
        result["predictor"]["canaryTrafficPercent"] = percent
    return result


def _to_v1alpha2(spec: dict[str, Any]) -> dict[str, Any]:
    back = {new: old for old, new in _SCALING.items()}
    endpoint = {name: _renamed(part, back) for name, part in spec.items()}
    result: dict[str, Any] = {"default": endpoint}
    percent = (endpoint.get("predictor") or {}).pop("canaryTrafficPercent", None)
    if percent is not None:
        result["canaryTrafficPercent"] = percent
    return result


def _renamed(part: Any, names: dict[str, str]) -> Any:
    if not isinstance(part, dict):
        return part
    return {names.get(key, key): copy.deepcopy(value) for key, value in part.items()}


_LLM_KINDS = ("LLMInferenceService", "LLMInferenceServiceConfig")


def _llm_spec(spec: Object, *, newer: bool) -> Object:
    """KServe's v1alpha1 has the scheduler's InferencePool as inference.networking.x-k8s.io/v1alpha2
    has it, its v1alpha2 as inference.networking.k8s.io/v1 does (kserve/kserve:
    pkg/apis/serving/v1alpha1/llm_inference_service_conversion.go)."""
    result: Object = copy.deepcopy(spec)
    pool = (((result.get("router") or {}).get("scheduler") or {}).get("pool") or {}).get("spec")
    if pool is not None:
        (_newer_pool if newer else _older_pool)(pool)
    return result


def _newer_pool(pool: Object) -> None:
    if isinstance(pool.get("selector"), dict):
        pool["selector"] = {"matchLabels": pool["selector"]}
    if "targetPortNumber" in pool:
        pool["targetPorts"] = [{"number": pool.pop("targetPortNumber")}]
    if "extensionRef" in pool:
        ref = pool.pop("extensionRef")
        if "portNumber" in ref:
            ref["port"] = {"number": ref.pop("portNumber")}
        pool["endpointPickerRef"] = ref


def _older_pool(pool: Object) -> None:
    if isinstance(pool.get("selector"), dict):
        pool["selector"] = pool["selector"].get("matchLabels") or {}
    for port in pool.pop("targetPorts", [])[:1]:
        pool["targetPortNumber"] = port["number"]
    if "endpointPickerRef" in pool:
        ref = pool.pop("endpointPickerRef")
        if "port" in ref:
            ref["portNumber"] = ref.pop("port")["number"]
        pool["extensionRef"] = ref

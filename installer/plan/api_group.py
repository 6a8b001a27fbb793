"""InferenceServices and TrainedModels of one API group as objects of another. Pure.

KServe is KFServing under another name: its kinds have the same specs in serving.kserve.io. What
users say by annotations and labels of the old group is said once more with the new group's prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from installer.core.objects import Object, Ref, dig
from installer.plan.drift import MANAGER
from installer.plan.replica import replica

VERSIONS = {"InferenceService": "v1beta1", "TrainedModel": "v1alpha1"}
"""The versions that both groups have (CRDs of KFServing 0.6.1 and KServe 0.7.0)."""
INFERENCE, TRAINED = VERSIONS
PLURALS = {"InferenceService": "inferenceservices", "TrainedModel": "trainedmodels"}
DEPENDENTS = (
    ("serving.knative.dev/v1", "Service"),
    ("networking.istio.io/v1alpha3", "VirtualService"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("apps/v1", "Deployment"),
    ("autoscaling/v1", "HorizontalPodAutoscaler"),
)
"""What the controllers make for an InferenceService and own by reference: kserve/kserve,
pkg/controller/v1beta1/inferenceservice (reconcilers knative, ingress, modelconfig, raw)."""


def api_version(group: str, kind: str) -> str:
    """Of a kind in a group."""
    return f"{group}/{VERSIONS[kind]}"


def counterpart(ref: Ref, group: str) -> Ref:
    """The reference of the same object in the other group."""
    return Ref(api_version(group, ref.kind), ref.kind, ref.namespace, ref.name)


def moved(obj: Mapping[str, Any], group: str) -> Object:
    """The object as one of another group: same name, namespace, labels, annotations and spec."""
    source = str(obj["apiVersion"]).partition("/")[0]
    copy = replica(obj)
    metadata = dict(copy["metadata"])
    for key in ("labels", "annotations"):
        said = renamed(metadata.get(key) or {}, source, group)
        if said:
            metadata[key] = said
        else:
            metadata.pop(key, None)
    return {**copy, "apiVersion": api_version(group, obj["kind"]), "metadata": metadata}


def renamed(said: Mapping[str, str], source: str, group: str) -> dict[str, str]:
    """Labels or annotations, with those of the source group once more under the other's prefix."""
    more = {
        f"{group}/{key.partition('/')[2]}": value
        for key, value in said.items()
        if key.startswith(f"{source}/")
    }
    return {**more, **said}


def is_moved(obj: Mapping[str, Any]) -> bool:
    """Whether we have made this object: nobody else's field manager has our name. A mark that is
    no label or annotation, since those go into the template of the pods."""
    entries = dig(obj, "metadata", "managedFields", default=[])
    return any(entry.get("manager") == MANAGER for entry in entries)


def untouched(obj: Mapping[str, Any]) -> bool:
    """Whether it is as we have made it: the server counts changes of the spec."""
    return is_moved(obj) and dig(obj, "metadata", "generation", default=0) == 1


def handover(dependent: Mapping[str, Any], old: str, owner: Mapping[str, Any]) -> list[Object]:
    """JSON patch that makes `owner` the owner in place of the object with uid `old`; empty where
    that owns nothing. It fails when somebody has changed the owners meanwhile."""
    found: list[Object] = []
    for index, reference in enumerate(dig(dependent, "metadata", "ownerReferences", default=[])):
        if reference.get("uid") != old:
            continue
        path = f"/metadata/ownerReferences/{index}"
        new = {
            **reference,
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
        }
        found.append({"op": "test", "path": f"{path}/uid", "value": old})
        found.append({"op": "replace", "path": path, "value": new})
    return found


def owners_of(dependent: Mapping[str, Any], kind: str, group: str) -> Iterator[str]:
    """Uids of owners of a kind and group."""
    for reference in dig(dependent, "metadata", "ownerReferences", default=[]):
        of_group = str(reference.get("apiVersion", "")).startswith(f"{group}/")
        if reference.get("kind") == kind and of_group:
            yield str(reference.get("uid", ""))


def without_pods(webhooks: list[Object]) -> tuple[list[Object], list[Object]]:
    """(those that are called for pods, all others) of a webhook configuration.

    The first stay while their server is stopped: a pod that its mutator has not seen would start
    without its model, so it had better not start.
    """
    pods = [
        webhook
        for webhook in webhooks
        if any("pods" in (rule.get("resources") or []) for rule in webhook.get("rules") or [])
    ]
    return pods, [webhook for webhook in webhooks if webhook not in pods]


def only_defaulted(obj: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether the new group's webhook has only filled in what the old object's spec left open."""
    return _within(obj.get("spec"), there.get("spec"))


def _within(part: Any, whole: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_within, part, whole))
    return bool(part == whole)

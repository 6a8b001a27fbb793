"""Manifests as upstream ships them, made fit for server-side apply. Pure: inputs are not changed.

What is taken out is never ours to say (status, server-set metadata, placeholders that a
controller fills); what is put in is what an old API server cannot default by itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from installer.core.objects import Object, dig

Scope = Callable[[str, str], bool | None]
"""(apiVersion, kind) → True when namespaced, False when cluster-scoped, None when unknown."""

_SERVER_METADATA = (
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_WEBHOOK_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_TEMPLATE = ("spec", "template")
_POD_TEMPLATES = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), _TEMPLATE),
    "CronJob": ("spec", "jobTemplate", *_TEMPLATE),
}
"""Where the pod template of a kind is."""


def normalise(obj: Mapping[str, Any], scope: Scope, default_namespace: str) -> Object:
    """A copy of `obj` as it is to be sent.

    default_namespace is used for namespaced objects that name none; a namespace on a
    cluster-scoped object is dropped (KServe ≥ 0.17 ships ClusterStorageContainer with one).
    """
    body = _copy(obj)
    body.pop("status", None)
    _normalise_metadata(body, scope, default_namespace)
    kind = body["kind"]
    if kind in _WEBHOOK_KINDS:
        for webhook in body.get("webhooks") or []:
            (webhook.get("clientConfig") or {}).pop("caBundle", None)
    elif kind == "CustomResourceDefinition":
        _normalise_definition(body)
    elif kind == "ClusterRole" and body.get("aggregationRule"):
        body.pop("rules", None)  # kube-controller-manager owns them (recorded managed fields)
    elif kind in _POD_TEMPLATES:
        metadata = dig(body, *_POD_TEMPLATES[kind], "metadata")
        if isinstance(metadata, dict):
            metadata.pop("creationTimestamp", None)
    default_protocols(body)
    return body


def default_protocols(body: Object) -> None:
    """Give each port of a Service or a container a protocol, in place.

    Kubernetes < 1.21 merges ports by port and protocol but does not default the key. Recorded
    answer of 1.20.2: `associative list with keys has an element that omits key field "protocol"`
    (design, section 5). What is no list of ports is left for the API server to refuse.
    """
    kind = body["kind"]
    if kind == "Service":
        lists = [dig(body, "spec", "ports")]
    elif kind == "Pod" or kind in _POD_TEMPLATES:
        pod = dig(body, *_POD_TEMPLATES.get(kind, ()), "spec")
        containers = [*_items(dig(pod, "initContainers")), *_items(dig(pod, "containers"))]
        lists = [container.get("ports") for container in containers]
    else:
        return
    for ports in lists:
        for port in _items(ports):
            port.setdefault("protocol", "TCP")


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _copy(obj: Mapping[str, Any]) -> Object:
    """A copy that may be changed; the schemas of a CRD, megabytes in all, are shared."""
    if obj["kind"] != "CustomResourceDefinition":
        return copy.deepcopy(dict(obj))
    spec = dict(obj.get("spec") or {})
    if "conversion" in spec:
        spec["conversion"] = copy.deepcopy(spec["conversion"])
    return {**obj, "metadata": copy.deepcopy(obj["metadata"]), "spec": spec}


def _normalise_metadata(body: Object, scope: Scope, default_namespace: str) -> None:
    metadata = body.setdefault("metadata", {})
    for key in _SERVER_METADATA:
        metadata.pop(key, None)
    namespaced = scope(body["apiVersion"], body["kind"])
    if namespaced is False:
        metadata.pop("namespace", None)
    elif namespaced and not metadata.get("namespace"):
        metadata["namespace"] = default_namespace
    for key in ("labels", "annotations"):
        if key in metadata and not metadata[key]:
            del metadata[key]  # `annotations: {}` owns nothing and only causes drift


def _normalise_definition(body: Object) -> None:
    spec = body.get("spec") or {}
    conversion = spec.get("conversion") or {}
    for holder in (
        conversion.get("webhookClientConfig"),
        dig(conversion, "webhook", "clientConfig"),
    ):
        if isinstance(holder, dict):
            holder.pop("caBundle", None)

"""Requests that show whether a webhook answers, and what their answers prove. Pure.

No probe can leave anything behind. A dry run stores nothing by definition. A webhook whose
`sideEffects` are unset or Unknown makes the API server refuse dry runs before it calls anything
(KFServing 0.5 and 0.6); there the probe is a real create which
- carries `metadata.resourceVersion`: the API server passes it through all of admission, and its
  storage then always refuses it ("resourceVersion should not be set on objects to be created";
  tried on 1.20.2, 1.25.3 and 1.34.4), and
- is an object that the webhook itself is known to deny, or, for a mutating webhook, one whose
  name is invalid: names are validated after mutating and before validating webhooks.

Order on the API server, tried on the same versions: mutating webhooks, validation of the object
(schema, name), validating webhooks, quota, conversion to the stored version. So a refusal by
validation proves mutating webhooks and says nothing of validating ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from installer.cluster.errors import Failure
from installer.core.objects import Object, canonical

NAME = "kserve-installer-probe"
INVALID_NAME = "kserve-installer-probe_"

Phase = Literal["mutating", "validating", "conversion"]
Proof = Literal["strong", "weak", "failing", "blocked", "unproven"]
"""strong: the webhook itself answered. weak: the request passed where the webhook must have been
called, if the API server has seen its present configuration. failing: it cannot be called.
blocked: something else stood in the way, try again. unproven: this request cannot tell."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. body: None for a GET. must_fail: it is no dry run, and is always refused."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: Object | None
    content_type: str = "application/json"
    must_fail: bool = False

    @property
    def key(self) -> bytes:
        """Equal for requests that are the same: webhooks of one kind share their probes."""
        return canonical([self.method, self.path, self.query, self.body])


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a decoded body, or a failure."""

    body: Any
    failure: Failure | None


_STORAGE_REFUSED = "resourceVersion should not be set"
_NOT_YET = ("unreachable", "timeout", "throttled", "server-error", "etcd", "unauthorized", "tls")


def judge(phase: Phase, webhook: str, answer: Answer) -> Proof:
    """What an answer says about a webhook (named as in its configuration, or as errors name a
    conversion: `conversion of KIND.GROUP`)."""
    failure = answer.failure
    if failure is None:
        return _passed(phase, answer.body)
    if failure.kind.startswith("webhook-"):
        return "failing" if failure.webhook == webhook else "blocked"
    if phase == "conversion":
        return "blocked" if failure.kind in _NOT_YET else "unproven"
    if _STORAGE_REFUSED in failure.cause or failure.kind in ("quota", "already-exists", "conflict"):
        return "weak"
    if failure.kind == "denied":
        return _denied(phase, webhook, failure)
    if failure.code == 422:
        return "weak" if phase == "mutating" else "unproven"
    if failure.kind in (*_NOT_YET, "forbidden"):
        return "blocked"
    return "unproven"


def _passed(phase: Phase, body: Any) -> Proof:
    if phase != "conversion":
        return "weak"
    if str(body.get("kind", "")).endswith("List"):
        return "strong" if body.get("items") else "unproven"  # nothing stored, nothing converted
    return "strong"


def _denied(phase: Phase, webhook: str, failure: Failure) -> Proof:
    if failure.webhook == webhook:
        return "strong"
    # Who denied may be mutating itself and come first; whoever validates comes after.
    return "weak" if phase == "mutating" else "unproven"


def create(path: str, body: Object, *, dry_run: bool, invalid_name: bool = False) -> Probe:
    """A create that stores nothing: a dry run, or one that the API server's storage refuses."""
    metadata = {"name": INVALID_NAME if invalid_name else NAME, **body.get("metadata", {})}
    query = (("fieldManager", "kserve-installer"),)
    if dry_run:
        return Probe("POST", path, (*query, ("dryRun", "All")), {**body, "metadata": metadata})
    refused = {**body, "metadata": {**metadata, "resourceVersion": "1"}}
    return Probe("POST", path, query, refused, must_fail=True)


def touch(path: str) -> Probe:
    """A dry-run update of an existing object that changes nothing: admission is called."""
    query = (("fieldManager", "kserve-installer"), ("dryRun", "All"))
    return Probe("PATCH", path, query, {}, "application/merge-patch+json")


def read_one(path: str) -> Probe:
    """A list of at most one object: converts it when it is stored at another version."""
    return Probe("GET", path, (("limit", "1"),), None)


def allows_dry_run(entry: Mapping[str, Any]) -> bool:
    """Whether the API server calls this webhook for dry runs."""
    return entry.get("sideEffects") in ("None", "NoneOnDryRun")


# Objects by group, kind and version (empty for any): specs that the webhook is known to deny,
# which proves more than an object that passes. Recorded with KFServing 0.5.1 and Istio 1.6.2.
_NO_FRAMEWORK: Object = {"predictor": {}}
_BAD_MODEL: Object = {
    "inferenceService": NAME,
    "model": {"framework": "sklearn", "storageUri": "ftp://probe/probe", "memory": "1Gi"},
}
_NO_HOSTS: Object = {
    "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": []}]
}
_DENIED: dict[tuple[str, str, str], Object] = {
    ("serving.kubeflow.org", "InferenceService", "v1alpha2"): {"default": _NO_FRAMEWORK},
    ("serving.kubeflow.org", "InferenceService", "v1beta1"): _NO_FRAMEWORK,
    ("serving.kserve.io", "InferenceService", "v1beta1"): _NO_FRAMEWORK,
    ("serving.kubeflow.org", "TrainedModel", ""): _BAD_MODEL,
    ("serving.kserve.io", "TrainedModel", ""): _BAD_MODEL,
    ("networking.istio.io", "Gateway", ""): _NO_HOSTS,
    ("serving.knative.dev", "Service", ""): {"template": {"spec": {"containers": [{}]}}},
}

# Specs that pass validation, for what must get through it to be proven: conversion.
_CONTAINERS: Object = {"containers": [{"image": "example.com/probe/probe"}]}
_ISSUER: Object = {"selfSigned": {}}
_PASSING: dict[tuple[str, str, str], Object] = {
    ("serving.knative.dev", "Service", ""): {"template": {"spec": _CONTAINERS}},
    ("serving.knative.dev", "Configuration", ""): {"template": {"spec": _CONTAINERS}},
    ("serving.knative.dev", "Revision", ""): _CONTAINERS,
    ("serving.knative.dev", "Route", ""): {
        "traffic": [{"configurationName": NAME, "percent": 100, "latestRevision": True}]
    },
    ("cert-manager.io", "Issuer", ""): _ISSUER,
    ("cert-manager.io", "ClusterIssuer", ""): _ISSUER,
    ("cert-manager.io", "Certificate", ""): {
        "secretName": NAME,
        "dnsNames": ["probe.example.com"],
        "issuerRef": {"name": NAME},
    },
}

_POD: Object = {"containers": [{"name": "probe", "image": "example.com/probe/probe"}]}


def spec_for(group: str, kind: str, version: str, *, denied: bool) -> Object | None:
    """A known spec of a kind: one that is denied where asked for and known, else one that
    passes; None when neither is known."""
    for table in (_DENIED, _PASSING) if denied else (_PASSING,):
        for key in ((group, kind, version), (group, kind, "")):
            if key in table:
                return table[key]
    return _POD if (group, kind) == ("", "Pod") else None


def denies(group: str, kind: str, version: str) -> bool:
    """Whether a spec of this kind is known that its webhook denies."""
    return any(key in _DENIED for key in ((group, kind, version), (group, kind, "")))


def is_known(group: str, kind: str) -> bool:
    """Whether `spec_for` knows the kind at some version: such kinds are probed first."""
    known = {key[:2] for key in (*_DENIED, *_PASSING)}
    return (group, kind) in known | {("", "Pod"), ("", "ConfigMap")}

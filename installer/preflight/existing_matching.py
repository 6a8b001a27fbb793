"""Does an admission webhook see an object? From its rules and selectors. Pure.

Match conditions (CEL, since 1.28) are not evaluated: they only narrow, so the answer errs on the
side of "yes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from installer.cluster.registrations import matches

_NAME = "kubernetes.io/metadata.name"
UNSEEN = "admissionregistration.k8s.io"
"""Group whose webhook configurations no webhook sees."""


@dataclass(frozen=True, slots=True)
class Request:
    """A create or update that is to come. namespace_labels: None for cluster scope.

    about: what it is, for messages. component, stage: in which it is sent; no stage for what
    controllers make of it.
    """

    group: str
    resource: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] | None = None
    about: str = ""
    component: str = ""
    stage: str = ""
    operations: frozenset[str] = frozenset({"CREATE", "UPDATE"})


def sees(entry: Mapping[str, Any], request: Request) -> bool:
    """Whether a webhook (one entry of a configuration) would be asked about a request."""
    if request.group == UNSEEN:
        return False
    if not any(_rule_covers(rule, request) for rule in entry.get("rules") or []):
        return False
    if not matches(entry.get("objectSelector"), request.labels):
        return False
    labels: Mapping[str, str] | None = request.namespace_labels
    if request.resource == "namespaces" and not request.group:
        labels = request.labels  # the API server asks a Namespace's own labels
    if labels is None:
        return True
    name = request.namespace or request.about.rpartition(" ")[2]
    return matches(entry.get("namespaceSelector"), {_NAME: name, **labels})


def fails_closed(entry: Mapping[str, Any]) -> bool:
    """Whether requests are refused while the webhook cannot be reached (the default of v1)."""
    return str(entry.get("failurePolicy") or "Fail") == "Fail"


def _rule_covers(rule: Mapping[str, Any], request: Request) -> bool:
    operations = set(rule.get("operations") or [])
    if "*" not in operations and not operations & request.operations:
        return False
    groups = rule.get("apiGroups") or []
    if "*" not in groups and request.group not in groups:
        return False  # versions do not matter: matchPolicy is Equivalent unless asked otherwise
    scope = "Namespaced" if request.namespace else "Cluster"
    if str(rule.get("scope")) not in ("None", "*", scope):
        return False
    resources = rule.get("resources") or []
    return any(str(pattern) in ("*", "*/*", request.resource) for pattern in resources)

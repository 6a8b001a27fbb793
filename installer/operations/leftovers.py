"""What running controllers left behind, and what in a namespace belongs to others."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from installer.catalog.load import load
from installer.catalog.model import Component, MadeAtRunTime
from installer.cluster.client import Cluster
from installer.cluster.ledger import Ledger
from installer.core.objects import Object, Ref, dig, ref_of

_PARALLEL = 8

_EVERY_NAMESPACE = (
    # made by kube-controller-manager in each namespace: recorded managed fields
    ("ConfigMap", "kube-root-ca.crt"),
    ("ServiceAccount", "default"),
)
_TRANSIENT_KINDS = ("Event", "Endpoints", "EndpointSlice", "Lease", "PodMetrics")
"""Kinds whose objects follow others and never hold a user's data."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something uninstall could not or must not remove, and why."""

    ref: Ref
    reason: str


def made_at_run_time(cluster: Cluster, ledger: Ledger) -> list[Ref]:
    """Objects that the installed controllers made outside the manifests, as the catalog lists."""
    found: list[Ref] = []
    for rule in _rules(ledger):
        resource = cluster.discovery().find(rule.api_version, rule.kind)
        if resource is None:
            continue
        items = cluster.list(rule.api_version, rule.kind, rule.namespace).items
        found += [ref_of(item) for item in items if _matches(rule, item)]
    return sorted(set(found))


def foreign_content(cluster: Cluster, namespace: str, ledger: Ledger) -> list[Ref]:
    """Objects in a namespace that neither we, our controllers nor Kubernetes itself made."""
    rules = _rules(ledger)
    kinds = [
        resource
        for resource in cluster.discovery().namespaced()
        if "list" in resource.verbs and resource.kind not in _TRANSIENT_KINDS
    ]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        pages = pool.map(lambda r: cluster.list(r.api_version, r.kind, namespace).items, kinds)
        items = [item for page in pages for item in page]
    owners = ledger.owners()
    return sorted(
        {
            ref_of(item)
            for item in items
            if ref_of(item).identity not in owners
            and not _belongs_to_another(item)
            and not any(_matches(rule, item) for rule in rules)
        }
    )


def _belongs_to_another(item: Mapping[str, Any]) -> bool:
    """True for what goes with its owner, is on its way out, or every namespace has."""
    metadata = item["metadata"]
    if metadata.get("ownerReferences") or metadata.get("deletionTimestamp"):
        return True
    if (item["kind"], metadata["name"]) in _EVERY_NAMESPACE:
        return True
    is_token = item.get("type") == "kubernetes.io/service-account-token"
    return item["kind"] == "Secret" and is_token


def _rules(ledger: Ledger) -> Sequence[MadeAtRunTime]:
    catalog = load(None)
    components = [
        catalog.components.get((record.name, record.version))
        for record in ledger.components.values()
    ]
    known: list[Component] = [component for component in components if component is not None]
    return [rule for component in known for rule in component.makes]


def _matches(rule: MadeAtRunTime, item: Object) -> bool:
    ref = ref_of(item)
    return (
        ref.kind == rule.kind
        and ref.group == Ref(rule.api_version, "", "", "").group
        and (not rule.namespace or rule.namespace == ref.namespace)
        and fnmatch.fnmatchcase(ref.name, rule.name)
        and all(dig(item, "metadata", "labels", k) == v for k, v in rule.labels.items())
    )

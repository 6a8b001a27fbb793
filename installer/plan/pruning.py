"""Which objects are no longer wanted, in which order they go, and which of them wait. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from installer.catalog.model import Component
from installer.core.objects import Object, ObjectId, Ref
from installer.plan.drift import Entry
from installer.plan.settings import Settings

KEPT = ("Namespace", "CustomResourceDefinition")
"""Never deleted by pruning: everything in them would go too."""
_FIRST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "APIService")
"""A webhook whose Service is gone refuses what it is called for: it goes before the Service."""
_WORKLOADS = (
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
)
_LAST = ("Service", "Secret", "ConfigMap", "ServiceAccount")
_ROUTING = ("Service", "Gateway", "VirtualService", "DestinationRule", "EnvoyFilter")

_GATEWAYS = ("istio",)


def prunable(
    owned: Mapping[str, Mapping[ObjectId, Entry]],
    keep: Collection[ObjectId],
    components: Sequence[Component],
    settings: Settings,
) -> list[Ref]:
    """What the ledger owns and nobody wants any more; never Namespaces or CRDs, nor what the
    catalog says is never pruned, nor what a component that became external holds.

    owned: the ledger's entries, by component.
    """
    rules = {component.name: component.never_prune for component in components}
    return [
        entry.ref
        for name, entries in owned.items()
        if name not in settings.external
        for identity, entry in entries.items()
        if identity not in keep
        and entry.ref.kind not in KEPT
        and not any(rule.matches(_named(entry.ref)) for rule in rules.get(name, ()))
    ]


def _named(ref: Ref) -> Object:
    metadata = {"name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}


def in_order(refs: Iterable[Ref]) -> list[Ref]:
    """Webhook configurations first, then workloads, what they used last."""
    return sorted(refs, key=lambda ref: (_rank(ref.kind), ref))


def routes(component: str, ref: Ref) -> bool:
    """Whether requests may go through a component's object: so everything of Istio's, whose
    Deployments are the gateways.

    Other components may point at it until they are of the new release too: KFServing 0.5.1 sends
    requests to cluster-local-gateway, which net-istio 0.20 no longer has.
    """
    return component in _GATEWAYS or ref.kind in _ROUTING


def _rank(kind: str) -> int:
    for rank, kinds in enumerate((_FIRST, _WORKLOADS)):
        if kind in kinds:
            return rank
    return 3 if kind in _LAST else 2

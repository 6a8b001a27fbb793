"""In which order objects that are no longer wanted go, and which of them wait. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from installer.core.objects import Ref

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

"""What a way of hops means for the InferenceServices that are here."""

from __future__ import annotations

from collections.abc import Sequence

from installer.cluster.client import Cluster
from installer.cluster.readiness import readiness
from installer.core.objects import Ref, dig
from installer.operations.upgrade_serving import inference_services
from installer.plan.downtime import Expected, expected, rollouts_of
from installer.plan.hop import Hop

_KNATIVE = "serving.knative.dev/v1"
_GATEWAY = Ref("apps/v1", "Deployment", "istio-system", "istio-ingressgateway")


def expected_downtime(cluster: Cluster, hops: Sequence[Hop]) -> list[Expected]:
    """Of each InferenceService, in the order of their names.

    Recorded: no new revision and no restart when KFServing alone goes from 0.5.1 to 0.6.1. What is
    replaced is the gateway, Knative's activator, and with Knative its part of every pod.
    """
    gateways = _gateways(cluster)
    owners = _owners_of_knative_services(cluster)
    rollouts = rollouts_of(hops)
    found = [
        expected(
            service.name,
            ready=readiness(service.obj).ready,
            on_knative=service.name in owners,
            gateways=gateways,
            rollouts=rollouts,
        )
        for service in inference_services(cluster)
    ]
    return sorted(found, key=lambda item: item.name)


def _gateways(cluster: Cluster) -> int:
    found = cluster.get(_GATEWAY)
    return int(dig(found, "spec", "replicas", default=1)) if found else 0


def _owners_of_knative_services(cluster: Cluster) -> set[str]:
    """InferenceServices (`NAMESPACE/NAME`) that run on Knative; the others have Deployments."""
    if cluster.discovery().find(_KNATIVE, "Service") is None:
        return set()
    return {
        f"{item['metadata']['namespace']}/{owner['name']}"
        for page in cluster.pages(_KNATIVE, "Service", metadata_only=True)
        for item in page.items
        for owner in dig(item, "metadata", "ownerReferences", default=[])
        if owner["kind"] == "InferenceService"
    }

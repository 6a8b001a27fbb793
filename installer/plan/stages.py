"""In which stage an object is applied: the order that upstream's controllers need. Pure."""

from __future__ import annotations

from collections.abc import Collection

STAGES = ("namespaces", "crds", "setup", "workloads", "webhooks", "resources", "jobs")
"""Stages of a component, in order; each is applied, then its gate awaited.

namespaces  awaited Active
crds        awaited Established and served by discovery
setup       accounts, roles, configuration, Services, and custom resources of kinds that another,
            already ready component serves: KFServing's manager pod mounts the Secret that
            cert-manager issues for the Certificate in the same manifest
workloads   Deployments and their kin; awaited ready
webhooks    webhook configurations, after the pods that answer them; awaited answering
resources   custom resources of the component's own kinds, which its own webhooks admit
jobs        Jobs that run once
"""

INDEPENDENT = ("namespaces", "crds")
"""Stages that wait for no other component: every component begins with them at once."""

_BY_KIND = {
    "Namespace": "namespaces",
    "CustomResourceDefinition": "crds",
    "MutatingWebhookConfiguration": "webhooks",
    "ValidatingWebhookConfiguration": "webhooks",
    "Deployment": "workloads",
    "StatefulSet": "workloads",
    "DaemonSet": "workloads",
    "ReplicaSet": "workloads",
    "HorizontalPodAutoscaler": "workloads",
    "PodDisruptionBudget": "workloads",
    "Job": "jobs",
}


def default_stage(group: str, kind: str, own_kinds: Collection[tuple[str, str]]) -> str:
    """The stage of a kind; own_kinds are the (group, kind) that the component's CRDs define."""
    if (group, kind) in own_kinds:
        return "resources"
    return _BY_KIND.get(kind, "setup")

"""Who installed what, read from objects as they come from an API server."""

from __future__ import annotations

from typing import Any

import pytest

from installer.catalog.foreign import load_foreign
from installer.core.objects import Object
from installer.preflight.existing_inventory import (
    Installation,
    Inventory,
    Seen,
    take_stock,
)
from installer.preflight.existing_owner import ends_with, owner_of, repository

FOREIGN = load_foreign()
CONTROLLER = "quay.io/jetstack/cert-manager-controller:v0.15.1"


def deployment(name: str = "x", image: str = CONTROLLER, **metadata: Any) -> Object:
    """A ready Deployment in namespace `there`."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "there", "generation": 1, **metadata},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": image}]}}},
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
            "conditions": [{"type": "Available", "status": "True"}],
        },
    }


def stock(*workloads: Object, **seen: Any) -> Inventory:
    return take_stock(Seen(workloads, seen.pop("definitions", ()), **seen), FOREIGN)


def only(found: Inventory) -> Installation:
    assert len(found.installations) == 1, found
    return found.installations[0]


@pytest.mark.parametrize(
    ("image", "end", "expected"),
    [
        ("docker.io/istio/pilot:1.6.2", "istio/pilot", True),
        ("istio/pilot", "istio/pilot", True),
        ("registry.example:5000/mirror/istio/pilot@sha256:ab", "istio/pilot", True),
        ("registry.example:5000/mirror/istio/pilot:1.6.2-distroless", "istio/pilot", True),
        ("example.com/notistio/pilot:1", "istio/pilot", False),
        ("docker.io/istio/pilot-agent:1.6.2", "istio/pilot", False),
    ],
)
def test_an_image_is_known_by_the_end_of_its_repository(
    image: str, end: str, expected: bool
) -> None:
    assert ends_with(image, end) is expected


def test_a_registry_port_is_not_a_tag() -> None:
    assert repository("registry.example:5000/a/b") == "registry.example:5000/a/b"


def test_a_predictor_with_an_image_of_the_stack_is_no_controller() -> None:
    assert stock(deployment(image="kfserving/agent:v0.5.1")).installations == ()


@pytest.mark.parametrize(
    ("metadata", "template", "image", "versions"),
    [
        ({}, {}, CONTROLLER, ("0.15.1",)),
        ({}, {}, "a.b/jetstack/cert-manager-controller:v0.15.1@sha256:00", ("0.15.1",)),
        (
            {"labels": {"serving.knative.dev/release": "v0.18.0"}},
            {},
            "gcr.io/x/knative.dev/serving/cmd/webhook@sha256:00",
            ("0.18.0",),
        ),
        (
            {},
            {"labels": {"app.kubernetes.io/version": "1.21.1"}},
            "gcr.io/x/knative.dev/serving/cmd/webhook@sha256:00",
            ("1.21.1",),
        ),
        (
            {"labels": {"operator.istio.io/version": "unknown"}},
            {},
            "docker.io/istio/pilot:latest",
            (),
        ),
    ],
)
def test_a_version_comes_from_the_tag_or_else_from_labels(
    metadata: Any, template: Any, image: str, versions: tuple[str, ...]
) -> None:
    workload = deployment(image=image, **metadata)
    workload["spec"]["template"]["metadata"] = template
    assert only(stock(workload)).versions == versions


HELM = {
    "annotations": {
        "meta.helm.sh/release-name": "cm",
        "meta.helm.sh/release-namespace": "infra",
    }
}


def _managed(*managers: str) -> Any:
    return {"managedFields": [{"manager": manager} for manager in managers]}


@pytest.mark.parametrize(
    ("metadata", "kind", "adopt", "title"),
    [
        (HELM, "helm", True, "Helm release infra/cm"),
        # what static manifests carry from the chart they were rendered with
        (
            {"labels": {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "cert-manager"}},
            "unknown",
            True,
            "somebody unknown",
        ),
        (
            {**HELM, "labels": {"helm.toolkit.fluxcd.io/name": "cm"}},
            "flux",
            False,
            "Flux HelmRelease there/cm",
        ),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "infra:apps/Deployment:a/b"}},
            "argo-cd",
            False,
            "Argo CD (infra:apps/Deployment:a/b)",
        ),
        (
            {"ownerReferences": [{"kind": "KnativeServing", "name": "ks"}]},
            "knative-operator",
            True,
            "KnativeServing ks of Knative's operator",
        ),
        (
            {"labels": {"olm.owner": "servicemesh.v2", "olm.owner.namespace": "ops"}},
            "olm",
            False,
            "the Operator Lifecycle Manager (servicemesh.v2)",
        ),
        (
            {"annotations": {"objectset.rio.cattle.io/owner-name": "traefik"}},
            "add-on",
            False,
            "an add-on of k3s, RKE2 or Rancher (traefik)",
        ),
        (
            {"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}},
            "add-on",
            False,
            "an add-on of the distribution",
        ),
        ({"labels": {"kustomize.component": "kserve"}}, "kubeflow", False, "Kubeflow (kserve)"),
        ({"labels": {"app.kubernetes.io/part-of": "kubeflow"}}, "kubeflow", False, "Kubeflow"),
        ({"labels": {"app.kubernetes.io/part-of": "istio"}}, "unknown", True, "somebody unknown"),
        (_managed("istio-operator", "kubectl-edit"), "istioctl", True, "istioctl"),
        (_managed("kubectl-client-side-apply"), "kubectl", True, "kubectl"),
        (_managed("kube-controller-manager", "kubectl"), "kubectl", True, "kubectl"),
        (_managed("terraform"), "unknown", True, "somebody unknown"),
    ],
)
def test_the_owner_is_who_left_a_mark(metadata: Any, kind: str, adopt: bool, title: str) -> None:
    owner = owner_of(deployment(**metadata), FOREIGN.owners)
    assert (owner.kind, owner.adopt, owner.title) == (kind, adopt, title)
    assert "{" not in owner.remove


def test_an_operator_that_runs_makes_its_installation_unfit_for_adoption() -> None:
    operated = deployment(image="docker.io/istio/pilot:1.6.2", **_managed("istio-operator"))
    operator = deployment("operator", "docker.io/istio/operator:1.6.2")
    assert only(stock(operated)).owner.adopt
    refused = only(stock(operated, operator)).owner
    assert not refused.adopt
    assert "istio/operator" in refused.why


def test_what_kubectl_left_on_microk8s_may_be_an_add_on() -> None:
    workload = deployment(**_managed("kubectl-client-side-apply"))
    assert only(stock(workload)).owner.kind == "kubectl"
    found = only(stock(workload, node_labels=frozenset({"microk8s.io/cluster"}))).owner
    assert (found.kind, found.adopt) == ("add-on", True)
    assert "microk8s disable" in found.remove


def test_a_knativeserving_owns_what_runs_in_its_namespace() -> None:
    workload = deployment(image="gcr.io/k/knative.dev/serving/cmd/controller:v0.18.0")
    found = only(stock(workload, operators=("there",)))
    assert found.owner.kind == "knative-operator"
    assert "-n there" in found.owner.remove


def test_a_helm_release_that_is_not_deployed_says_so() -> None:
    found = stock(deployment(**HELM), releases={("infra", "cm"): "pending-install"})
    assert only(found).owner.title == "Helm release infra/cm (pending-install)"


def test_what_our_ledger_settled_is_ours_whatever_marks_it_has() -> None:
    settled = {("apps", "Deployment", "there", "x")}
    assert only(stock(deployment(**HELM), settled=settled)).ours


def test_the_stricter_of_two_owners_speaks_for_an_installation() -> None:
    found = only(stock(deployment("a", **_managed("kubectl")), deployment("b", **HELM)))
    assert found.owner.kind == "helm"


def test_crds_are_sorted_by_project_and_know_that_they_are_dying() -> None:
    def crd(name: str, **metadata: Any) -> Object:
        kind = "CustomResourceDefinition"
        body = {"apiVersion": "apiextensions.k8s.io/v1", "kind": kind}
        return {**body, "metadata": {"name": name, **metadata}}

    found = stock(
        definitions=[
            crd("certificates.cert-manager.io", deletionTimestamp="2026-01-01T00:00:00Z"),
            crd("widgets.example.com"),
        ]
    )
    assert [(d.name, d.dying) for d in found.definitions] == [
        ("certificates.cert-manager.io", True)
    ]

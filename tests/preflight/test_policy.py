"""What quotas, Pod Security, policy engines and labels would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from installer.cluster.client import Cluster
from installer.cluster.errors import Failure
from installer.core.objects import Object, Ref
from installer.plan.wanted import Wanted
from installer.preflight.policy import (
    judged,
    label_details,
    missing_account,
    pod_of,
    quota_details,
)
from installer.preflight.quotas import completed, constrained, demand_of, shortfalls, silent

HOME = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}}
PLACE = Ref("v1", "Namespace", "", "cert-manager")


def workload(replicas: int = 1, **spec: Any) -> Object:
    container = {"name": "a", "image": "example.com/a", "resources": {"requests": {"cpu": "500m"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "home"},
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [container], **spec},
            },
        },
    }


def wanted(body: Object) -> Wanted:
    ref = Ref(body["apiVersion"], body["kind"], body["metadata"]["namespace"], "a")
    return Wanted(ref, "istio", "workloads", body, "digest")


def test_the_pod_that_is_tried_is_that_of_the_template() -> None:
    pod = pod_of(workload(serviceAccountName="own"), own_account=False)
    assert pod["metadata"]["namespace"] == "home"
    assert pod["metadata"]["labels"] == {"app": "a"}
    assert "serviceAccountName" not in pod["spec"]
    assert pod_of(workload(serviceAccountName="own"))["spec"]["serviceAccountName"] == "own"


@pytest.mark.parametrize(
    ("kind", "cause", "verdict"),
    [
        ("denied", 'violates PodSecurity "restricted:latest": runAsNonRoot', "failed"),
        ("quota", "exceeded quota: small, requested: pods=1, used: pods=1", "failed"),
        ("forbidden", "unable to validate against any pod security policy: []", "failed"),
        ("forbidden", 'User "a" cannot create resource "pods" in API group ""', "unknown"),
        ("dry-run-unsupported", "webhook b does not support dry run", "note"),
        ("webhook-timeout", "webhook c did not answer", "unknown"),
    ],
)
def test_only_a_refusal_by_policy_is_a_failure(kind: str, cause: str, verdict: str) -> None:
    details = list(judged(wanted(workload()), Failure(kind, False, cause)))
    assert [detail.verdict for detail in details] == [verdict]
    assert cause in details[0].reason


def test_a_service_account_that_is_not_there_yet_is_no_refusal() -> None:
    cause = 'error looking up service account home/own: serviceaccount "own" not found'
    assert missing_account(Failure("forbidden", False, cause, code=403))
    assert not missing_account(Failure("forbidden", False, "violates PodSecurity", code=403))


@pytest.mark.parametrize(
    ("hard", "used", "short"),
    [
        ({"pods": "2"}, {"pods": "0"}, []),
        ({"pods": "2"}, {"pods": "1"}, ["pods"]),
        ({"requests.cpu": "1"}, {"requests.cpu": "0"}, []),
        ({"requests.cpu": "1"}, {"requests.cpu": "100m"}, ["requests.cpu"]),
        ({"count/deployments.apps": "0"}, {}, ["count/deployments.apps"]),
        ({"services": "0"}, {}, []),
        ({"requests.nvidia.com/gpu": "0"}, {}, []),
    ],
)
def test_a_quota_must_have_room_for_what_is_created(
    hard: Object, used: Object, short: list[str]
) -> None:
    quota = {"spec": {"hard": hard}, "status": {"hard": hard, "used": used}}
    found = shortfalls(quota, demand_of([workload(replicas=2)]))
    assert [item.resource for item in found] == short


def with_resources(*containers: Object, replicas: int = 1) -> Object:
    listed = [{"name": f"c{i}", "resources": each} for i, each in enumerate(containers)]
    return workload(replicas, containers=listed)


def quota_on(*names: str, hard: str = "1", **spec: Any) -> Object:
    metadata = {"name": "small", "namespace": "home"}
    return {"metadata": metadata, "spec": {"hard": dict.fromkeys(names, hard), **spec}}


@pytest.mark.parametrize(
    ("hard", "used", "short"),
    [
        ("2", "0", []),
        ("2", "1500m", ["limits.cpu 1000m"]),
        ("500m", "0", ["limits.cpu 1000m"]),
    ],
)
def test_limits_of_all_pods_count(hard: str, used: str, short: list[str]) -> None:
    quota = {"status": {"hard": {"limits.cpu": hard}, "used": {"limits.cpu": used}}}
    body = with_resources(
        {"limits": {"cpu": "300m"}}, {"limits": {"cpu": "200m"}, "requests": {"cpu": "1m"}},
        replicas=2,
    )  # fmt: skip
    found = shortfalls(quota, demand_of([body]))
    assert [f"{item.resource} {item.needed}" for item in found] == short


DEFAULTS = {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Mi"},
                                 "defaultRequest": {"cpu": "10m"}}]}}  # fmt: skip
POD_ONLY = {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}}


@pytest.mark.parametrize(
    ("resources", "names", "ranges", "missed"),
    [
        ({}, ["requests.cpu"], [], ["requests.cpu"]),
        ({}, ["cpu", "memory"], [], ["cpu", "memory"]),
        ({}, ["pods", "configmaps"], [], []),
        ({"requests": {"cpu": "1m"}}, ["requests.cpu"], [], []),
        ({"requests": {"cpu": "1m"}}, ["limits.cpu"], [], ["limits.cpu"]),
        # a limit stands in for a request
        ({"limits": {"cpu": "1m"}}, ["requests.cpu", "limits.cpu"], [], []),
        ({}, ["limits.cpu", "requests.cpu"], [DEFAULTS], []),
        ({}, ["limits.cpu", "requests.memory"], [DEFAULTS], ["requests.memory"]),
        ({}, ["limits.cpu"], [POD_ONLY], ["limits.cpu"]),
    ],
)
def test_a_container_must_state_what_a_quota_constrains(
    resources: Object, names: list[str], ranges: list[Object], missed: list[str]
) -> None:
    body = completed(with_resources({"requests": {"cpu": "1"}, "limits": {"cpu": "1",
                     "memory": "1"}}, resources), ranges)  # fmt: skip
    found = silent([body], constrained(quota_on(*names)))
    assert found == ({"Deployment home/a": missed} if missed else {})


def test_defaults_of_a_limit_range_are_counted() -> None:
    body = completed(with_resources({}), [DEFAULTS])
    assert demand_of([body])["limits.cpu"] == 1
    assert str(demand_of([body])["requests.cpu"]) == "0.01"


def test_a_quota_with_scopes_is_left_aside() -> None:
    quota = quota_on("limits.cpu", hard="0", scopes=["BestEffort"])
    assert list(quota_details(quota, [workload()], [])) == []


def test_a_refusal_names_the_workload_and_a_change_needs_room_for_one_more_pod() -> None:
    details = list(quota_details(quota_on("limits.cpu"), [], [workload()]))
    assert [detail.verdict for detail in details] == ["failed", "note"]
    assert "limits.cpu, which containers of Deployment home/a do not state" in details[0].reason
    assert "LimitRange" in details[0].remedy
    assert "one more pod" in details[1].reason


@pytest.mark.parametrize(
    ("name", "labels", "ours", "said"),
    [
        ("istio-system", {"istio-injection": "disabled"}, True, 0),
        ("kfserving-system", {"istio-injection": "enabled"}, True, 1),
        ("models", {"istio-injection": "enabled"}, False, 0),
        ("models", {"control-plane": "x"}, False, 1),
        ("kube-system", {"control-plane": "x"}, False, 0),
        ("kfserving-system", {"control-plane": "x"}, True, 0),
    ],
)
def test_labels_that_switch_off_what_serving_needs_are_told(
    name: str, labels: Object, ours: bool, said: int
) -> None:
    assert len(list(label_details(name, labels, ours=ours))) == said


@pytest.fixture
def cluster(sandbox: Any) -> Iterator[Cluster]:
    """The shared sandbox; what a test makes in it goes with its end."""
    found = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    yield found
    found.close()


@pytest.fixture
def home(cluster: Cluster) -> Iterator[Cluster]:
    """The namespace of cert-manager, there before the release."""
    cluster.apply(HOME)
    yield cluster
    for kind in ("ResourceQuota", "LimitRange"):
        for item in cluster.list("v1", kind, "cert-manager").items:
            cluster.delete(Ref("v1", kind, "cert-manager", item["metadata"]["name"]))


def made(cluster: Cluster, kind: str, spec: Object) -> None:
    metadata = {"name": "small", "namespace": "cert-manager"}
    cluster.create({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})


@pytest.mark.cluster
def test_without_rules_of_its_own_a_cluster_lets_everything_in(look: Any, sandbox: Any) -> None:
    found = look(sandbox, only=("policy",))
    assert {finding.verdict for finding in found.values()} <= {"ok", "note"}, found


@pytest.mark.cluster
def test_a_limit_range_that_refuses_our_pods_is_found_by_a_dry_run(
    look: Any, sandbox: Any, home: Cluster
) -> None:
    made(home, "LimitRange", {"limits": [{"type": "Pod", "max": {"memory": "1Mi"}}]})
    found = look(sandbox, only=("policy",))["policy-pods"]
    assert found.verdict == "failed"
    assert any("Deployment cert-manager/cert-manager" in d.object for d in found.details)
    assert home.list("v1", "Pod", "cert-manager").items == []


@pytest.mark.cluster
def test_a_quota_that_is_too_small_is_found_before_the_controller_meets_it(
    look: Any, sandbox: Any, home: Cluster
) -> None:
    made(home, "ResourceQuota", {"hard": {"count/deployments.apps": "1"}})
    found = look(sandbox, only=("policy",))["policy-quota"]
    assert found.verdict == "failed"
    assert "count/deployments.apps" in found.details[0].reason


@pytest.mark.cluster
def test_a_quota_on_limits_refuses_pods_that_state_none_until_there_are_defaults(
    look: Any, sandbox: Any, home: Cluster
) -> None:
    made(home, "ResourceQuota", {"hard": {"limits.cpu": "2"}})
    found = look(sandbox, only=("policy",))["policy-quota"]
    assert found.verdict == "failed"
    assert "Deployment cert-manager/cert-manager" in found.details[0].reason
    assert "limits.cpu" in found.details[0].reason
    made(home, "LimitRange", {"limits": [{"type": "Container", "default": {"cpu": "1"}}]})
    found = look(sandbox, only=("policy",))["policy-quota"]
    assert [d.reason.partition("and the ")[2] for d in found.details] == [
        "release needs 3000m more"
    ]


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("selector", "told"),
    [({}, True), ({"matchLabels": {"nobody": "has-this"}}, False)],
)
def test_a_webhook_of_others_is_warned_of_where_it_is_asked_about_our_objects(
    look: Any, sandbox: Any, cluster: Cluster, selector: dict[str, Any], told: bool
) -> None:
    ref = Ref(
        "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "house-rules"
    )
    deployments = {"apiGroups": ["apps"], "resources": ["deployments"], "apiVersions": ["*"]}
    entry = {
        "name": "rules.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": "https://rules.example.com/"},
        "rules": [{**deployments, "operations": ["CREATE"]}],
        "namespaceSelector": selector,
    }
    body = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": {"name": ref.name}}
    cluster.create({**body, "webhooks": [entry]})
    try:
        found = look(sandbox, only=("policy",))["policy-webhooks"]
    finally:
        cluster.delete(ref)
    assert found.verdict == ("warning" if told else "ok")
    if told:
        (detail,) = found.details
        assert detail.object == str(ref)
        assert "rules.example.com" in detail.reason
        assert all(about.startswith("Deployment ") for about in detail.data["requests"])


@pytest.mark.cluster
def test_a_policy_engine_and_a_label_are_warned_of(
    look: Any, sandbox: Any, cluster: Cluster
) -> None:
    crd = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "policies.kyverno.io")
    names = {"kind": "Policy", "plural": "policies", "singular": "policy", "listKind": "PolicyList"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "kyverno.io", "names": names, "scope": "Cluster", "versions": [version]}
    cluster.create(
        {
            "apiVersion": crd.api_version,
            "kind": crd.kind,
            "metadata": {"name": crd.name},
            "spec": spec,
        }
    )
    labelled = {"name": "models", "labels": {"control-plane": "x"}}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": labelled})
    try:
        served = False
        while not served:
            served = bool(cluster.refresh_discovery().versions("kyverno.io"))
        found = look(sandbox, only=("policy",))
    finally:
        cluster.delete(crd)
        cluster.delete(Ref("v1", "Namespace", "", "models"))
    assert "Kyverno" in found["policy-engines"].details[0].reason
    assert found["policy-labels"].details[0].object == "Namespace models"


@pytest.mark.cluster
@pytest.mark.parametrize("sandbox", ["1.25.3"], indirect=True)
def test_pod_security_that_refuses_our_pods_is_found_by_a_dry_run(
    look: Any, sandbox: Any, cluster: Cluster
) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": "istio-system", "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        found = look(sandbox, release="kserve-0.11.2", only=("policy",))["policy-pods"]
    finally:
        cluster.delete(Ref("v1", "Namespace", "", "istio-system"))
    assert found.verdict == "failed"
    assert "violates PodSecurity" in found.details[0].reason
    assert "pod-security.kubernetes.io/enforce" in found.details[0].remedy

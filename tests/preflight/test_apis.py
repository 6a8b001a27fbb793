"""Kinds, aggregated APIs and dry runs: decisions, then a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from installer.cluster.client import Cluster
from installer.cluster.errors import Conflict, Failure
from installer.core.objects import Object, Ref, ref_of
from installer.plan.handover import Handover
from installer.plan.wanted import Wanted
from installer.preflight.apis import brought_by, doubts, told_conflicts, unavailable
from installer.preflight.dry_runs import Preview, conflicts_of, judged, preview_detail
from installer.sandbox.lifecycle import SandboxInfo

ROLE = Ref("rbac.authorization.k8s.io/v1", "ClusterRole", "", "istiod-istio-system")
CLASH = Failure(
    "field-conflict",
    False,
    "…",
    conflicts=(
        Conflict("kubectl-client-side-apply", "Update", ".rules"),
        Conflict("helm", "Update", ".metadata.labels"),
        Conflict("kubectl", "Apply", ".data"),
    ),
)


def wanted(body: Object) -> Wanted:
    return Wanted(ref_of(body), "istio", "crds", body, "digest")


def definition(**spec: Any) -> Object:
    names = {"kind": "Thing", "plural": "things"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "names": names, **spec},
    }


def test_crds_bring_the_versions_that_they_serve() -> None:
    versions = [{"name": "v1", "served": True}, {"name": "v0", "served": False}]
    assert brought_by([wanted(definition(versions=versions))]) == {("example.com/v1", "Thing")}
    assert brought_by([wanted(definition(version="v2"))]) == {("example.com/v2", "Thing")}


@pytest.mark.parametrize(
    ("service", "condition", "expected"),
    [
        (None, {"status": "False"}, ""),
        ({"name": "a"}, {"status": "True"}, ""),
        ({"name": "a"}, {"status": "False", "reason": "MissingEndpoints", "message": "none"},
         "MissingEndpoints: none"),
        ({"name": "a"}, {"status": "Unknown"}, "Available is Unknown"),
        ({"name": "a"}, None, "its condition Available is not set yet"),
    ],
)  # fmt: skip
def test_an_aggregated_api_is_available_or_not(
    service: Object | None, condition: Object | None, expected: str
) -> None:
    told = [{"type": "Available", **condition}] if condition else []
    found = {"spec": {"service": service}, "status": {"conditions": told}}
    assert unavailable(found) == expected


def test_what_an_earlier_kubectl_left_is_no_conflict() -> None:
    found = conflicts_of(Preview(ROLE, CLASH))
    assert [conflict.manager for conflict in found] == ["helm", "kubectl"]


def test_conflicts_fail_with_their_manager_unless_they_are_to_be_taken_over() -> None:
    details = list(told_conflicts(Preview(ROLE, CLASH), take=False))
    assert [d.verdict for d in details] == ["failed", "failed"]
    assert details[0].data == {"manager": "helm", "fields": [".metadata.labels"]}
    assert "--take-ownership" in details[0].remedy
    details = list(told_conflicts(Preview(ROLE, CLASH), take=True))
    assert {d.verdict for d in details} == {"note"}


def test_fields_of_whoever_keeps_the_object_are_to_be_had_by_an_adoption() -> None:
    keeper = Handover("helm", "infra", "cm", (), ("helm",))
    helm, kubectl = told_conflicts(Preview(ROLE, CLASH), take=False, kept=(keeper, "cert-manager"))
    said = "--adopt cert-manager takes them over, and makes Helm release infra/cm let go"
    assert helm.remedy == said
    assert "--take-ownership" in kubectl.remedy, "who is somebody else"


@pytest.mark.parametrize(
    ("kind", "transient", "seen", "doubt"),
    [
        ("invalid", False, True, False),
        ("immutable", False, True, False),
        ("denied", False, True, False),
        ("field-conflict", False, True, False),
        ("dry-run-unsupported", False, False, True),
        ("webhook-unreachable", True, False, True),
        ("forbidden", False, False, True),
        ("timeout", True, False, True),
        ("terminating-namespace", True, False, True),
        ("not-found", False, False, False),
        ("no-match", False, False, False),
    ],
)
def test_a_dry_run_says_something_about_the_object_or_nothing(
    kind: str, transient: bool, seen: bool, doubt: bool
) -> None:
    preview = judged(ROLE, Failure(kind, transient, "because", webhook="w"))
    assert (preview.failure is not None) is seen
    assert bool(preview.unseen) is not seen
    assert preview.doubt is doubt


def test_what_dry_runs_could_not_tell_is_unknown_once_per_reason() -> None:
    other = Ref("v1", "Secret", "n", "other")
    forbidden = Failure("forbidden", False, "no")
    previews = [
        judged(ROLE, forbidden),
        judged(other, forbidden),
        Preview(ROLE, unseen="they are new CRDs"),
        Preview(ROLE),
    ]
    details = list(doubts(previews))
    assert [detail.verdict for detail in details] == ["unknown"]
    assert "could not look at 2 objects, because you lack the right" in details[0].reason
    assert details[0].data["objects"] == [str(ROLE), str(other)]


def test_a_conflict_is_left_to_its_own_check() -> None:
    assert preview_detail(Preview(ROLE, CLASH)) is None
    assert preview_detail(Preview(ROLE)) is None


@contextmanager
def there(sandbox: SandboxInfo, body: Object, manager: str = "somebody") -> Iterator[Cluster]:
    """An object of somebody else's for as long as a test needs it."""
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    ref = ref_of(body)
    path = cluster.resource(ref.api_version, ref.kind).path()
    cluster.request("POST", path, body=body, query={"fieldManager": manager})
    try:
        yield cluster
    finally:
        cluster.delete(ref_of(body))


@pytest.mark.cluster
def test_an_empty_cluster_takes_the_release(look: Any, sandbox: SandboxInfo) -> None:
    found = look(sandbox, only=("apis",))
    assert {f.verdict for f in found.values()} <= {"ok", "note"}, found
    unseen = [d.reason for d in found["apis-valid"].details]
    assert any("they are new CRDs" in reason for reason in unseen)


@pytest.mark.cluster
def test_kinds_that_are_not_served_are_told_with_who_needs_them(
    look: Any, sandbox: SandboxInfo
) -> None:
    found = look(sandbox, release="kserve-0.20.0", only=("apis",))
    served = {d.object: d for d in found["apis-served"].details}
    scaler = served["HorizontalPodAutoscaler autoscaling/v2"]
    assert scaler.verdict == "failed"
    assert scaler.data["served"] == ["v1", "v2beta1", "v2beta2"]
    assert "knative-serving" in scaler.data["components"]
    made = found["apis-runtime"]
    assert made.verdict == "warning"
    assert any("KServe 0.20.0 uses it" in d.reason for d in made.details)


@pytest.mark.cluster
def test_an_aggregated_api_without_its_server_is_seen(look: Any, sandbox: SandboxInfo) -> None:
    spec = {
        "group": "metrics.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": "default", "name": "gone"},
    }
    body = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.metrics.example.com"},
        "spec": spec,
    }
    with there(sandbox, body):
        found = look(sandbox, only=("apis",))["apis-aggregated"]
    assert found.verdict == "warning"
    assert "no namespace can be deleted" in found.details[0].reason
    assert "kubectl delete apiservice v1.metrics.example.com" in found.details[0].remedy


@pytest.mark.cluster
def test_an_immutable_field_is_seen_before_anything_is_written(
    look: Any, sandbox: SandboxInfo
) -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "cert-manager-cainjector"},
        "roleRef": role,
    }
    with there(sandbox, body, manager="kubectl-client-side-apply"):
        found = look(sandbox, only=("apis",))["apis-valid"]
    failures = [d for d in found.details if d.verdict == "failed"]
    assert failures, found
    assert "ClusterRoleBinding cert-manager-cainjector would be refused" in failures[0].reason


@pytest.mark.cluster
def test_fields_of_another_manager_are_told_and_those_of_an_earlier_kubectl_are_not(
    look: Any, sandbox: SandboxInfo
) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    body = {
        "apiVersion": ROLE.api_version,
        "kind": ROLE.kind,
        "metadata": {"name": ROLE.name},
        "rules": rules,
    }
    with there(sandbox, body, manager="their-operator"):
        found = look(sandbox, only=("apis",))["apis-conflicts"]
    assert found.verdict == "failed"
    (detail,) = found.details
    assert detail.data == {"manager": "their-operator", "fields": [".rules"]}
    with there(sandbox, body, manager="kubectl-client-side-apply"):
        assert look(sandbox, only=("apis",))["apis-conflicts"].verdict == "ok"

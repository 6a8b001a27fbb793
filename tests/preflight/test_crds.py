"""CRDs that exist already: decisions, then a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from accounts import until

from installer.cluster.client import Cluster
from installer.cluster.definitions import wait_established
from installer.cluster.deletion import wait_gone
from installer.core.cancel import Cancel
from installer.core.objects import Object, ref_of
from installer.preflight.crd_schema import Judge, translated, unknown_fields
from installer.preflight.crds import judge_objects, shape_conflicts, stored_versions
from installer.sandbox.lifecycle import SandboxInfo

SERVED = "cert-manager.io/v1alpha2"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(
    plural: str = "things",
    group: str = "example.com",
    kind: str = "Thing",
    versions: tuple[str, ...] = ("v1",),
    schema: Object | None = None,
    stored: tuple[str, ...] = (),
    scope: str = "Namespaced",
    **metadata: Any,
) -> Object:
    """A CRD whose first version is the stored one."""
    made: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", **metadata},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": index == 0,
                    "schema": {"openAPIV3Schema": schema or ANYTHING},
                }
                for index, version in enumerate(versions)
            ],
        },
    }
    if stored:
        made["status"] = {"storedVersions": list(stored)}
    return made


@pytest.mark.parametrize(
    ("wanted", "stored", "verdicts"),
    [
        (("v1",), ("v1",), []),
        (("v1", "v1beta1"), ("v1beta1",), []),
        (("v1",), ("v1beta1", "v1"), ["failed"]),
        (("v1",), ("v1alpha1",), ["failed"]),
    ],
)
def test_a_stored_version_must_stay_in_the_crd(
    wanted: tuple[str, ...], stored: tuple[str, ...], verdicts: list[str]
) -> None:
    live = definition(versions=("v1",), stored=stored)
    details = list(stored_versions(definition(versions=wanted), live))
    assert [d.verdict for d in details] == verdicts
    for detail in details:
        assert '{"status":{"storedVersions":["v1"]}}' in detail.remedy


def test_a_stored_version_that_is_not_served_any_more_is_only_noted() -> None:
    wanted = definition(versions=("v1", "v1beta1"))
    wanted["spec"]["versions"][1]["served"] = False
    (detail,) = stored_versions(wanted, definition(stored=("v1beta1", "v1")))
    assert detail.verdict == "note"


def test_scope_and_kind_cannot_be_changed() -> None:
    live = definition(scope="Cluster", kind="Other")
    reasons = [d.reason for d in shape_conflicts(definition(), live)]
    assert len(reasons) == 2
    assert "exists with scope Cluster, and the release wants Namespaced" in reasons[0]
    assert list(shape_conflicts(definition(), definition())) == []


SCHEMA: Object = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "port": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True},
                "extra": ANYTHING,
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "items": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"a": {"type": "string"}}},
                },
            },
        },
    },
}


def thing(**spec: Any) -> Object:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"size": 1, "port": "http", "note": None}, ""),
        ({"size": 1, "port": 80, "extra": {"any": [1]}}, ""),
        ({"size": 1, "unknown": True}, ""),
        ({}, "spec: 'size' is a required property"),
        ({"size": "1"}, "spec.size: '1' is not of type 'integer'"),
        ({"size": 0}, "spec.size: 0 is less than the minimum of 1"),
        ({"size": 1, "port": []}, "spec.port: [] is not of type 'integer', 'string'"),
        ({"size": 1, "labels": {"a": 1}}, "spec.labels.a: 1 is not of type 'string'"),
    ],
)
def test_an_object_is_judged_as_the_api_server_would(spec: Object, fault: str) -> None:
    assert Judge(SCHEMA).faults(thing(**spec)) == ([fault] if fault else [])


def test_an_exclusive_minimum_and_a_pattern_of_another_dialect_are_understood() -> None:
    strict = {"type": "integer", "minimum": 1, "exclusiveMinimum": True}
    schema = {"type": "object", "properties": {"spec": {"properties": {"size": strict}}}}
    assert Judge(schema).faults(thing(size=1))
    assert "pattern" not in translated({"type": "string", "pattern": r"\pN("})


def test_fields_that_pruning_would_drop_are_found() -> None:
    obj = thing(size=1, gone=1, extra={"kept": 1}, items=[{"a": "b", "c": 1}], labels={"x": "y"})
    assert unknown_fields(obj, SCHEMA) == ["spec.gone", "spec.items[*].c"]


def test_an_object_that_is_refused_already_is_only_a_warning() -> None:
    both = judge_objects([thing()], SCHEMA, SCHEMA, prune=True, kept_all=False)
    assert [d.verdict for d in both] == ["warning"]
    new = judge_objects([thing()], SCHEMA, ANYTHING, prune=True, kept_all=False)
    assert [d.verdict for d in new] == ["failed"]


def test_a_field_that_was_known_and_is_not_any_more_would_be_lost() -> None:
    objects = [thing(size=1, gone=1)]
    (detail,) = judge_objects(objects, SCHEMA, ANYTHING, prune=True, kept_all=False)
    assert "would lose spec.gone" in detail.reason
    assert not list(judge_objects(objects, SCHEMA, ANYTHING, prune=False, kept_all=False))


@contextmanager
def there(sandbox: SandboxInfo, body: Object) -> Iterator[Cluster]:
    """A CRD for as long as a test needs it; its objects go with it."""
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    cluster.apply(body, manager="somebody", force=True)
    wait_established(cluster, [ref_of(body)], deadline=30, cancel=Cancel())
    try:
        yield cluster
    finally:
        cluster.delete(ref_of(body))
        wait_gone(cluster, [ref_of(body)], deadline=30, cancel=Cancel())


@pytest.mark.cluster
def test_a_cluster_without_the_crds_has_nothing_in_the_way(look: Any, sandbox: SandboxInfo) -> None:
    found = look(sandbox, only=("crds",))
    assert {f.verdict for f in found.values()} == {"ok"}, found


@pytest.mark.cluster
def test_a_crd_of_helm_with_another_stored_version_is_seen(look: Any, sandbox: SandboxInfo) -> None:
    marks = {
        "meta.helm.sh/release-name": "cert-manager",
        "meta.helm.sh/release-namespace": "security",
    }
    body = definition("issuers", "cert-manager.io", "Issuer", versions=("v1beta9",),
                      annotations=marks)  # fmt: skip
    with there(sandbox, body):
        found = look(sandbox, only=("crds",))
    (stored,) = found["crds-stored-versions"].details
    assert stored.verdict == "failed"
    assert stored.data["stored"] == ["v1beta9"]
    (foreign,) = found["crds-foreign"].details
    assert foreign.verdict == "warning"
    assert "Helm release security/cert-manager" in foreign.reason


@pytest.mark.cluster
def test_a_kind_that_another_crd_has_taken_is_seen(look: Any, sandbox: SandboxInfo) -> None:
    body = definition("pictures", "caching.internal.knative.dev", "Image", versions=("v1alpha1",))
    with there(sandbox, body):
        (detail,) = look(sandbox, only=("crds",))["crds-foreign"].details
    assert detail.verdict == "failed"
    assert "is taken by pictures.caching.internal.knative.dev" in detail.reason


def test_what_a_controller_of_the_release_has_made_it_writes_anew_after_the_upgrade() -> None:
    """Knative 1.6 asks for a field of ServerlessServices that 1.5 spells in capitals."""
    schema = {"type": "object", "properties": {"spec": {"required": ["size"]}}}
    owner = {"apiVersion": "things.example.com/v1", "kind": "Maker", "name": "m"}
    made = thing()
    made["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    shared = thing()
    shared["metadata"]["ownerReferences"] = [owner]

    def verdicts(obj: Object, *groups: str) -> list[str]:
        found = judge_objects([obj], schema, {}, prune=False, kept_all=False, groups=groups)
        return [detail.verdict for detail in found]

    assert verdicts(made, "things.example.com") == ["note"]
    assert verdicts(made, "other.example.com") == ["failed"]
    assert verdicts(shared, "things.example.com") == ["failed"]
    assert verdicts(thing(), "things.example.com") == ["failed"]


@pytest.mark.cluster
def test_objects_that_the_new_schema_would_refuse_are_seen(look: Any, sandbox: SandboxInfo) -> None:
    body = definition("certificates", "cert-manager.io", "Certificate", versions=("v1alpha2",))
    with there(sandbox, body) as cluster:
        until(lambda: cluster.refresh_discovery().find(SERVED, "Certificate") is not None)
        cluster.create(
            {
                "apiVersion": "cert-manager.io/v1alpha2",
                "kind": "Certificate",
                "metadata": {"name": "mine", "namespace": "default"},
                "spec": {"secretName": 7},
            }
        )
        found = look(sandbox, only=("crds",))["crds-objects"]
    assert found.verdict == "failed"
    refused = next(d for d in found.details if d.verdict == "failed")
    assert refused.object == "Certificate default/mine"
    assert any("issuerRef" in fault for fault in refused.data["faults"])

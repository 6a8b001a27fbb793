"""What applying alone cannot do, and in which order things go."""

from __future__ import annotations

from typing import Any

import pytest

from installer.catalog.model import Changes, Component, Counts, ObjectMatch, Range
from installer.core.objects import Ref, ref_of
from installer.plan.edited import edited_keys, forgotten_keys, same_image
from installer.plan.fields import vanished
from installer.plan.pruning import in_order, routes
from installer.plan.transitions import must_be_recreated
from installer.plan.wanted import Wanted

MANAGER = "kserve-installer"


def applied(fields: dict[str, Any], manager: str = MANAGER) -> dict[str, Any]:
    entry = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    return {"metadata": {"managedFields": [entry]}}


MTLS = {"f:spec": {"f:mtls": {"f:mode": {}}, "f:selector": {"f:matchLabels": {"f:app": {}}}}}


def test_a_map_that_the_new_body_lacks_is_removed_as_a_whole() -> None:
    body = {"spec": {"selector": {"matchLabels": {"app": "a"}}}}
    assert vanished(applied(MTLS), body, MANAGER) == {"spec": {"mtls": None}}


def test_a_map_that_only_changes_is_left_to_the_apply() -> None:
    body = {"spec": {"mtls": {}, "selector": {"matchLabels": {}}}}
    assert vanished(applied(MTLS), body, MANAGER) == {}


def test_single_fields_and_items_of_lists_are_left_to_the_apply() -> None:
    fields = {"f:spec": {"f:ports": {'k:{"port":80}': {"f:port": {}}}, "f:type": {}}}
    assert vanished(applied(fields), {"spec": {"ports": []}}, MANAGER) == {}


def test_maps_of_other_managers_are_nobody_s_business_of_ours() -> None:
    assert vanished(applied(MTLS, "somebody"), {"spec": {}}, MANAGER) == {}


def test_webhooks_go_before_workloads_and_services_last() -> None:
    kinds = ("Service", "Role", "Deployment", "ValidatingWebhookConfiguration")
    refs = [Ref("v1", kind, "a", "b") for kind in kinds]
    assert [ref.kind for ref in in_order(refs)] == list(reversed(kinds))


def test_gateways_and_services_are_kept_while_a_hop_is_under_way() -> None:
    deployment = Ref("apps/v1", "Deployment", "a", "b")
    assert routes("istio", deployment)
    assert not routes("net-istio", deployment)
    assert routes("net-istio", Ref("v1", "Service", "a", "b"))


def held(by: str, **data: str) -> dict[str, Any]:
    fields = {"f:data": {f"f:{key}": {} for key in data}}
    entry = {"manager": by, "operation": "Update", "fieldsV1": fields}
    return {"data": data, "metadata": {"managedFields": [entry]}}


@pytest.mark.parametrize(
    ("live", "known", "expected"),
    [
        (held("somebody", target="50"), (), [("target", "somebody")]),
        (held("somebody", target="70"), (), []),
        (held("somebody", target="100"), (), []),
        (held("somebody", mine="1"), (), []),
        (held("somebody", _example="1"), (), []),
        (held(MANAGER, target="50"), (), []),
        (held(MANAGER, target="50"), ("target",), [("target", "")]),
        ({}, (), []),
    ],
    ids=["edited", "as before", "as after", "theirs", "example", "ours", "kept", "none"],
)
def test_an_edit_is_a_value_of_somebody_else_that_neither_version_brings(
    live: dict[str, Any], known: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    found = edited_keys(live, {"target": "70", "_example": ""}, {"target": "100"}, known)
    assert list(found) == expected


def test_where_a_config_map_moves_what_only_users_have_comes_along() -> None:
    live = held("somebody", mine="1", _example="1")
    assert list(edited_keys(live, {}, {"target": "100"}, moves=True)) == [("mine", "somebody")]
    assert list(edited_keys(held(MANAGER, mine="1"), {}, {}, moves=True)) == []


@pytest.mark.parametrize(
    ("live", "after", "expected"),
    [
        (held("somebody", old="1"), "new: 1", [("old", "somebody")]),
        (held("somebody", both="1", mine="1"), "both: 1", []),
        (held(MANAGER, old="1"), "new: 1", []),
        (held("somebody", old="1"), None, []),
        (held("somebody", old="1"), "no mapping", []),
    ],
    ids=["no longer", "still, and never", "ours", "nothing is explained", "no key is"],
)
def test_keys_of_users_that_are_no_longer_explained_are_found(
    live: dict[str, Any], after: str | None, expected: list[tuple[str, str]]
) -> None:
    before = {"_example": "# about\nold: 1\nboth: 1\n"}
    assert list(forgotten_keys(live, before, {"_example": after} if after else {})) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("gcr.io/a/queue:v1", "gcr.io/a/queue:v2", True),
        (f"gcr.io/a/queue@sha256:{'0' * 64}", f"gcr.io/a/queue@sha256:{'1' * 64}", True),
        ("host:5000/a/queue:v1", "gcr.io/a/queue:v1", False),
        ("gcr.io/a/queue:v1", "gcr.io/a/other:v1", False),
        ("60s", "90s", False),
        ("a\nb: c/d:e", "a\nb: c/d:f", False),
    ],
)
def test_an_image_at_another_version_is_the_same_image(one: str, other: str, same: bool) -> None:
    assert same_image(one, other) is same


def binding(role: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "a"},
        "roleRef": {"kind": "Role", "name": role},
    }


@pytest.mark.parametrize(
    ("listed", "live", "expected"),
    [
        ("b", binding("old"), True),
        ("b", binding("new"), False),
        ("other", binding("old"), False),
        ("b", None, False),
    ],
    ids=["differs", "does not differ", "not in the catalog's list", "not there"],
)
def test_an_object_is_made_anew_only_when_the_catalog_lists_it_and_it_differs(
    listed: str, live: dict[str, Any] | None, expected: bool
) -> None:
    component = Component(
        name="kserve",
        version="2",
        title="KServe",
        namespace="",
        kubernetes=Range(),
        sources=(),
        counts=Counts(objects=0, crds=0, webhooks=0),
        images=(),
        changes=(Changes(since="1", immutable=(ObjectMatch(kind="RoleBinding", name=listed),)),),
    )
    body = binding("new")
    item = Wanted(ref_of(body), "kserve", "setup", body, "")
    assert must_be_recreated(item, component, live) is expected

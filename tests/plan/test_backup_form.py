"""What of a backup is restored, decided without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from installer.plan.backup_form import (
    MADE,
    OURS,
    USER,
    Record,
    account_to_keep,
    differs,
    only_adds,
    rank,
    restored,
    role_of,
)


def thing(kind: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": "here", **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


OWNED = {"ownerReferences": [{"kind": "InferenceService", "name": "x", "controller": True}]}


@pytest.mark.parametrize(
    ("obj", "installed", "role"),
    [
        (thing("InferenceService"), False, USER),
        (thing("Gateway"), True, OURS),
        (thing("Service", metadata=OWNED), False, MADE),
        (thing("TrainedModel", metadata=OWNED), False, USER),
        (thing("InferenceService", metadata={"deletionTimestamp": "2020"}), False, MADE),
    ],
)
def test_only_what_users_have_made_is_theirs(
    obj: dict[str, Any], installed: bool, role: str
) -> None:
    assert role_of(obj, installed) == role


def test_what_others_name_comes_first() -> None:
    kinds = ["TrainedModel", "InferenceService", "Secret", "ServingRuntime", "Namespace", "Gateway"]
    assert sorted(kinds, key=rank) == [
        "Namespace",
        "Secret",
        "Gateway",
        "ServingRuntime",
        "InferenceService",
        "TrainedModel",
    ]


def test_an_account_that_says_nothing_is_left_out_and_its_tokens_always() -> None:
    tokens = frozenset({"default-token-1"})
    plain = thing("ServiceAccount", secrets=[{"name": "default-token-1"}])
    plain["metadata"]["name"] = "default"
    assert account_to_keep(plain, tokens) is None
    told = {**plain, "imagePullSecrets": [{"name": "pull"}]}
    kept = account_to_keep(told, tokens)
    assert kept is not None
    assert "secrets" not in kept


def test_status_identity_and_finalizers_are_not_restored() -> None:
    obj = thing("InferenceService", spec={"a": 1}, status={"url": "x"})
    obj["metadata"] |= {
        "uid": "1",
        "resourceVersion": "2",
        "finalizers": ["f"],
        "labels": {"a": "b"},
    }
    again = restored(Record(USER, obj))
    assert again is not None
    assert set(again) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(again["metadata"]) == {"name", "namespace", "labels", "annotations"}


def test_of_the_release_s_config_maps_only_edited_keys_are_restored() -> None:
    edit = {"manager": "kubectl-edit", "fieldsV1": {"f:data": {"f:mine": {}}}}
    obj = thing("ConfigMap", data={"mine": "1", "default": "2"})
    assert restored(Record(OURS, obj)) is None
    obj["metadata"]["managedFields"] = [edit]
    again = restored(Record(OURS, obj))
    assert again is not None
    assert again["data"] == {"mine": "1"}


def test_a_difference_is_told_by_its_path() -> None:
    wanted = thing("InferenceService", spec={"predictor": {"minReplicas": 2}})
    live = thing("InferenceService", spec={"predictor": {"minReplicas": 1, "more": 1}})
    assert differs(wanted, live) == ["spec.predictor.minReplicas", "spec.predictor.more"]
    assert differs(wanted, wanted) == []


def test_of_a_config_map_of_users_every_key_counts_and_of_the_release_s_only_those_restored() -> (
    None
):
    wanted = thing("ConfigMap", data={"mine": "1"})
    live = thing("ConfigMap", data={"mine": "1", "more": "2"})
    assert differs(wanted, live, USER) == ["data.more"]
    assert differs(wanted, live, OURS) == []


def test_an_account_gets_its_secrets_back_beside_the_server_s_token() -> None:
    wanted = thing("ServiceAccount", secrets=[{"name": "aws"}])
    live = thing("ServiceAccount", secrets=[{"name": "token"}])
    fields = differs(wanted, live)
    assert fields == ["secrets"]
    assert only_adds(wanted, fields)
    both = thing("ServiceAccount", secrets=[{"name": "token"}, {"name": "aws"}])
    assert differs(wanted, both) == []

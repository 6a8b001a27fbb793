"""Objects of one API group as objects of another, decided without a cluster."""

from __future__ import annotations

from typing import Any

from installer.catalog.load import load
from installer.core.objects import Ref
from installer.operations.upgrade_steps import steps_of
from installer.plan.api_group import (
    counterpart,
    handover,
    is_moved,
    moved,
    owners_of,
    without_pods,
)
from installer.plan.stops import hop_of, way_back

OLD, NEW = "serving.kubeflow.org", "serving.kserve.io"


def model(**metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{OLD}/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "flowers", "namespace": "one", "uid": "1", **metadata},
        "spec": {"predictor": {"tensorflow": {"storageUri": "gs://x"}}},
        "status": {"url": "http://x"},
    }


def test_name_place_labels_annotations_and_spec_stay_and_nothing_of_the_server_s_goes_along() -> (
    None
):
    labels, notes = {"team": "a"}, {"example.com/note": "x", f"{OLD}/gpu": "p4"}
    old = model(labels=labels, annotations=notes, finalizers=["f"], resourceVersion="7")
    new = moved(old, NEW)
    assert new["apiVersion"] == f"{NEW}/v1beta1"
    assert new["spec"] == old["spec"]
    assert new["metadata"] == {
        "name": "flowers",
        "namespace": "one",
        "labels": labels,
        "annotations": {**notes, f"{NEW}/gpu": "p4"},
    }
    assert "status" not in new
    assert old["metadata"]["annotations"] == notes, "what is given is not changed"


def test_what_the_user_says_for_the_new_group_already_counts() -> None:
    old = model(annotations={f"{OLD}/gpu": "old", f"{NEW}/gpu": "new"})
    assert moved(old, NEW)["metadata"]["annotations"][f"{NEW}/gpu"] == "new"


def test_a_trained_model_has_its_counterpart_at_its_own_version() -> None:
    ref = Ref(f"{OLD}/v1alpha1", "TrainedModel", "one", "extra")
    assert counterpart(ref, NEW) == Ref(f"{NEW}/v1alpha1", "TrainedModel", "one", "extra")


def test_a_handover_changes_the_owner_with_that_uid_and_no_other_of_its_name() -> None:
    references = [
        {"apiVersion": f"{OLD}/v1beta1", "kind": "InferenceService", "name": "flowers", "uid": "0"},
        {
            "apiVersion": f"{OLD}/v1beta1",
            "kind": "InferenceService",
            "name": "flowers",
            "uid": "1",
            "controller": True,
        },
    ]
    dependent = {"metadata": {"ownerReferences": references}}
    new = {**moved(model(), NEW)}
    new["metadata"] = {**new["metadata"], "uid": "2"}
    test, replace = handover(dependent, "1", new)
    assert test == {"op": "test", "path": "/metadata/ownerReferences/1/uid", "value": "1"}
    assert replace["path"] == "/metadata/ownerReferences/1"
    assert replace["value"] == {**references[1], "apiVersion": f"{NEW}/v1beta1", "uid": "2"}
    assert handover(dependent, "3", new) == []
    assert list(owners_of(dependent, "InferenceService", OLD)) == ["0", "1"]
    assert list(owners_of(dependent, "InferenceService", NEW)) == []


def test_what_we_have_made_is_known_by_its_field_manager() -> None:
    assert is_moved(model(managedFields=[{"manager": "kserve-installer"}]))
    assert not is_moved(model(managedFields=[{"manager": "kubectl"}]))


def test_webhooks_for_pods_are_kept_apart() -> None:
    pods = {"name": "p", "rules": [{"resources": ["pods"]}]}
    own = {"name": "i", "rules": [{"resources": ["inferenceservices"]}]}
    assert without_pods([own, pods]) == ([pods], [own])


def names(hop: Any) -> list[str]:
    return [step.name for step in steps_of(hop)]


def test_both_ways_one_controller_is_stopped_before_the_other_has_anything_to_do() -> None:
    catalog = load()
    there = hop_of(catalog, "kfserving-0.6.1", "kserve-0.7.0")
    assert (there.groups, there.moves) == ((OLD, NEW), True)
    assert names(there)[3:] == [
        "stop-1", "quiet", "move", "admission", "health", "retire", "prune",
    ]  # fmt: skip
    now = dict(there.stops[-1].items())
    back = way_back(catalog, "kserve-0.7.0", "kfserving-0.6.1", now)
    assert back.groups == (NEW, OLD)
    assert names(back)[3:] == [
        "quiet", "stop-1", "move", "admission", "health", "retire", "prune",
    ]  # fmt: skip


def test_on_the_way_back_a_component_that_cannot_go_stays() -> None:
    catalog = load()
    now = dict(hop_of(catalog, "kfserving-0.6.1", "kserve-0.7.0").stops[-1].items())
    back = way_back(catalog, "kserve-0.7.0", "kfserving-0.6.1", now, ["cert-manager"])
    assert back.stops[-1]["cert-manager"] == now["cert-manager"]
    assert back.stops[-1]["kfserving"] == "0.6.1"

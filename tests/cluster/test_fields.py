"""What a manager owns of an object, with managedFields of real API servers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.cluster.client import Cluster
from installer.core.objects import Object, Ref, dig, fingerprint, ref_of
from installer.plan.drift import MANAGER, seen_fingerprint
from installer.plan.fields import owned, project, takeover
from installer.plan.normalise import normalise
from installer.sandbox.options import SandboxInfo

VERSIONS = ["1.20.2", "1.34.4"]


def test_members_elements_and_values_that_are_owned_are_shown() -> None:
    fields = {
        "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {'v:"a/b"': {}}},
        "f:spec": {
            "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}},
            "f:args": {},
            "f:numbers": {"v:2": {}},
            "f:steps": {"i:1": {}},
        },
    }
    obj = {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {
            "name": "n",
            "uid": "u",
            "labels": {"app": "a", "other": "b"},
            "finalizers": ["c/d", "a/b"],
        },
        "spec": {
            "ports": [
                {"port": 81, "protocol": "TCP"},
                {"port": 80, "protocol": "TCP", "name": "http", "nodePort": 30080},
            ],
            "args": ["x", {"y": 1}],
            "numbers": [1, 2],
            "steps": ["first", "second"],
        },
        "status": {"ready": True},
    }
    assert project(obj, fields) == {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "n", "labels": {"app": "a"}, "finalizers": ["a/b"]},
        "spec": {
            "ports": [{"port": 80, "protocol": "TCP", "name": "http"}],
            "args": ["x", {"y": 1}],
            "numbers": [2],
            "steps": ["second"],
        },
    }


def test_what_is_owned_but_gone_is_left_out() -> None:
    fields = {"f:spec": {"f:a": {}, "f:b": {"f:c": {}}, "f:d": {'k:{"name":"x"}': {}}}}
    obj = {"kind": "K", "metadata": {"name": "n"}, "spec": {"d": [{"name": "y"}]}}
    assert project(obj, fields)["spec"] == {"d": []}


def test_an_object_of_which_nothing_is_owned_shows_only_its_name() -> None:
    obj = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n", "resourceVersion": "7"}}
    assert owned(obj, MANAGER) is None
    assert project(obj, None) == {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}}


def test_only_the_entry_of_an_apply_by_that_manager_counts() -> None:
    def entry(manager: str, operation: str, **more: str) -> Mapping[str, Any]:
        fields = {"f:data": {f"f:{manager}-{operation}": {}}}
        return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}

    entries = [
        entry("other", "Apply"),
        entry(MANAGER, "Update"),
        entry(MANAGER, "Apply", subresource="status"),
        entry(MANAGER, "Apply"),
    ]
    found = owned({"metadata": {"managedFields": entries}}, MANAGER)
    assert found == {"f:data": {f"f:{MANAGER}-Apply": {}}}


@pytest.fixture
def cluster(sandbox: SandboxInfo) -> Iterator[Cluster]:
    connected = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    yield connected
    connected.close()


@pytest.fixture
def applied(cluster: Cluster) -> Iterator[dict[str, tuple[Object, Object]]]:
    """(sent, returned) by kind for one object of each form that managedFields can have."""
    bodies = list(yaml.safe_load_all((Path(__file__).parent / "owned_forms.yaml").read_text()))
    pairs = {body["kind"]: (body, cluster.apply(body, force=True)) for body in bodies}
    yield pairs
    for body in bodies:
        cluster.delete(ref_of(body))


@pytest.mark.cluster
@pytest.mark.parametrize("sandbox", VERSIONS, indirect=True)
def test_what_was_sent_is_what_is_owned(applied: dict[str, tuple[Object, Object]]) -> None:
    for kind, (sent, returned) in applied.items():
        assert project(returned, owned(returned, MANAGER)) == sent, kind


@pytest.mark.cluster
@pytest.mark.parametrize("sandbox", VERSIONS, indirect=True)
def test_a_foreign_change_of_a_field_of_ours_is_seen(
    cluster: Cluster, applied: dict[str, tuple[Object, Object]]
) -> None:
    _, service = applied["Service"]
    patch = [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9999}]
    changed = cluster.patch(ref_of(service), patch, type="json", manager="kubectl-edit")
    assert seen_fingerprint(changed) != seen_fingerprint(service)


@pytest.mark.cluster
@pytest.mark.parametrize("sandbox", VERSIONS, indirect=True)
def test_fields_of_others_do_not_matter(
    cluster: Cluster, applied: dict[str, tuple[Object, Object]]
) -> None:
    _, service = applied["Service"]
    addition = {
        "metadata": {"annotations": {"example.org/theirs": "1"}},
        "spec": {"externalIPs": ["192.0.2.9"]},
    }
    changed = cluster.patch(ref_of(service), addition, manager="someone")
    assert changed["spec"]["externalIPs"] == ["192.0.2.9"]
    assert seen_fingerprint(changed) == seen_fingerprint(service)

    _, webhooks = applied["ValidatingWebhookConfiguration"]
    injected = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "Cg=="}]
    changed = cluster.patch(ref_of(webhooks), injected, type="json", manager="cainjector")
    assert changed["webhooks"][0]["clientConfig"]["caBundle"] == "Cg=="
    assert seen_fingerprint(changed) == seen_fingerprint(webhooks)


@pytest.mark.cluster
@pytest.mark.parametrize("sandbox", VERSIONS, indirect=True)
def test_a_second_apply_of_the_same_leaves_the_same_fingerprint(
    cluster: Cluster, applied: dict[str, tuple[Object, Object]]
) -> None:
    for kind, (sent, returned) in applied.items():
        again = cluster.apply(sent)
        assert seen_fingerprint(again) == seen_fingerprint(returned), kind
        listed = cluster.get(ref_of(sent))
        assert listed is not None
        assert seen_fingerprint(listed) == seen_fingerprint(returned), kind


@pytest.mark.cluster
def test_upstream_definitions_come_back_as_they_were_sent(shared: Path, cluster: Cluster) -> None:
    manifests = (
        "raw.githubusercontent.com/kserve/kserve/v0.5.1/install/v0.5.1/kfserving.yaml",
        "github.com/jetstack/cert-manager/releases/download/v0.15.1/cert-manager.yaml",
    )
    for manifest in manifests:
        text = (shared / "upstream" / manifest).read_text()
        for obj in yaml.load_all(text, Loader=yaml.CSafeLoader):
            if not obj or obj["kind"] != "CustomResourceDefinition":
                continue
            sent = normalise(obj, lambda *_: False, "")
            returned = cluster.apply(sent, dry_run=True)
            seen = project(returned, owned(returned, MANAGER))
            # an empty mapping has no fields that could be owned
            sent["spec"].pop("subresources", None)
            assert seen == without_empty(sent), sent["metadata"]["name"]


def without_empty(value: Any) -> Any:
    """Mappings lose members that are null."""
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v is not None}
    return [without_empty(v) for v in value] if isinstance(value, list) else value


@pytest.mark.cluster
def test_what_kubectl_applied_becomes_ours_and_can_be_removed(cluster: Cluster) -> None:
    applied_by_kubectl: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "left-by-kubectl",
            "namespace": "default",
            "labels": {"old": "yes"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "data": {"kept": "1", "dropped": "2"},
    }
    ref = Ref("v1", "ConfigMap", "default", "left-by-kubectl")
    cluster.request(
        "POST",
        "/api/v1/namespaces/default/configmaps",
        query={"fieldManager": "kubectl-client-side-apply"},
        body=applied_by_kubectl,
    )
    try:
        cluster.patch(ref, {"data": {"theirs": "3"}}, manager="someone")
        live = cluster.get(ref)
        assert live is not None
        patch = takeover(live, ["kubectl-client-side-apply"], MANAGER)
        assert patch is not None
        ours = cluster.patch(ref, patch, type="json")
        assert takeover(ours, ["kubectl-client-side-apply"], MANAGER) is None
        wanted = copy.deepcopy(applied_by_kubectl)
        wanted["metadata"] = {"name": "left-by-kubectl", "namespace": "default"}
        wanted["data"] = {"kept": "1"}
        stored = cluster.apply(wanted)
        assert stored["data"] == {"kept": "1", "theirs": "3"}
        assert not dig(stored, "metadata", "labels")
        assert not dig(stored, "metadata", "annotations")
    finally:
        cluster.delete(ref)


def test_an_object_that_kubectl_never_applied_is_not_taken_over() -> None:
    entry = {"manager": "before-first-apply", "operation": "Update", "fieldsV1": {"f:type": {}}}
    obj = {"metadata": {"name": "n", "managedFields": [entry]}}
    assert takeover(obj, ["before-first-apply"], MANAGER) is None


def test_a_projection_does_not_depend_on_the_order_of_keys() -> None:
    fields = {"f:data": {"f:b": {}, "f:a": {}}}
    one = {"kind": "K", "metadata": {"name": "n"}, "data": {"a": "1", "b": "2"}}
    other = json.loads(json.dumps(one, sort_keys=True))
    turned = {"f:data": {"f:a": {}, "f:b": {}}}
    assert fingerprint(project(one, fields)) == fingerprint(project(other, turned))

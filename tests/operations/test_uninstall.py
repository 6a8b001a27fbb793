"""`uninstall` on a real API server: what it refuses, what it leaves, what it explains."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from harness import (
    RELEASE,
    MakePlace,
    Stack,
    applied_refs,
    audited_writes,
    finish,
    follow,
    state_of,
)

from installer.cluster import ledger as ledgers
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import silent
from installer.core.objects import Object, Ref
from installer.operations.uninstall import (
    UninstallOptions,
    execute_uninstall,
    prepare_uninstall,
)

pytestmark = pytest.mark.cluster

NAMESPACES = ("istio-system", "cert-manager", "knative-serving", "kfserving-system")


def flowers() -> dict[str, Any]:
    return {
        "apiVersion": "serving.kubeflow.org/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "flowers", "namespace": "default"},
        "spec": {"predictor": {"tensorflow": {"storageUri": "gs://bucket/flowers"}}},
    }


def test_uninstall_refuses_while_an_inferenceservice_would_be_lost(stack: Stack) -> None:
    cluster = stack.cluster()
    cluster.create(flowers())
    before = len(audited_writes(stack.audit_log))
    refused = stack.installer.run("uninstall")
    assert refused.code == 3
    assert refused.finished["error"]["kind"] == "inferenceservices-exist"
    assert "InferenceService default/flowers" in refused.finished["error"]["message"]
    assert "--delete-inferenceservices" in refused.finished["error"]["remedy"]
    assert audited_writes(stack.audit_log)[before:] == []


def test_other_custom_resources_of_users_are_not_lost_silently_either(stack: Stack) -> None:
    cluster = stack.cluster()
    issuer = {
        "apiVersion": "cert-manager.io/v1alpha2",
        "kind": "Issuer",
        "metadata": {"name": "mine", "namespace": "default"},
        "spec": {"selfSigned": {}},
    }
    cluster.create(issuer)
    refused = stack.installer.run("uninstall", "--delete-inferenceservices")
    assert refused.code == 3
    assert "Issuer default/mine" in refused.finished["error"]["message"]
    assert cluster.delete(Ref("cert-manager.io/v1alpha2", "Issuer", "default", "mine"))


def test_controllers_stay_until_what_an_inferenceservice_made_is_gone(stack: Stack) -> None:
    """A finalizer that its controller has not removed yet would hold the CRD for ever after."""
    cluster = stack.cluster()
    owner = cluster.get(
        Ref("serving.kubeflow.org/v1beta1", "InferenceService", "default", "flowers")
    )
    assert owner is not None
    slow = Ref("networking.internal.knative.dev/v1alpha1", "Ingress", "default", "slow")
    cluster.create(owned_by(owner, slow, finalizer="example.com/slow"))
    running = stack.installer.start("uninstall", "--delete-inferenceservices")
    follow(running, hangs(str(slow), "example.com/slow"))
    controller = Ref("apps/v1", "Deployment", "knative-serving", "controller")
    assert cluster.get(controller) is not None
    running.send_signal(signal.SIGINT)
    assert finish(running).code == 130
    assert cluster.get(controller) is not None
    cluster.patch(slow, [{"op": "remove", "path": "/metadata/finalizers"}], type="json")


def owned_by(owner: Object, ref: Ref, finalizer: str) -> Object:
    """An object as a controller makes it for another."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "finalizers": [finalizer],
            "ownerReferences": [reference],
        },
    }


def test_a_namespace_that_holds_something_of_others_is_kept_and_told(stack: Stack) -> None:
    cluster = stack.cluster()
    foreign = Ref("v1", "ConfigMap", "istio-system", "of-somebody")
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": foreign.name, "namespace": foreign.namespace},
        }
    )
    gone = stack.installer.run("uninstall", "--delete-inferenceservices")
    assert gone.code == 1, gone.stderr
    assert "ConfigMap istio-system/of-somebody" in gone.finished["error"]["message"]
    cluster = stack.cluster()
    assert cluster.get(foreign) is not None
    left = set(state_of(cluster, applied_refs(stack.first)))
    assert left == {Ref("v1", "Namespace", "", "istio-system")}

    dry = stack.installer.run("install", RELEASE, "--dry-run")
    assert dry.code == 0, "a kept namespace must not stand in the way of an install"
    assert cluster.delete(foreign)
    again = stack.installer.run("uninstall")
    assert again.code == 0, again.finished.get("error") or again.stderr
    cluster = stack.cluster()
    assert state_of(cluster, applied_refs(stack.first)) == {}
    assert cluster.get(ledgers.HOME) is None
    roots = [
        item["metadata"]["name"]
        for item in cluster.list("v1", "ConfigMap").items
        if item["metadata"]["name"] == "istio-ca-root-cert"
    ]
    assert roots == []


def test_an_inferenceservice_that_appears_after_the_decision_is_not_lost(
    stack: Stack,
) -> None:
    """Decided while there was none, executed when there is one."""
    assert stack.installer.run("install", RELEASE).code == 0
    cluster, cancel = stack.cluster(), Cancel()
    options = UninstallOptions(delete_inferenceservices=True)
    prepared = prepare_uninstall(cluster, options, silent, cancel)
    cluster.create(flowers())
    with pytest.raises(ChecksFailed, match="InferenceService default/flowers"):
        execute_uninstall(cluster, prepared, silent, cancel)
    ref = Ref("serving.kubeflow.org/v1beta1", "InferenceService", "default", "flowers")
    assert cluster.get(ref) is not None
    assert stack.installer.run("uninstall", "--delete-inferenceservices").code == 0


def test_uninstalling_twice_writes_nothing(stack: Stack) -> None:
    before = len(audited_writes(stack.audit_log))
    again = stack.installer.run("uninstall")
    assert (again.code, again.finished["outcome"]) == (0, "unchanged")
    assert audited_writes(stack.audit_log)[before:] == []


def test_a_namespace_that_a_stopped_run_left_goes_with_the_next_uninstall(stack: Stack) -> None:
    cluster = stack.cluster()
    ledgers.create_home(cluster)  # all that an install had done when it was killed
    gone = stack.installer.run("uninstall")
    assert (gone.code, gone.finished["outcome"]) == (0, "done"), gone.stderr
    assert cluster.get(ledgers.HOME) is None
    name = {"name": ledgers.NAMESPACE}
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": name})
    kept = stack.installer.run("uninstall")
    assert (kept.code, kept.finished["outcome"]) == (0, "unchanged"), "that one is not ours"
    assert cluster.get(ledgers.HOME) is not None
    cluster.delete(ledgers.HOME)


@pytest.mark.timeout(600)
def test_a_namespace_that_was_there_before_us_stays(place: MakePlace) -> None:
    there = place()
    cluster = there.cluster()
    before = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}}
    cluster.create(before)
    assert there.installer.run("install", RELEASE).code == 0
    gone = there.installer.run("uninstall")
    assert gone.code == 0, gone.finished.get("error")
    found = [name for name in NAMESPACES if cluster.get(Ref("v1", "Namespace", "", name))]
    assert found == ["cert-manager"]
    told = [(event["object"], event["message"]) for event in gone.of("warning")]
    assert ("Namespace cert-manager", "was here before the install, so it stays") in told


def test_a_namespace_that_hangs_in_terminating_is_explained(stack: Stack) -> None:
    """Runs last in this module: the stack is gone by now and comes back for it."""
    assert stack.installer.run("install", RELEASE).code == 0
    cluster = stack.cluster()
    stuck = Ref("v1", "ConfigMap", "cert-manager", "cert-manager-stuck")
    owner = cluster.get(Ref("v1", "ServiceAccount", "cert-manager", "cert-manager"))
    assert owner is not None
    cluster.create(owned_by(owner, stuck, finalizer="example.com/never"))
    running = stack.installer.start("uninstall")
    follow(running, hangs("Namespace cert-manager", "example.com/never"))
    running.send_signal(signal.SIGINT)
    assert finish(running).code == 130
    gone = stack.installer.run("uninstall", "--timeout", "45s")
    assert gone.code == 4, gone.stderr
    error = gone.finished["error"]
    assert "Namespace cert-manager" in error["message"]
    assert "example.com/never" in error["message"]
    cluster.patch(stuck, [{"op": "remove", "path": "/metadata/finalizers"}], type="json")
    assert stack.installer.run("uninstall").code == 0


def hangs(name: str, why: str) -> Callable[[dict[str, Any]], bool]:
    """Wants an event that says what an object that is to go waits for."""
    return lambda event: (
        event["event"] == "waiting"
        and any(name in item["object"] and why in item["reason"] for item in event["for"])
    )

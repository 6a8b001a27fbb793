"""The rights that `rbac --from` prints: enough to upgrade, to move models, and to go back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from accounts import account, command, give, refused_writes, until

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.readiness import readiness
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Object, Ref, dig
from installer.plan.api_group import counterpart
from installer.preflight.rbac import namespaces_for
from installer.sandbox import lifecycle

ORIGIN, TARGET = "kfserving-0.6.1", "kserve-0.7.0"
OLD, NEW = "serving.kubeflow.org", "serving.kserve.io"
MODEL = Ref(f"{OLD}/v1beta1", "InferenceService", "models", "flowers")
STORED = "customresourcedefinitions/status"
DEFINITION = Ref(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", f"inferenceservices.{OLD}"
)
TRAINED = Ref(f"{OLD}/v1alpha1", "TrainedModel", "models", "extra")


def populate(cluster: Cluster) -> None:
    space = {"name": MODEL.namespace, "labels": {"istio-injection": "disabled"}}
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": space})
    notes = {f"{OLD}/s3-endpoint": "minio"}
    cluster.create(body_of(Ref("v1", "Secret", "models", "aws"), annotations=notes))
    # by the version that only KFServing has: it is stored anew before it is moved
    alpha = Ref(f"{OLD}/v1alpha2", MODEL.kind, MODEL.namespace, MODEL.name)
    tensorflow = {"tensorflow": {"storageUri": "gs://models/flowers"}}
    cluster.create({**body_of(alpha), "spec": {"default": {"predictor": tensorflow}}})
    wait_ready(cluster, [MODEL], deadline=120, cancel=Cancel())
    model = {"framework": "sklearn", "storageUri": "gs://models/extra", "memory": "1Gi"}
    spec = {"inferenceService": MODEL.name, "model": model}
    cluster.create({**body_of(TRAINED), "spec": spec})


def body_of(ref: Ref, **metadata: Any) -> Object:
    named = {"name": ref.name, "namespace": ref.namespace, **metadata}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": named}


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_models_are_moved_to_another_group_and_back_with_exactly_these_rights(
    sandbox_factory: Any, shared: Path, tmp_path: Path
) -> None:
    sandbox = sandbox_factory("1.20.2", fresh=True)
    admin = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    kubeconfig = account(admin, sandbox, "installer", tmp_path)
    mirror = ["--mirror", str(shared / "upstream")]
    flags = ["--kubeconfig", str(kubeconfig), "-o", "json"]

    printed = command("rbac", TARGET, "--from", ORIGIN, "--service-account", "default/installer",
                      "-o", "json", *mirror)  # fmt: skip
    roles = json.loads(printed.stdout)["items"]
    for name in namespaces_for(roles):
        admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def run(*words: str) -> dict[str, Any]:
        done = command(*words, "--yes", *flags, *mirror, timeout=600)
        last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return last

    give(admin, without(roles, STORED))
    until(lambda: command("preflight", ORIGIN, "--only", "rights", *flags, *mirror).returncode == 0)
    installed = run("install", ORIGIN)
    assert installed["outcome"] == "done", installed
    populate(admin)
    # as in a cluster that came from KFServing 0.5: its objects have to be written before they move
    former = {"status": {"storedVersions": ["v1alpha2", "v1beta1"]}}
    admin.patch(DEFINITION, former, subresource="status")

    refused = run("upgrade", TARGET, "--backup-dir", str(tmp_path))
    assert (refused["exit_code"], refused["error"]["kind"]) == (3, "rights-objects")
    assert f"patch {STORED}.apiextensions.k8s.io" in refused["error"]["message"]
    assert f"kserve-installer rbac {TARGET} --from {ORIGIN}" in refused["error"]["remedy"]
    assert admin.get(Ref("apps/v1", "StatefulSet", "kserve", "kserve-controller-manager")) is None

    give(admin, roles)
    theirs = Cluster.connect(kubeconfig=str(kubeconfig))
    until(lambda: may_strike(theirs))
    done = run("upgrade", TARGET, "--backup-dir", str(tmp_path))
    assert done["outcome"] == "done", done
    moved = admin.get(counterpart(MODEL, NEW))
    assert moved is not None
    assert readiness(moved).ready
    assert admin.get(counterpart(TRAINED, NEW)) is not None
    assert admin.get(MODEL) is None
    assert dig(admin.get(DEFINITION), "status", "storedVersions") == ["v1beta1"]

    back = run("rollback")
    assert back["outcome"] == "done", back
    assert ledgers.read(admin).release == ORIGIN
    assert admin.get(MODEL) is not None
    assert admin.get(counterpart(MODEL, NEW)) is None
    assert refused_writes(sandbox.audit_log) == []
    lifecycle.down(sandbox.name)


def without(roles: list[dict[str, Any]], resource: str) -> list[dict[str, Any]]:
    """The same, without the rules for a resource."""
    return [
        {**role, "rules": [r for r in role["rules"] if resource not in r["resources"]]}
        if "rules" in role
        else role
        for role in roles
    ]


def may_strike(cluster: Cluster) -> bool:
    """Whether the account may write which versions objects are stored at."""
    try:
        cluster.patch(DEFINITION, {"status": {}}, subresource="status", dry_run=True)
    except ApiError:
        return False
    return True

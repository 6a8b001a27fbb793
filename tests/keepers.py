"""What Helm and Knative's operator leave on objects that they have installed, put onto a stack.

Neither runs here: their marks, records and field managers are made as theirs are, the sources of
which are named in installer/cluster/helm.py and installer/plan/handover.py.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

import yaml

from installer.cluster.client import Cluster
from installer.core.objects import Object, Ref, dig
from installer.plan.drift import MANAGER

OPERATOR = Ref("apps/v1", "Deployment", "knative-operator", "knative-operator")
SERVING = Ref("operator.knative.dev/v1beta1", "KnativeServing", "knative-serving", "knative")
_FINALIZER = "knativeservings.operator.knative.dev"


def record(name: str, namespace: str, refs: Sequence[Ref], **labels: str) -> Object:
    """A revision of a Helm release that has applied these objects. labels: status, version."""
    objects = [
        {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {"name": ref.name, "namespace": ref.namespace or None},
        }
        for ref in refs
    ]
    release = {"name": name, "manifest": yaml.safe_dump_all(objects)}
    packed = base64.b64encode(gzip.compress(json.dumps(release).encode()))
    marks = {"owner": "helm", "name": name, "status": "deployed", "version": "1", **labels}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": f"sh.helm.release.v1.{name}.v{marks['version']}",
            "namespace": namespace,
            "labels": marks,
        },
        "data": {"release": base64.b64encode(packed).decode()},
    }


def helm_keeps(cluster: Cluster, name: str, namespace: str, refs: Sequence[Ref]) -> None:
    """As if a Helm release had installed these objects, and a client-side apply of Helm's."""
    marks = {
        "annotations": {
            "meta.helm.sh/release-name": name,
            "meta.helm.sh/release-namespace": namespace,
        },
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
    }
    for ref in refs:
        cluster.patch(ref, {"metadata": marks}, manager="helm")
        _belongs_to(cluster, ref, "helm")
    cluster.create(record(name, namespace, refs))


def operator_keeps(cluster: Cluster, refs: Sequence[Ref]) -> None:
    """As if Knative's operator had made these objects for a KnativeServing. Its CRD is there."""
    body: Object = {
        "apiVersion": SERVING.api_version,
        "kind": SERVING.kind,
        "metadata": {
            "name": SERVING.name,
            "namespace": SERVING.namespace,
            "finalizers": [_FINALIZER],
        },
    }
    made = cluster.create(body)
    owner = {
        "apiVersion": SERVING.api_version,
        "kind": SERVING.kind,
        "name": SERVING.name,
        "uid": made["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    for ref in refs:
        owned = ref.namespace == SERVING.namespace
        if owned:
            cluster.patch(ref, {"metadata": {"ownerReferences": [owner]}}, manager="operator")
        _belongs_to(cluster, ref, "operator")


def _belongs_to(cluster: Cluster, ref: Ref, manager: str) -> None:
    """Make what we have applied a client-side write of somebody else."""
    found = cluster.get(ref)
    assert found is not None
    entries: list[Any] = dig(found, "metadata", "managedFields", default=[])
    ours = [entry for entry in entries if entry["manager"] == MANAGER]
    for entry in ours:
        entry.update(manager=manager, operation="Update")
    if ours:
        patch = [{"op": "replace", "path": "/metadata/managedFields", "value": entries}]
        cluster.patch(ref, patch, type="json")

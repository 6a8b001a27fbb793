"""A kind of our own with versions to migrate between; of tests and of benchmarks."""

from __future__ import annotations

from typing import Any

from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.objects import Object, Ref, dig

GROUP = "notes.example.com"
KIND = "Note"
NAME = f"notes.{GROUP}"
CRD = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", NAME)


def definition(*versions: str, storage: str, conversion: Object | None = None) -> Object:
    """The CRD. storage: the version that objects are stored at; conversion: who converts."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": KIND, "plural": "notes", "listKind": "NoteList"},
        "versions": [
            {
                "name": name,
                "served": True,
                "storage": name == storage,
                "schema": {"openAPIV3Schema": schema},
            }
            for name in versions
        ],
    }
    if conversion is not None:
        spec["conversion"] = conversion
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.kind,
        "metadata": {"name": NAME},
        "spec": spec,
    }


def note(number: int, **fields: Any) -> Object:
    """An object of v1."""
    metadata = {"name": f"note-{number}", "namespace": "default"}
    return {"apiVersion": f"{GROUP}/v1", "kind": KIND, "metadata": metadata, **fields}


def await_served(cluster: Cluster, version: str) -> None:
    """Discovery follows a CRD that is established a moment later."""
    cancel = Cancel(60)
    while cluster.refresh_discovery().find(f"{GROUP}/{version}", KIND) is None:
        cancel.sleep(0.1, f"for Notes to be served at {version}")


def stored(cluster: Cluster) -> list[str]:
    """The versions that the CRD says objects may be stored at."""
    versions: list[str] = dig(cluster.get(CRD), "status", "storedVersions")
    return versions

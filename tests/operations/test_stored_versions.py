"""Migration of stored versions on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from installer.cluster.client import Cluster
from installer.cluster.definitions import wait_established
from installer.cluster.deletion import wait_gone
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Event, silent
from installer.core.objects import Object, Ref
from installer.operations.stored_versions import check_stored, migrate
from installer.plan.stored import versions_of
from installer.sandbox.lifecycle import SandboxInfo

pytestmark = pytest.mark.cluster

GROUP = "stored.example.com"
NAME = f"notes.{GROUP}"
CRD = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", NAME)
COUNT = 25


def definition(*versions: str, storage: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.kind,
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "Note", "plural": "notes", "listKind": "NoteList"},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == storage,
                    "schema": {"openAPIV3Schema": schema},
                }
                for name in versions
            ],
        },
    }


@pytest.fixture
def cluster(sandbox: SandboxInfo) -> Any:
    """A cluster with notes that were stored at v1, in a CRD that stores v2 now."""
    found = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    found.apply(definition("v1", storage="v1"))
    wait_established(found, [CRD], deadline=30, cancel=Cancel())
    found.refresh_discovery()
    for index in range(COUNT):
        found.create(
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "Note",
                "metadata": {"name": f"note-{index}", "namespace": "default"},
                "text": str(index),
            }
        )
    found.apply(definition("v1", "v2", storage="v2"))
    found.refresh_discovery()
    yield found
    found.delete(CRD)
    wait_gone(found, [CRD], deadline=30, cancel=Cancel())


def stored(cluster: Cluster) -> list[str]:
    found = cluster.get(CRD)
    assert found is not None
    versions: list[str] = found["status"]["storedVersions"]
    return versions


def test_objects_are_rewritten_before_the_version_they_were_stored_at_goes(
    cluster: Cluster,
) -> None:
    after = definition("v2", storage="v2")
    with pytest.raises(ApiError):
        cluster.apply(after)
    events: list[Event] = []
    migrate(cluster, [after], events.append, Cancel())
    assert stored(cluster) == ["v2"]
    assert [event.fields["objects"] for event in events] == [COUNT]
    cluster.apply(after)
    notes = cluster.list(f"{GROUP}/v2", "Note", "default").items
    assert sorted(int(note["text"]) for note in notes) == list(range(COUNT))
    migrate(cluster, [after], events.append, Cancel())
    assert len(events) == 1, "there is nothing to migrate any more"


def test_where_both_crds_have_no_version_in_common_nothing_is_written(cluster: Cluster) -> None:
    after = definition("v3", storage="v3")
    with pytest.raises(ChecksFailed, match="v2"):
        check_stored(cluster, {NAME: [versions_of(after)]})
    with pytest.raises(ChecksFailed):
        migrate(cluster, [after], silent, Cancel())
    assert stored(cluster) == ["v1", "v2"]

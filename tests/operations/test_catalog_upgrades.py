"""Upgrades between later releases whose manifests are at hand; `make test-catalog` runs them.

`test_upgrade` has the reference release's, with everything that can go wrong.
"""

from __future__ import annotations

from typing import Any

import pytest
from etcd_truth import versions_in_etcd
from harness import MakePlace, Place, audited_writes

from installer.catalog.load import load_releases
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Ref, dig
from installer.operations.upgrade_serving import look
from installer.sandbox import lifecycle

pytestmark = [pytest.mark.cluster, pytest.mark.catalog]

WAYS = [
    ("kserve-0.9.0", "kserve-0.11.2", "1.25.3"),
    ("kserve-0.11.2", "kserve-0.13.1", "1.34.4"),
    ("kserve-0.13.1", "kserve-0.15.2", "1.34.4"),
    ("kserve-0.15.2", "kserve-0.16.0", "1.34.4"),
    ("kserve-0.16.0", "kserve-0.20.0", "1.34.4"),
]
MODEL = Ref("serving.kserve.io/v1beta1", "InferenceService", "models", "flowers")
DOMAIN = Ref("v1", "ConfigMap", "knative-serving", "config-domain")
RUN = 1500


def with_model(place: MakePlace, release: str, kubernetes: str) -> Place:
    """The release with an InferenceService that is Ready."""
    made = place(kubernetes)
    first = made.installer.run("install", release, timeout=RUN)
    assert first.code == 0, first.finished
    cluster = made.cluster()
    # without it Knative from 1.8 on makes addresses that pods alone can use
    cluster.patch(DOMAIN, {"data": {"models.example.com": ""}}, manager="kubectl-edit")
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MODEL.namespace}})
    cluster.create(
        {
            "apiVersion": MODEL.api_version,
            "kind": MODEL.kind,
            "metadata": {"name": MODEL.name, "namespace": MODEL.namespace},
            "spec": {
                "predictor": {
                    "model": {
                        "modelFormat": {"name": "tensorflow"},
                        "storageUri": "gs://models/flowers",
                    }
                }
            },
        }
    )
    wait_ready(cluster, [MODEL], deadline=300, cancel=Cancel())
    return made


def uid_of(cluster: Cluster, ref: Ref) -> str:
    obj = cluster.get(ref)
    return "" if obj is None else str(obj["metadata"]["uid"])


def knative_minors(events: list[dict[str, Any]]) -> list[int]:
    """Minor versions of Knative, in the order in which they were applied."""
    return [
        int(event["version"].split(".")[1])
        for event in events
        if event["event"] == "component_finished" and event["component"] == "knative-serving"
    ]


def knative_minor(release: str) -> int:
    refs = load_releases()[release].components
    return next(int(r.version.split(".")[1]) for r in refs if r.name == "knative-serving")


def left_at_old_versions(there: Place) -> list[str]:
    """Custom resources that are stored at a version which their CRD does not have any more, and
    CRDs whose record names a version at which nothing may be."""
    cluster = there.cluster()
    truth = versions_in_etcd(there.sandbox)
    assert ("serving.kserve.io", "InferenceService") in truth
    left = []
    for crd in cluster.list("apiextensions.k8s.io/v1", "CustomResourceDefinition").items:
        spec = crd["spec"]
        names = {version["name"] for version in spec["versions"]}
        recorded = set(dig(crd, "status", "storedVersions"))
        at = truth.get((spec["group"], spec["names"]["kind"]), set())
        if not at <= recorded or not recorded <= names:
            left.append(f"{crd['metadata']['name']}: {at}, recorded {recorded}, has {names}")
    return left


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("release", "target", "kubernetes"), WAYS)
def test_an_inferenceservice_stays_ready_and_answers_through_an_upgrade(
    place: MakePlace,
    release: str,
    target: str,
    kubernetes: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = with_model(place, release, kubernetes)
    cluster = there.cluster()
    uid = uid_of(cluster, MODEL)
    had = len(ledgers.read(cluster).owners())

    began = len(audited_writes(there.audit_log))
    done = there.installer.run("upgrade", target, timeout=RUN)
    assert done.code == 0, done.finished
    ledger = ledgers.read(cluster)
    assert (ledger.release, ledger.state, ledger.before) == (target, "installed", release)

    found = look(cluster, Cancel())
    assert (found.unwell, found.silent) == ((), ())
    assert uid_of(cluster, MODEL) == uid
    seen = done.of("serving")
    assert {(e["total"], e["ready"], e["asked"], e["answering"]) for e in seen} == {(1, 1, 1, 1)}
    before, after = (knative_minor(name) for name in (release, target))
    assert knative_minors(done.events) == (list(range(before + 1, after + 1)) or [after])
    owned = [entry.ref for entry in ledger.owners().values()]
    assert [str(ref) for ref in owned if cluster.get(ref) is None] == []
    assert there.installer.status("--exit-code")[0] == 0
    assert left_at_old_versions(there) == []

    written = len(audited_writes(there.audit_log))
    told = {key: done.finished[key] for key in ("created", "changed", "deleted", "seconds")}
    with capsys.disabled():
        print(
            f"\n{release} to {target} on {kubernetes}: {had} objects before, {len(owned)} after, "
            f"{written - began} writes, {told}"
        )
    again = there.installer.run("install", target, timeout=RUN)
    assert again.finished["writes"] == 0
    assert audited_writes(there.audit_log)[written:] == []
    lifecycle.down(there.sandbox.name)

"""Upgrades of what others have installed, and what is shown of an upgrade before it is run."""

from __future__ import annotations

import json

import pytest
from harness import RELEASE, Stack, audited_writes
from keepers import helm_keeps

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.core.objects import Ref, ref_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

BETWEEN, TARGET = "kfserving-0.6.1", "kserve-0.7.0"
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
CONFIG = Ref("v1", "ConfigMap", "kfserving-system", "inferenceservice-config")
STORAGE = "storageInitializer"


def storage_initializer(cluster: Cluster) -> dict[str, str]:
    found = cluster.get(CONFIG)
    assert found is not None
    read: dict[str, str] = json.loads(found["data"][STORAGE])
    return read


def set_image(cluster: Cluster, ref: Ref, image: str) -> None:
    found = cluster.get(ref)
    assert found is not None
    (container,) = found["spec"]["template"]["spec"]["containers"]
    change = {"containers": [{"name": container["name"], "image": image}]}
    body = {"spec": {"template": {"spec": change}}}
    cluster.patch(ref, body, type="strategic", manager="kubectl-edit")


def plan(stack: Stack, *words: str) -> dict[str, object]:
    process = stack.installer.start("upgrade", "plan", TARGET, *words)
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error + out
    found: dict[str, object] = json.loads(out)
    return found


def test_a_dry_run_shows_each_hop_with_its_objects_and_writes_nothing(stack: Stack) -> None:
    before = len(audited_writes(stack.audit_log))
    shown = stack.installer.run("upgrade", TARGET, "--dry-run")
    assert (shown.code, shown.finished["outcome"]) == (0, "done"), shown.finished
    hops = shown.of("hop_planned")
    assert [(e["from"], e["to"], e["hop"]) for e in hops] == [
        (RELEASE, BETWEEN, 1),
        (BETWEEN, TARGET, 2),
    ]
    first, second = (event["plan"] for event in hops)
    assert first["objects"]["removed"] > 0
    assert min(first["objects"].values()) >= 0
    assert second["objects"]["created"] >= 20, "KServe's are all new"
    assert "move" in [step["step"] for step in second["steps"]]
    assert "move" not in [step["step"] for step in first["steps"]]
    assert audited_writes(stack.audit_log)[before:] == []


def test_what_nobody_has_recorded_is_recognised_taken_over_and_upgraded(stack: Stack) -> None:
    cluster = stack.cluster()
    for item in cluster.list("v1", "ConfigMap", ledgers.NAMESPACE).items:
        cluster.delete(Ref("v1", "ConfigMap", ledgers.NAMESPACE, ref_of(item).name))
    # by an earlier patch release of something, as upstream's own scripts bring
    set_image(cluster, ISTIOD, "docker.io/istio/pilot:1.6.1")
    edited = {**storage_initializer(cluster), "memoryLimit": "2Gi"}
    cluster.patch(CONFIG, {"data": {STORAGE: json.dumps(edited)}}, manager="kubectl-edit")
    refused = stack.installer.run("upgrade", TARGET)
    assert (refused.code, refused.finished["error"]["kind"]) == (3, "not-installed")
    assert "--adopt" in refused.finished["error"]["remedy"]
    found = plan(stack, "--adopt", "all")
    assert found["installed"]["release"] == RELEASE  # type: ignore[index]
    assert found["installed"]["by_others"]  # type: ignore[index]
    assert found["next"] == f"upgrade {TARGET}"
    flux = {"helm.toolkit.fluxcd.io/name": "istio", "helm.toolkit.fluxcd.io/namespace": "infra"}
    cluster.patch(ISTIOD, {"metadata": {"labels": flux}}, manager="helm-controller")
    held = plan(stack, "--adopt", "all")
    assert "Flux HelmRelease infra/istio" in held["installed"]["not_adopted"]["istio"]  # type: ignore[index]
    assert held["next"] == ""
    cluster.patch(ISTIOD, {"metadata": {"labels": dict.fromkeys(flux)}}, manager="helm-controller")
    helm_keeps(cluster, "istiod", "istio-system", [ISTIOD])
    kept = plan(stack, "--adopt", "all")
    assert kept["installed"]["let_go"] == ["Helm release istio-system/istiod"]  # type: ignore[index]
    assert [hop["to"] for hop in found["hops"]] == [BETWEEN, TARGET]  # type: ignore[attr-defined]
    done = stack.installer.run("upgrade", TARGET, "--adopt", "all", "--to-hop", "1", timeout=700)
    assert done.code == 0, done.finished
    assert [(e["keeper"], e["name"]) for e in done.of("handed_over")] == [("helm", "istiod")]
    assert cluster.list("v1", "Secret", "istio-system", label_selector="owner=helm").items == []
    ledger = ledgers.read(cluster)
    assert (ledger.release, ledger.before, ledger.upgrade) == (BETWEEN, RELEASE, None)
    assert [run.command for run in ledger.runs] == ["install", "upgrade"]
    assert stack.installer.status("--exit-code")[0] == 0
    said = [(e["object"]["name"], e["key"], e["how"], e["manager"]) for e in done.of("edit")]
    assert said[0] == (CONFIG.name, STORAGE, "kept", "kubectl-edit")
    storage = storage_initializer(cluster)
    assert (storage["memoryLimit"], storage["image"][-7:]) == ("2Gi", ":v0.6.1")

"""`rehearse`: an upgrade in a sandbox filled from a cluster that is only read."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from harness import RELEASE, MakePlace, audited_writes

from installer.cluster import ledger as ledgers
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Ref
from installer.sandbox import lifecycle

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # a whole upgrade, on a busy machine

TARGET = "kfserving-0.6.1"
API = "serving.kubeflow.org/v1beta1"
MODEL = Ref(API, "InferenceService", "models", "flowers")
CONFIG = Ref("v1", "ConfigMap", "kfserving-system", "inferenceservice-config")
NAME = "test-rehearsal"
REFUSES_SERVICES = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "left-over"},
    "webhooks": [
        {
            "name": "left-over.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": {"service": {"namespace": "gone", "name": "gone"}},
            "rules": [
                {
                    "operations": ["CREATE", "UPDATE"],
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["services"],
                }
            ],
        }
    ],
}
"""Of somebody who is gone: it refuses every Service."""
COPIED = ("namespaces", "objects", "edits", "config_maps", "secrets")


def test_a_rehearsal_runs_the_upgrade_elsewhere_and_writes_nothing_here(
    place: MakePlace, control_plane_folder: Path | None, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: lifecycle.down(NAME))
    live = place()
    assert live.installer.run("install", RELEASE).code == 0
    cluster = live.cluster()
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models"}})
    secret = base64.b64encode(b"not to be read").decode()
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "bucket", "namespace": "models"},
            "data": {"key": secret},
        }
    )
    labels = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"labels.txt": "rose"}}
    cluster.create({**labels, "metadata": {"name": "labels", "namespace": "models"}})
    volume = {"name": "labels", "configMap": {"name": "labels"}}
    predictor = {"tensorflow": {"storageUri": "gs://models/flowers"}, "volumes": [volume]}
    cluster.create(
        {
            "apiVersion": API,
            "kind": "InferenceService",
            "metadata": {"name": MODEL.name, "namespace": MODEL.namespace},
            "spec": {"predictor": predictor},
        }
    )
    wait_ready(cluster, [MODEL], deadline=120, cancel=Cancel())
    cluster.patch(CONFIG, {"data": {"ingress": "{}"}}, manager="kubectl-edit")
    before = len(audited_writes(live.audit_log))

    # what the live run would be refused for, the rehearsal is refused for
    flags = ["--name", NAME]
    if control_plane_folder is not None:
        flags += ["--control-plane", str(control_plane_folder)]
    refused = live.installer.run("rehearse", TARGET, *flags, timeout=600)
    assert (refused.code, refused.finished["error"]["kind"]) == (3, "edit-conflict")
    assert "kubectl-edit" in refused.finished["error"]["message"]

    words = ["rehearse", TARGET, "--discard-edits", "--keep", *flags]
    done = live.installer.run(*words, timeout=600)
    assert (done.code, done.finished["writes"]) == (0, 0), done.finished
    (filled,) = done.of("rehearsing")
    assert {key: filled[key] for key in COPIED} == {
        "namespaces": 1,
        "objects": 1,
        "edits": 1,
        "config_maps": 1,
        "secrets": 1,
    }
    assert [event["answering"] for event in done.of("serving")][-1] == 1

    (sandbox,) = lifecycle.status(NAME)
    there = cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    assert ledgers.read(there).release == TARGET
    copied = there.get(Ref("v1", "Secret", "models", "bucket"))
    assert copied is not None
    assert secret not in json.dumps(copied)
    assert audited_writes(live.audit_log)[before:] == []
    assert ledgers.read(cluster).release == RELEASE

    # what no sandbox has is found on the cluster itself, by the same words as in the upgrade
    cluster.create(REFUSES_SERVICES)
    rehearsed = live.installer.run("rehearse", TARGET, "--discard-edits", *flags, timeout=600)
    upgraded = live.installer.run("upgrade", TARGET, "--discard-edits", timeout=600)
    for result in (rehearsed, upgraded):
        assert (result.code, result.finished["error"]["kind"]) == (3, "existing-webhooks")
    assert rehearsed.finished["error"] == upgraded.finished["error"]
    said = [
        [(e["check"], e["verdict"], e["details"]) for e in result.of("check")]
        for result in (rehearsed, upgraded)
    ]
    assert said[0] == said[1]
    assert rehearsed.of("rehearsing") == []

    # an upgrade that is refused before it begins has not begun
    ledger = ledgers.read(cluster)
    assert (ledger.release, ledger.state, ledger.upgrade) == (RELEASE, "installed", None)
    assert [run.outcome for run in ledger.runs] == ["done", "failed"]

"""`backup` and `restore` between real API servers with the whole stack."""

from __future__ import annotations

import resource
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import RELEASE, MakePlace, Place, audited_writes

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Ref
from installer.operations.backup_file import records
from installer.plan.backup_form import LEDGER, MADE, OURS, USER

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # a whole upgrade, on a busy machine

API = "serving.kubeflow.org/v1beta1"
MODEL_API = "serving.kubeflow.org/v1alpha1"
MODELS = [Ref(API, "InferenceService", place, "flowers") for place in ("one", "two")]
TRAINED = Ref(MODEL_API, "TrainedModel", "one", "extra")
SECRET = Ref("v1", "Secret", "one", "aws")
ACCOUNT = Ref("v1", "ServiceAccount", "one", "reader")
AUTOSCALER = Ref("v1", "ConfigMap", "knative-serving", "config-autoscaler")


LABELS = Ref("v1", "ConfigMap", "one", "labels")
VOLUMES = [
    {"name": "labels", "configMap": {"name": "labels"}},
    {"name": "more", "projected": {"sources": [{"secret": {"name": "mounted"}}]}},
]


@dataclass(slots=True)
class BackedUp(Place):
    """A place with models in two namespaces, and a backup of it."""

    file: Path


def install(place: MakePlace) -> Place:
    made = place()
    first = made.installer.run("install", RELEASE)
    assert first.code == 0, first.stderr
    return made


def made(kind: str, api: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def populate(cluster: Cluster) -> None:
    for ref in MODELS:
        labels = {"serving.kubeflow.org/inferenceservice": "enabled"}
        cluster.create(made("Namespace", "v1", ref.namespace, metadata={"labels": labels}))
        predictor: dict[str, Any] = {"tensorflow": {"storageUri": "gs://models/flowers"}}
        spec = {"predictor": predictor}
        if ref.namespace == "one":
            predictor |= {"serviceAccountName": "reader", "volumes": VOLUMES}
        cluster.create(made(ref.kind, ref.api_version, ref.name, ref.namespace, spec=spec))
    cluster.create(made("Secret", "v1", "aws", "one", stringData={"key": "hunter2"}))
    cluster.create(made("Secret", "v1", "mounted", "one", stringData={"key": "hunter3"}))
    cluster.create(made("ConfigMap", "v1", "labels", "one", data={"labels.txt": "rose"}))
    cluster.create(made("ConfigMap", "v1", "unrelated", "one", data={"key": "private"}))
    cluster.create(made("Secret", "v1", "unrelated", "one", stringData={"key": "private"}))
    cluster.create(made("ServiceAccount", "v1", "reader", "one", secrets=[{"name": "aws"}]))
    wait_ready(cluster, MODELS, deadline=120, cancel=Cancel())
    owner = cluster.get(MODELS[0])
    assert owner is not None
    reference = {
        "apiVersion": API,
        "kind": "InferenceService",
        "name": "flowers",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    spec = {
        "inferenceService": "flowers",
        "model": {"framework": "sklearn", "storageUri": "gs://models/extra", "memory": "1Gi"},
    }
    metadata = {"ownerReferences": [reference]}
    cluster.create(made("TrainedModel", MODEL_API, "extra", "one", spec=spec, metadata=metadata))
    cluster.patch(AUTOSCALER, {"data": {"stable-window": "90s"}}, manager="kubectl-edit")


@pytest.fixture(scope="module")
def backed_up(place: MakePlace, tmp_path_factory: pytest.TempPathFactory) -> BackedUp:
    there = install(place)
    populate(there.cluster())
    file = tmp_path_factory.mktemp("backup") / "a.backup.gz"
    done = there.installer.run("backup", str(file))
    assert done.code == 0, done.finished
    (event,) = done.of("backup")
    assert (event["file"], event["kinds"]["TrainedModel.serving.kubeflow.org"]) == (str(file), 1)
    return BackedUp(there.sandbox, there.installer, file)


def test_a_backup_holds_what_is_of_users_and_the_ledger_and_no_other_secret(
    backed_up: BackedUp,
) -> None:
    by_role: dict[str, set[str]] = {}
    for record in records(str(backed_up.file)):
        by_role.setdefault(record.role, set()).add(str(record.ref))
    assert by_role[USER] == {
        "Namespace one",
        "Namespace two",
        "Secret one/aws",
        "Secret one/mounted",
        "ConfigMap one/labels",
        "ServiceAccount one/reader",
        "InferenceService one/flowers",
        "InferenceService two/flowers",
        "TrainedModel one/extra",
    }
    assert "ConfigMap knative-serving/config-autoscaler" in by_role[OURS]
    assert any(name.startswith("Revision one/flowers") for name in by_role[MADE])
    assert "ConfigMap kserve-installer/ledger" in by_role[LEDGER]
    assert stat.S_IMODE(backed_up.file.stat().st_mode) == 0o600


def test_where_everything_is_there_a_restore_writes_nothing(backed_up: BackedUp) -> None:
    before = len(audited_writes(backed_up.audit_log))
    again = backed_up.installer.run("restore", str(backed_up.file))
    assert (again.code, again.finished["outcome"]) == (0, "unchanged"), again.finished
    assert audited_writes(backed_up.audit_log)[before:] == []


def test_what_was_deleted_comes_back_and_nothing_else_is_touched(backed_up: BackedUp) -> None:
    cluster = backed_up.cluster()
    kept = cluster.get(MODELS[1])
    doomed = [TRAINED, MODELS[0], SECRET, LABELS]
    for ref in doomed:
        cluster.delete(ref)
    wait_gone(cluster, doomed, deadline=60, cancel=Cancel())
    shown = backed_up.installer.run("restore", str(backed_up.file), "--dry-run")
    assert (shown.code, shown.finished["created"]) == (0, 4)
    told = [(e["action"], Ref.from_dict(e["object"])) for e in shown.of("object")]
    assert sorted(told) == sorted(("create", ref) for ref in doomed)
    assert cluster.get(SECRET) is None
    done = backed_up.installer.run("restore", str(backed_up.file))
    assert (done.code, done.finished["created"]) == (0, 4), done.finished
    wait_ready(cluster, MODELS, deadline=120, cancel=Cancel())
    assert cluster.get(MODELS[1]) == kept
    owner, trained = cluster.get(MODELS[0]), cluster.get(TRAINED)
    assert owner is not None
    assert trained is not None
    (reference,) = trained["metadata"]["ownerReferences"]
    assert reference["uid"] == owner["metadata"]["uid"]


def test_what_is_there_and_differs_is_named_and_touched_only_when_told(
    backed_up: BackedUp,
) -> None:
    cluster = backed_up.cluster()
    cluster.patch(MODELS[1], {"spec": {"predictor": {"minReplicas": 3}}})
    cluster.patch(AUTOSCALER, {"data": {"stable-window": "45s"}}, manager="kubectl-edit")
    cluster.patch(LABELS, {"data": {"labels.txt": "tulip", "later": "yes"}})
    refused = backed_up.installer.run("restore", str(backed_up.file))
    assert (refused.code, refused.finished["error"]["kind"]) == (3, "existing")
    assert "data.stable-window" in refused.finished["error"]["message"]
    assert "spec.predictor.minReplicas" in refused.finished["error"]["message"]
    assert "data.labels.txt, data.later" in refused.finished["error"]["message"]
    kept = backed_up.installer.run("restore", str(backed_up.file), "--existing", "keep")
    assert (kept.code, kept.finished["outcome"]) == (0, "unchanged")
    done = backed_up.installer.run("restore", str(backed_up.file), "--existing", "overwrite")
    assert (done.code, done.finished["changed"]) == (0, 3), done.finished
    assert cluster.get(LABELS)["data"] == {"labels.txt": "rose"}  # type: ignore[index]
    found = cluster.get(AUTOSCALER)
    assert found is not None
    assert found["data"]["stable-window"] == "90s"


def test_into_another_cluster_with_the_release_everything_comes(
    backed_up: BackedUp, place: MakePlace
) -> None:
    empty = place()
    refused = empty.installer.run("restore", str(backed_up.file))
    assert (refused.code, refused.finished["error"]["kind"]) == (3, "unserved")
    assert RELEASE in refused.finished["error"]["remedy"]
    first = empty.installer.run("install", RELEASE)
    assert first.code == 0, first.stderr
    done = empty.installer.run("restore", str(backed_up.file), "--existing", "overwrite")
    assert done.code == 0, done.finished
    cluster = empty.cluster()
    wait_ready(cluster, MODELS, deadline=120, cancel=Cancel())
    space, secret, owner = (
        cluster.get(ref) for ref in (Ref("v1", "Namespace", "", "one"), SECRET, MODELS[0])
    )
    assert space is not None
    assert secret is not None
    assert owner is not None
    assert space["metadata"]["labels"]["serving.kubeflow.org/inferenceservice"] == "enabled"
    assert cluster.get(ACCOUNT) is not None
    assert owner["spec"]["predictor"]["serviceAccountName"] == "reader"
    trained = cluster.get(TRAINED)
    assert trained is not None
    assert trained["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert cluster.get(AUTOSCALER)["data"]["stable-window"] == "90s"  # type: ignore[index]
    assert ledgers.read(cluster).release == RELEASE
    again = empty.installer.run("restore", str(backed_up.file))
    assert (again.code, again.finished["outcome"]) == (0, "unchanged"), again.finished


def test_an_upgrade_does_not_begin_when_its_backup_finds_no_room(
    backed_up: BackedUp, tmp_path: Path
) -> None:
    installer = backed_up.installer
    words = ["upgrade", "kfserving-0.6.1", "--backup-dir", str(tmp_path), "--yes", "-o", "json"]
    words += ["--discard-edits", "--mirror", str(installer.mirror)]
    words += ["--kubeconfig", str(installer.kubeconfig)]
    limit = 4096
    done = subprocess.run(
        [sys.executable, "-B", "-m", "installer.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=240,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1, done.stderr
    assert "cannot write the backup: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []
    ledger = ledgers.read(backed_up.cluster())
    assert {r.version for r in ledger.components.values() if r.name == "kfserving"} == {"0.5.1"}
    assert (ledger.release, ledger.state, ledger.upgrade) == (RELEASE, "installed", None)

"""ConfigMaps on the way from KServe 0.9.0 to 0.11.2, across Knative 1.8, on a real API server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import MakePlace, Place, Result, at_stage, audited_writes, finish, follow

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Ref, dig
from installer.operations.upgrade_serving import look

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]  # six stops, on a busy machine

RELEASE, TARGET, KUBERNETES = "kserve-0.9.0", "kserve-0.11.2", "1.25.3"
MODEL = Ref("serving.kserve.io/v1beta1", "InferenceService", "models", "flowers")
CONFIG = Ref("v1", "ConfigMap", "kserve", "inferenceservice-config")
DOMAIN = Ref("v1", "ConfigMap", "knative-serving", "config-domain")
AUTOSCALER = Ref("v1", "ConfigMap", "knative-serving", "config-autoscaler")
STORAGE = "inferenceservice-config/storageInitializer/image"
AGENT = "inferenceservice-config/agent/image"
ROUTER = "inferenceservice-config/router/image"
NO_CONFLICT = "config-autoscaler/no-such-key"
OURS = "registry.example.com/ours:1"
NETWORK = Ref("v1", "ConfigMap", "knative-serving", "config-network")
KEY_OF_USERS = "max-scale-limit"
KEY_THAT_GOES = "activator-san"
DOMAIN_OF_SOME = "some.example.org"
"""A domain in config-domain for Routes with a label: it is not the one of all others."""
SETTINGS = "apiVersion: kserve-installer/v1\nkind: Settings\n"
RUN = 1500


@dataclass(slots=True)
class Crossed(Place):
    """A place that was upgraded. url: of the model before; refused: of a run without decisions;
    stopped: of one in which somebody edited a ConfigMap; upgrade: of the one that ended it."""

    url: str
    refused: Result
    stopped: Result
    upgrade: Result


def entry(cluster: Cluster, key: str) -> dict[str, Any]:
    """A JSON value of inferenceservice-config."""
    found = json.loads(dig(cluster.get(CONFIG), "data", key))
    assert isinstance(found, dict)
    return found


def edit(cluster: Cluster, key: str, **fields: Any) -> None:
    """Change fields of it as kubectl edit does."""
    text = json.dumps({**entry(cluster, key), **fields})
    cluster.patch(CONFIG, {"data": {key: text}}, manager="kubectl-edit")


def domains(cluster: Cluster) -> set[str]:
    """Those in config-domain beside what was there for some."""
    data = dig(cluster.get(DOMAIN), "data")
    return {key for key in data if not key.startswith("_")} - {DOMAIN_OF_SOME}


def url_of(cluster: Cluster) -> str:
    return str(dig(cluster.get(MODEL), "status", "url"))


@pytest.fixture(scope="module")
def crossed(place: MakePlace, tmp_path_factory: pytest.TempPathFactory) -> Crossed:
    made = place(KUBERNETES)
    first = made.installer.run("install", RELEASE, timeout=RUN)
    assert first.code == 0, first.finished
    cluster = made.cluster()
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MODEL.namespace}})
    model = {"modelFormat": {"name": "tensorflow"}, "storageUri": "gs://models/flowers"}
    cluster.create(
        {
            "apiVersion": MODEL.api_version,
            "kind": MODEL.kind,
            "metadata": {"name": MODEL.name, "namespace": MODEL.namespace},
            "spec": {"predictor": {"model": model}},
        }
    )
    wait_ready(cluster, [MODEL], deadline=300, cancel=Cancel())
    for key in ("storageInitializer", "agent", "router"):
        edit(cluster, key, image=OURS, cpuLimit="2")
    edit(cluster, "predictors", ours={"v1": {"image": OURS}})
    cluster.patch(AUTOSCALER, {"data": {KEY_OF_USERS: "7"}}, manager="kubectl-edit")
    cluster.patch(NETWORK, {"data": {KEY_THAT_GOES: "own"}}, manager="kubectl-edit")
    some = {DOMAIN_OF_SOME: "selector:\n  some: label\n"}
    cluster.patch(DOMAIN, {"data": some}, manager="kubectl-edit")
    url = url_of(cluster)
    refused = made.installer.run(
        "upgrade", TARGET, "--resolve", f"{NO_CONFLICT}=theirs", timeout=RUN
    )

    file = tmp_path_factory.mktemp("decided") / "decided.yaml"
    file.write_text(f"{AGENT}: theirs\n{ROUTER}: ours\n", encoding="utf-8")
    words = ["--resolve", f"{STORAGE}=registry.example.com/ours:2", "--resolve-file", str(file)]
    words += ["--resolve", f"{NO_CONFLICT}=theirs"]
    process = made.installer.start("upgrade", TARGET, *words)
    seen = follow(process, at_stage("knative-serving", "workloads"))
    edit(cluster, "batcher", memoryLimit="3Gi")  # somebody does not wait for the end
    stopped = finish(process, RUN)
    stopped.events[:0] = seen
    done = made.installer.run("upgrade", TARGET, *words, timeout=RUN)
    assert done.code == 0, done.finished
    return Crossed(made.sandbox, made.installer, url, refused, stopped, done)


def test_without_decisions_every_conflict_is_shown_with_its_three_values(crossed: Crossed) -> None:
    error = crossed.refused.finished["error"]
    assert (crossed.refused.code, error["kind"]) == (3, "edit-conflict")
    assert crossed.refused.finished["writes"] <= 10, "the lock, and where the hop stands"
    for path in (STORAGE, AGENT, ROUTER):
        assert f"{path}, by kubectl-edit" in error["message"]
    assert f'ours:   "{OURS}"' in error["message"]
    assert 'before: "kserve/agent:v0.9.0"' in error["message"]
    assert 'theirs: "kserve/agent:v0.11.2"' in error["message"]
    assert "cpuLimit" not in error["message"], "only users have changed it"
    assert f"what is resolved for {NO_CONFLICT} decides nothing here" in error["message"]


def test_a_decision_about_what_is_no_conflict_is_told_with_the_conflicts_that_there_are(
    crossed: Crossed,
) -> None:
    told = [e["message"] for e in crossed.stopped.of("warning") if e["object"] == NO_CONFLICT]
    assert told == [
        f"what is resolved for {NO_CONFLICT} decides nothing on the way to {TARGET}: "
        f"users and the release have both changed only {AGENT}, {ROUTER}, {STORAGE}"
    ]


def test_a_decision_on_the_command_line_and_those_of_a_file_are_what_is_there(
    crossed: Crossed,
) -> None:
    cluster = crossed.cluster()
    assert entry(cluster, "storageInitializer")["image"] == "registry.example.com/ours:2"
    assert entry(cluster, "agent")["image"] == "kserve/agent:v0.11.2"
    assert entry(cluster, "router")["image"] == OURS
    assert {entry(cluster, k)["cpuLimit"] for k in ("storageInitializer", "agent", "router")} == {
        "2"
    }


def test_what_somebody_edits_while_the_upgrade_runs_is_not_overwritten_and_kept_by_the_next_run(
    crossed: Crossed,
) -> None:
    error = crossed.stopped.finished["error"]
    assert (crossed.stopped.code, error["kind"], error["object"]) == (1, "edited", str(CONFIG))
    batcher = entry(crossed.cluster(), "batcher")
    assert batcher["memoryLimit"] == "3Gi"
    assert batcher["image"] == "kserve/agent:v0.11.2"


def test_keys_that_the_release_no_longer_knows_are_kept_and_named(crossed: Crossed) -> None:
    cluster = crossed.cluster()
    assert entry(cluster, "predictors")["ours"] == {"v1": {"image": OURS}}
    unknown = [
        (event["object"]["name"], event["key"], event["manager"])
        for event in crossed.upgrade.of("edit")
        if event["how"] == "unknown"
    ]
    assert unknown == [("inferenceservice-config", "predictors", "kubectl-edit")]
    assert "transformers" not in cluster.get(CONFIG)["data"], "nobody had edited it"  # type: ignore[index]
    assert dig(cluster.get(AUTOSCALER), "data", KEY_OF_USERS) == "7"
    forgotten = [
        (event["object"]["name"], event["key"], event["manager"])
        for event in (*crossed.stopped.of("edit"), *crossed.upgrade.of("edit"))
        if event["how"] == "forgotten"
    ]
    assert forgotten == [(NETWORK.name, KEY_THAT_GOES, "kubectl-edit")], "Knative up to 1.5 had it"
    assert dig(cluster.get(NETWORK), "data", KEY_THAT_GOES) == "own"


def test_the_domain_that_counted_before_knative_1_8_is_pinned_and_urls_stay(
    crossed: Crossed,
) -> None:
    cluster = crossed.cluster()
    pinned = [e for e in crossed.upgrade.of("edit") if e["how"] == "pinned"]
    assert [(e["object"]["name"], e["key"]) for e in pinned] == [("config-domain", "example.com")]
    assert domains(cluster) == {"example.com"}
    assert crossed.url == "http://flowers.models.example.com"
    assert url_of(cluster) == crossed.url
    found = look(cluster, Cancel())
    assert (found.unwell, found.silent) == ((), ())
    assert {(e["asked"], e["answering"]) for e in crossed.upgrade.of("serving")} == {(1, 1)}


def test_without_the_pin_the_model_would_have_no_way_in_from_outside(crossed: Crossed) -> None:
    cluster = crossed.cluster()
    cluster.patch(DOMAIN, {"data": {"example.com": None}}, manager="kubectl-edit")
    cancel = Cancel(60)
    while url_of(cluster) == crossed.url:
        cancel.sleep(0.2, "for the model's address to change")
    assert url_of(cluster) == "http://flowers.models.svc.cluster.local"
    assert look(cluster, Cancel()).silent == ("models/flowers",)
    again = crossed.installer.run("install", TARGET, timeout=RUN)
    assert again.code == 0, again.finished
    while url_of(cluster) != crossed.url:
        cancel.sleep(0.2, "for the model's address to come back")


def test_a_domain_in_the_settings_takes_the_place_of_the_pinned_one(
    crossed: Crossed, tmp_path: Path
) -> None:
    cluster = crossed.cluster()
    file = tmp_path / "settings.yaml"
    file.write_text(f"{SETTINGS}domain: models.example.org\n", encoding="utf-8")
    done = crossed.installer.run("install", TARGET, "-f", str(file), timeout=RUN)
    assert done.code == 0, done.finished
    assert domains(cluster) == {"models.example.org"}
    file.write_text(SETTINGS, encoding="utf-8")
    back = crossed.installer.run("install", TARGET, "-f", str(file), timeout=RUN)
    assert back.code == 0, back.finished
    assert domains(cluster) == {"example.com"}


def test_a_hop_for_which_kubernetes_is_too_old_says_what_to_upgrade_it_to(
    crossed: Crossed,
) -> None:
    before = len(audited_writes(crossed.audit_log))
    refused = crossed.installer.run("upgrade", "kserve-0.13.1")
    error = refused.finished["error"]
    assert (refused.code, error["kind"]) == (3, "kubernetes-upgrade")
    wanted = "upgrade Kubernetes to >= 1.27, < 1.28, then run the same command again"
    assert error["remedy"] == wanted
    assert audited_writes(crossed.audit_log)[before:] == []


def test_what_was_kept_stays_kept_when_the_release_is_installed_again(crossed: Crossed) -> None:
    before = len(audited_writes(crossed.audit_log))
    again = crossed.installer.run("install", TARGET, timeout=RUN)
    assert (again.code, again.finished["outcome"]) == (0, "unchanged")
    assert audited_writes(crossed.audit_log)[before:] == []
    assert set(ledgers.read(crossed.cluster()).edits) == {"config-domain", CONFIG.name}

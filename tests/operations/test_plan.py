"""`plan` and `install --plan` on a real API server with upstream's own manifests."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import RELEASE, MakePlace, Place, Result, audited_writes, finish

from installer.cluster import ledger as ledgers
from installer.core.objects import Object, Ref
from installer.operations.saved_plan import load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

GATEWAY = Ref("v1", "Service", "istio-system", "istio-ingressgateway")
CONFIG = Ref("v1", "ConfigMap", "knative-serving", "config-gc")
LOGGING = Ref("v1", "ConfigMap", "knative-serving", "config-logging")
SECRET = Ref("v1", "Secret", "kfserving-system", "kfserving-webhook-server-secret")
BINDING = Ref(
    "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", "kfserving-proxy-rolebinding"
)
LEDGERS = [
    Ref("v1", "ConfigMap", ledgers.NAMESPACE, name)
    for name in (
        ledgers.STACK,
        *(
            f"{ledgers.PREFIX}{name}"
            for name in ("istio", "knative-serving", "net-istio", "cert-manager", "kfserving")
        ),
    )
]


def plan(there: Place, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of `plan RELEASE`."""
    mirror = str(there.installer.mirror)
    process = there.installer.start("plan", RELEASE, "--mirror", mirror, *words)
    out, err = process.communicate(timeout=120)
    assert out, err
    return process.returncode, json.loads(out)


def install(there: Place, file: Path) -> Result:
    """`install --plan FILE`."""
    return finish(there.installer.start("install", "--plan", str(file)))


def row(document: dict[str, Any], ref: Ref) -> dict[str, Any]:
    """The row of one object."""
    found = [row for row in document["objects"] if row["object"] == ref.to_dict()]
    assert len(found) == 1
    return found[0]


def differing(document: dict[str, Any]) -> dict[str, str]:
    """Objects that are not unchanged, with their action."""
    return {
        row["object"]["name"]: row["action"]
        for row in document["objects"]
        if row["action"] != "unchanged"
    }


def dry_runs(there: Place) -> int:
    """How many requests in the audit log only asked what a write would do."""
    return there.audit_log.read_text().count("dryRun=All")


@pytest.fixture(scope="module")
def empty(place: MakePlace) -> Place:
    return place()


@pytest.fixture(scope="module")
def first(empty: Place, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The plan for the empty cluster: its file, and what was shown."""
    file = tmp_path_factory.mktemp("plans") / "first.json"
    code, document = plan(empty, "--exit-code", "--save", str(file))
    assert code == 5
    assert dry_runs(empty), "objects that can be previewed are"
    assert audited_writes(empty.audit_log) == []
    return file, document


@pytest.fixture(scope="module")
def installed(empty: Place, first: tuple[Path, dict[str, Any]]) -> Place:
    """The same cluster after `install --plan` of the first plan."""
    ended = install(empty, first[0])
    assert ended.code == 0, ended.stderr
    assert ended.finished["created"] == first[1]["totals"]["actions"]["create"]
    return empty


@pytest.fixture
def there(installed: Place) -> Iterator[Place]:
    """The installed cluster, brought back by an install afterwards."""
    yield installed
    ended = installed.installer.run("install", RELEASE)
    assert ended.code == 0, ended.stderr


def test_on_an_empty_cluster_everything_is_created(first: tuple[Path, dict[str, Any]]) -> None:
    _, document = first

    assert {row["action"] for row in document["objects"]} == {"create"}
    assert document["differs"]
    assert {c["name"]: (c["owner"], c["why"]) for c in document["components"]} == dict.fromkeys(
        ("istio", "knative-serving", "net-istio", "cert-manager", "kfserving"),
        ("none", "not installed"),
    )


def test_what_cannot_be_previewed_yet_is_marked(first: tuple[Path, dict[str, Any]]) -> None:
    blind = row(first[1], CONFIG)
    seen = row(first[1], BINDING)

    assert blind["reason"] == "fields cannot be previewed: its namespace does not exist yet"
    assert (blind["previewed"], seen["previewed"]) == (False, True)


def test_each_object_says_what_is_waited_for(first: tuple[Path, dict[str, Any]]) -> None:
    waits = {row["object"]["kind"]: row["waits_for"] for row in first[1]["objects"]}

    assert waits["Namespace"] == "active"
    assert waits["CustomResourceDefinition"] == "established"
    assert (waits["Deployment"], waits["Certificate"]) == ("ready", "ready")
    assert waits["ValidatingWebhookConfiguration"] == "answering"
    assert (waits["ConfigMap"], waits["ClusterRole"]) == ("", "")


def test_a_saved_plan_is_for_its_owner_only(first: tuple[Path, dict[str, Any]]) -> None:
    assert first[0].stat().st_mode & 0o777 == 0o600


def test_a_plan_writes_nothing_and_an_installed_release_has_no_differences(
    installed: Place,
) -> None:
    before, asked = audited_writes(installed.audit_log), dry_runs(installed)

    code, document = plan(installed, "--exit-code", "--diff")

    assert (code, document["differs"], differing(document)) == (0, False, {})
    assert {c["why"] for c in document["components"]} == {"same version, nothing differs"}
    assert document["footprint"]["pods"] > 0
    assert audited_writes(installed.audit_log) == before
    assert dry_runs(installed) == asked, "nothing has to be asked either"


def test_a_plan_that_was_carried_out_says_so(
    installed: Place, first: tuple[Path, dict[str, Any]]
) -> None:
    run = ledgers.read(installed.cluster()).last_run
    assert run is not None

    refused = install(installed, first[0])

    assert (refused.code, refused.finished["error"]["kind"]) == (3, "plan-outdated")
    message = refused.finished["error"]["message"]
    assert f"this plan was carried out already: run {run.id}, by {run.by}" in message
    assert refused.finished["writes"] == 0


def test_a_plan_that_was_carried_out_does_not_fit_what_became_of_it(
    there: Place, first: tuple[Path, dict[str, Any]]
) -> None:
    there.cluster().delete(LOGGING)

    refused = install(there, first[0])

    assert (refused.code, refused.finished["error"]["kind"]) == (3, "plan-outdated")
    assert (
        f"the ledger of what is installed changed: install of {RELEASE} by"
        in (refused.finished["error"]["message"])
    )
    assert refused.finished["writes"] == 0


def test_edits_of_others_are_shown_with_old_new_and_who(there: Place) -> None:
    cluster = there.cluster()
    before = len(audited_writes(there.audit_log))
    cluster.patch(GATEWAY, {"spec": {"type": "ClusterIP"}}, manager="kubectl-edit")
    cluster.delete(CONFIG)
    edits = len(audited_writes(there.audit_log)) - before

    code, document = plan(there, "--exit-code")

    assert code == 5
    assert differing(document) == {GATEWAY.name: "change", CONFIG.name: "create"}
    edited = row(document, GATEWAY)
    assert {"path": "spec.type", "old": "ClusterIP", "new": "LoadBalancer",
            "manager": "kubectl-edit"} in edited["changes"]  # fmt: skip
    assert "changed by kubectl-edit" in edited["reason"]
    assert "taken back from kubectl-edit" in edited["reason"]
    assert not edited["stops"]
    assert row(document, CONFIG)["reason"] == "was deleted since it was installed"
    assert len(audited_writes(there.audit_log)) == before + edits
    assert {c["name"]: c["why"] for c in document["components"]}["istio"] == (
        "same version, 1 object differs"
    )
    ended = there.installer.run("install", RELEASE)
    assert ended.code == 0, ended.stderr
    assert (cluster.get(GATEWAY) or {})["spec"]["type"] == "LoadBalancer"


def test_a_secret_is_shown_by_its_length_only(there: Place) -> None:
    cluster = there.cluster()
    live = cluster.get(SECRET)
    assert live is not None
    cluster.delete(SECRET)
    cluster.create({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET.name,
        "namespace": SECRET.namespace, "labels": {"mine": "yes"}},
        "stringData": {"token": "hunter2"}, "type": "Opaque",
    })  # fmt: skip

    _, document = plan(there, "--diff")

    assert "hunter2" not in json.dumps(document)
    assert "aHVudGVyMg==" not in json.dumps(document)


def test_what_an_earlier_kubectl_left_is_shown_as_it_will_go(there: Place) -> None:
    cluster = there.cluster()
    live = cluster.get(LOGGING)
    assert live is not None
    cluster.delete(LOGGING)
    note = "kubectl.kubernetes.io/last-applied-configuration"
    body = {key: live[key] for key in ("apiVersion", "kind")}
    body["data"] = {**live["data"], "extra": "1"}
    body["metadata"] = {"name": LOGGING.name, "annotations": {note: "{}"}}
    cluster.request(
        "POST",
        f"/api/v1/namespaces/{LOGGING.namespace}/configmaps",
        query={"fieldManager": "kubectl-client-side-apply"},
        body=body,
    )

    _, document = plan(there)
    ended = there.installer.run("install", RELEASE)

    changes = {change["path"]: change for change in row(document, LOGGING)["changes"]}
    assert changes["data.extra"]["old"] == "1"
    assert "new" not in changes["data.extra"]
    assert changes["data.extra"]["manager"] == "kubectl-client-side-apply"
    assert not row(document, LOGGING)["stops"]
    assert ended.code == 0, ended.stderr
    after = cluster.get(LOGGING)
    assert after is not None
    assert after["data"] == live["data"]


def test_a_field_that_cannot_change_means_recreate(there: Place) -> None:
    cluster = there.cluster()
    live = cluster.get(BINDING)
    assert live is not None
    cluster.delete(BINDING)
    other = {key: live[key] for key in ("apiVersion", "kind", "subjects")}
    other["metadata"] = {"name": BINDING.name}
    other["roleRef"] = {**live["roleRef"], "name": "view"}
    cluster.create(other)
    try:
        _, document = plan(there)
    finally:
        cluster.delete(BINDING)

    found = row(document, BINDING)
    assert found["action"] == "recreate"
    assert "roleRef cannot be changed in place" in found["reason"]
    assert [c["path"] for c in found["changes"]] == ["roleRef.name"]


def test_with_the_ledger_lost_only_ownership_is_recorded(there: Place) -> None:
    cluster = there.cluster()
    kept: list[Object] = []
    for ref in LEDGERS:
        found = cluster.get(ref)
        assert found is not None
        kept.append(found)
        cluster.delete(ref)
    try:
        _, document = plan(there)
    finally:
        for found in kept:
            body = copy.deepcopy(found)
            for name in ("resourceVersion", "uid", "managedFields", "creationTimestamp"):
                body["metadata"].pop(name, None)
            cluster.apply(body, force=True)

    actions = document["totals"]["actions"]
    assert (actions["create"], actions["change"], actions["recreate"]) == (0, 0, 0)
    assert actions["adopt"] + actions["unchanged"] == len(document["objects"])
    assert row(document, GATEWAY)["reason"] == (
        "exists, and is not in our ledger; only ownership is recorded"
    )
    assert {c["owner"] for c in document["components"]} == {"foreign"}


def test_a_saved_plan_is_refused_with_what_moved_since(there: Place, tmp_path: Path) -> None:
    cluster, file = there.cluster(), tmp_path / "plan.json"
    cluster.delete(CONFIG)
    cluster.patch(GATEWAY, {"spec": {"type": "ClusterIP"}}, manager="kubectl-edit")
    code, _ = plan(there, "--save", str(file), "--take-ownership")
    assert code == 0
    cluster.delete(LOGGING)
    metadata = {"name": CONFIG.name, "namespace": CONFIG.namespace}
    cluster.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
    )
    labels = {"metadata": {"labels": {"mine": "yes"}}}
    cluster.patch(GATEWAY, labels, manager="somebody-else")
    before = len(audited_writes(there.audit_log))

    refused = install(there, file)

    assert (refused.code, refused.finished["error"]["kind"]) == (3, "plan-outdated")
    message = refused.finished["error"]["message"]
    assert f"{LOGGING} was deleted" in message
    assert f"{CONFIG} was created by" in message
    assert f"{GATEWAY} was changed by somebody-else at 20" in message
    assert len(audited_writes(there.audit_log)) == before


def test_a_plan_of_another_cluster_version_or_ledger_is_refused(
    installed: Place, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    plan(installed, "--save", str(file))
    saved = load(str(file))

    def refusal(text: str) -> tuple[int, str, str]:
        file.write_text(text)
        ended = install(installed, file)
        error = ended.finished["error"]
        return ended.code, error["kind"], error["message"]

    other = refusal(replace(saved, cluster="another").text())
    assert other[:2] == (3, "plan-cluster")
    older = refusal(replace(saved, kubernetes="v1.19.7").text())
    assert older[:2] == (3, "plan-outdated")
    assert "Kubernetes is v1.20.2 now and was v1.19.7" in older[2]
    assert refusal(replace(saved, installer="0.0.1").text())[:2] == (3, "plan-version")
    edited = saved.text().replace(GATEWAY.name, "another")
    assert refusal(edited)[:2] == (3, "plan-edited")
    digest = refusal(replace(saved, settings_digest="another").text())
    assert digest[:2] == (3, "plan-outdated")
    assert "the settings changed" in digest[2]


def test_a_plan_with_nothing_to_do_does_nothing(installed: Place, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    plan(installed, "--save", str(file))

    ended = install(installed, file)

    assert (ended.code, ended.finished["outcome"], ended.finished["writes"]) == (0, "unchanged", 0)


def test_an_external_component_is_listed_and_never_written(
    installed: Place, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "apiVersion: kserve-installer/v1\nkind: Settings\nexternal: [cert-manager]\n"
    )

    _, document = plan(installed, "-f", str(settings))

    component = next(c for c in document["components"] if c["name"] == "cert-manager")
    assert (component["owner"], component["installed"]) == ("external", "0.15.1")
    assert document["totals"]["actions"]["external"] == 3
    assert document["totals"]["actions"]["delete"] == 0

"""`install` and `status` on a real API server with upstream's own manifests."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import RELEASE, Stack, applied_refs, audited_writes, counts

from installer.cluster import ledger as ledgers
from installer.cluster.readiness import readiness
from installer.core.objects import Ref
from installer.plan.stages import STAGES

pytestmark = pytest.mark.cluster

CONFIG = Ref("v1", "ConfigMap", "knative-serving", "config-autoscaler")
GATEWAY = Ref("v1", "Service", "istio-system", "istio-ingressgateway")


def test_one_command_takes_an_empty_cluster_to_the_whole_stack(stack: Stack) -> None:
    last = stack.first.finished
    assert (last["outcome"], last["exit_code"]) == ("done", 0)
    assert counts(stack.first) == (184, 0, 0)
    cluster = stack.cluster()
    refs = applied_refs(stack.first)
    assert len(refs) == 184
    assert [str(ref) for ref in refs if not readiness(cluster.get(ref)).ready] == []


def test_the_ledger_owns_every_object_and_no_lock_is_left(stack: Stack) -> None:
    cluster = stack.cluster()
    ledger = ledgers.read(cluster)
    assert (ledger.release, ledger.state) == (RELEASE, "installed")
    assert set(ledger.owners()) == {ref.identity for ref in applied_refs(stack.first)}
    assert all(entry.sent and entry.seen for entry in ledger.owners().values())
    assert cluster.list("coordination.k8s.io/v1", "Lease", ledgers.NAMESPACE).items == []


def test_components_become_ready_in_the_order_of_their_needs(stack: Stack) -> None:
    order = [event["component"] for event in stack.first.of("component_finished")]
    assert order[-1] == "kfserving"
    assert order.index("net-istio") > order.index("istio")
    assert order.index("net-istio") > order.index("knative-serving")


def test_each_stage_of_a_component_begins_when_the_one_before_it_holds(stack: Stack) -> None:
    steps = [e for e in stack.first.events if e["event"] in ("stage_started", "stage_finished")]
    for component in {e["component"] for e in steps}:
        mine = [(e["event"], e["stage"]) for e in steps if e["component"] == component]
        stages = [stage for stage in STAGES if ("stage_started", stage) in mine]
        expected = [(what, s) for s in stages for what in ("stage_started", "stage_finished")]
        assert mine == expected, component
        written = [e["stage"] for e in stack.first.of("object") if e["component"] == component]
        assert written == sorted(written, key=STAGES.index), component


def test_a_second_install_sends_no_write_request(stack: Stack) -> None:
    before = len(audited_writes(stack.audit_log))
    again = stack.installer.run("install", RELEASE)
    assert again.finished["outcome"] == "unchanged", again.stderr
    assert counts(again) == (0, 0, 184)
    assert again.finished["writes"] == 0
    assert audited_writes(stack.audit_log)[before:] == []


def test_only_the_object_a_user_edited_is_written_again(stack: Stack) -> None:
    cluster = stack.cluster()
    cluster.patch(GATEWAY, {"spec": {"type": "ClusterIP"}}, manager="kubectl-edit")
    assert stack.installer.status("--exit-code")[0] == 5
    again = stack.installer.run("install", RELEASE)
    assert again.code == 0, again.stderr
    assert counts(again) == (0, 1, 183)
    # it is not overruled silently
    told = next(e for e in again.of("check") if e["check"] == "apis-conflicts")
    assert told["verdict"] == "warning"
    assert "kubectl-edit owns .spec.type" in told["details"][0]["reason"]
    found = cluster.get(GATEWAY)
    assert found is not None
    assert found["spec"]["type"] == "LoadBalancer"


def test_an_object_that_somebody_deleted_comes_back_alone(stack: Stack) -> None:
    cluster = stack.cluster()
    assert cluster.delete(CONFIG)
    again = stack.installer.run("install", RELEASE)
    assert again.code == 0, again.stderr
    assert counts(again) == (1, 0, 183)
    assert cluster.get(CONFIG) is not None


def test_what_others_add_to_an_object_stays_and_is_no_drift(stack: Stack) -> None:
    cluster = stack.cluster()
    cluster.patch(CONFIG, {"data": {"stable-window": "90s"}}, manager="somebody")
    again = stack.installer.run("install", RELEASE)
    assert again.finished["outcome"] == "unchanged", again.stderr
    found = cluster.get(CONFIG)
    assert found is not None
    assert found["data"]["stable-window"] == "90s"


def test_another_release_is_refused_before_anything_is_written(stack: Stack) -> None:
    before = len(audited_writes(stack.audit_log))
    refused = stack.installer.run("install", "kfserving-0.6.1")
    assert refused.code == 3
    assert "kfserving-0.5.1 is installed here" in refused.finished["error"]["message"]
    assert audited_writes(stack.audit_log)[before:] == []


def test_a_release_that_does_not_fit_this_kubernetes_names_the_binding_component(
    stack: Stack,
) -> None:
    refused = stack.installer.run("install", "kserve-0.20.0")
    assert refused.code == 3
    error = refused.finished["error"]
    assert "1.20.2" in error["message"]
    assert "Knative Serving 1.21.1 refuses to start below 1.33" in error["message"]
    assert "kserve-0.8.0 is the nearest release that runs here" in error["remedy"]


def test_status_counts_versions_readiness_and_drift(stack: Stack) -> None:
    code, report = stack.installer.status("--exit-code")
    assert (code, report["release"], report["healthy"], report["drift"]) == (0, RELEASE, True, 0)
    versions = {part["name"]: part["version"] for part in report["components"]}
    assert versions == {
        "istio": "1.6.2",
        "knative-serving": "0.18.0",
        "net-istio": "0.18.0",
        "cert-manager": "0.15.1",
        "kfserving": "0.5.1",
    }
    assert report["last_run"]["outcome"] == "done"


def test_a_change_to_one_object_rewrites_the_ledger_of_its_component_only(stack: Stack) -> None:
    cluster = stack.cluster()
    assert cluster.delete(CONFIG)
    before = len(audited_writes(stack.audit_log))
    assert stack.installer.run("install", RELEASE).code == 0
    written = audited_writes(stack.audit_log)[before:]
    records = {uri.split("/")[-1].split("?")[0] for uri in written if "/ledger" in uri}
    assert records == {"ledger", "ledger-knative-serving"}


def test_a_record_that_somebody_deleted_is_noticed_and_written_again(stack: Stack) -> None:
    cluster = stack.cluster()
    record = Ref("v1", "ConfigMap", ledgers.NAMESPACE, f"{ledgers.PREFIX}istio")
    assert cluster.delete(record)
    code, report = stack.installer.status("--exit-code")
    assert (code, report["lost"], report["healthy"]) == (5, ["istio"], False)
    refused = stack.installer.run("uninstall")
    assert (refused.code, refused.finished["error"]["kind"]) == (3, "ledger-lost")
    again = stack.installer.run("install", RELEASE)
    assert again.code == 0, again.stderr
    assert stack.installer.status("--exit-code")[0] == 0
    assert stack.installer.run("install", RELEASE).finished["writes"] == 0


def test_a_damaged_ledger_is_one_sentence_and_no_traceback(stack: Stack) -> None:
    cluster = stack.cluster()
    record = Ref("v1", "ConfigMap", ledgers.NAMESPACE, f"{ledgers.PREFIX}istio")
    good = cluster.get(record)
    assert good is not None
    cluster.patch(record, {"data": {"ledger.json": '{"format": 1, "entries": 7}'}})
    code, answer = stack.installer.status()
    cluster.patch(record, {"data": good["data"]})
    assert code == 1
    assert answer["error"]["kind"] == "ledger"
    assert answer["error"]["object"] == "ConfigMap kserve-installer/ledger-istio"
    assert "internal error" not in answer["error"]["message"]


def test_settings_change_what_is_sent_and_nothing_else(stack: Stack, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "apiVersion: kserve-installer/v1\nkind: Settings\ngateway: {type: NodePort}\n"
        "patches:\n"
        "- target: {kind: Service, namespace: istio-system, name: istio-ingressgateway}\n"
        "  patch: [{op: add, path: /spec/ports/-, value: {name: more, port: 15999}}]\n"
    )
    changed = stack.installer.run("install", RELEASE, "-f", str(settings))
    assert changed.code == 0, changed.stderr
    assert counts(changed) == (0, 1, 183)
    found = stack.cluster().get(GATEWAY)
    assert found is not None
    assert found["spec"]["type"] == "NodePort"
    # this API server cannot default the protocol of a port that is applied
    assert ("more", "TCP") in {(p["name"], p["protocol"]) for p in found["spec"]["ports"]}
    assert stack.installer.run("install", RELEASE, "-f", str(settings)).finished["writes"] == 0
    back = stack.installer.run("install", RELEASE)
    assert counts(back) == (0, 1, 183)

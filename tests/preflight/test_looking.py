"""What stands in the way of looking: it is told, and stops nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accounts import account, give, until
from fault_proxy import FaultProxy

from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.checks import Detail, failed, note
from installer.core.errors import InstallerError, Interrupted
from installer.operations import preflight as operation
from installer.preflight.check import Check
from installer.preflight.run import run_checks
from installer.preflight.world import World
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo

QUOTAS = r"/resourcequotas"
GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}


def check(name: str, look: Any) -> Check:
    return Check(name, "kubernetes", f"{name} holds", look)


def fine(_: World) -> Iterator[Detail]:
    yield note("seen")


def broken(_: World) -> Iterator[Detail]:
    yield failed("one thing is wrong")
    raise InstallerError("the rest cannot be read", remedy="ask for the right")


WORLD: World = None  # type: ignore[assignment]


def test_a_check_that_hangs_is_unknown_and_the_others_are_not() -> None:
    release = threading.Event()

    def hang(_: World) -> Iterator[Detail]:
        release.wait()
        yield note("too late")

    checks = [check("hangs", hang), check("fine", fine)]
    found = run_checks(WORLD, checks, timeout=0.3, cancel=Cancel())
    release.set()
    assert [finding.verdict for finding in found] == ["unknown", "note"]
    assert "no end after" in found[0].details[0].reason


def test_what_a_check_found_before_it_could_not_look_further_is_kept() -> None:
    found = run_checks(WORLD, [check("broken", broken)], cancel=Cancel())[0]
    assert [detail.verdict for detail in found.details] == ["failed", "unknown"]
    assert "could not look, because the rest cannot be read" in found.details[1].reason
    assert found.verdict == "failed"


def test_a_mistake_in_one_check_takes_no_other_with_it() -> None:
    def wrong(_: World) -> Iterator[Detail]:
        yield note(f"{1 // 0}")

    found = run_checks(WORLD, [check("wrong", wrong), check("fine", fine)], cancel=Cancel())
    assert [finding.verdict for finding in found] == ["unknown", "note"]
    assert "ZeroDivisionError" in found[0].details[0].reason


def test_a_skipped_check_says_who_asked_for_it_and_is_not_run() -> None:
    found = run_checks(WORLD, [check("broken", broken)], skip=("broken",), cancel=Cancel())[0]
    assert found.verdict == "skipped"
    assert "--skip" in found.details[0].reason


def test_an_interrupt_ends_all_checks_at_once() -> None:
    cancel = Cancel()

    def interrupt(_: World) -> Iterator[Detail]:
        cancel.stop()
        cancel.sleep(3600)
        yield note("never")

    with pytest.raises(Interrupted):
        run_checks(WORLD, [check("interrupts", interrupt)], cancel=cancel)


@pytest.mark.cluster
def test_a_403_on_a_list_is_told_as_not_seen_and_never_as_fine(
    look: Any, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    narrow = account(cluster, sandbox, "narrow", tmp_path)
    subject = {"kind": "ServiceAccount", "name": "narrow", "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "narrow"},
        "roleRef": role,
        "subjects": [subject],
    }
    give(cluster, [binding])
    theirs = Cluster.connect(kubeconfig=str(narrow))
    until(lambda: _may_list(theirs))
    found = look(sandbox, kubeconfig=narrow)
    for name in ("kubernetes-version-skew", "capacity-nodes", "policy-webhooks"):
        assert found[name].verdict == "unknown", found[name]
        assert "could not look, because" in found[name].details[0].reason
    assert found["kubernetes-version"].verdict in ("ok", "note")
    assert found["rights-objects"].verdict == "failed"


def _may_list(cluster: Cluster) -> bool:
    try:
        cluster.list("v1", "ConfigMap", "kserve-installer")
    except InstallerError:
        return False
    return True


@pytest.mark.cluster
def test_one_list_that_hangs_and_one_that_is_refused_leave_the_rest_as_it_is(
    look: Any, sandbox: SandboxInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "PATIENCE", 1.0)
    undisturbed = look(sandbox)
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        proxy.on("GET", QUOTAS, times=None, hang=True)
        proxy.on("GET", r"/storageclasses", times=None, status=500)
        proxy.on("GET", r"/kube-node-lease/leases", times=None, status=503)
        found = look(sandbox, kubeconfig=proxy.kubeconfig)
    blind = {name for name, finding in found.items() if finding.verdict == "unknown"}
    assert blind == {"policy-quota", "time-skew"}
    same = {name: f.verdict for name, f in found.items() if name not in blind}
    assert same == {name: f.verdict for name, f in undisturbed.items() if name not in blind}


@pytest.mark.cluster
def test_answers_that_fail_in_passing_change_nothing(
    look: Any, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    undisturbed = look(sandbox)
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        expired = proxy.on("GET", r"continue=", times=2, status=410, body=GONE)
        proxy.on("GET", r"/nodes|/pods|/namespaces", times=2, status=503)
        proxy.on("POST", r"selfsubject", times=1, close=True)
        proxy.on("GET", r"/apis/apps/v1", times=1, status=429, headers={"Retry-After": "1"})
        found = look(sandbox, kubeconfig=proxy.kubeconfig)
    assert expired.hits <= 2
    assert {n: f.verdict for n, f in found.items()} == {
        n: f.verdict for n, f in undisturbed.items()
    }


@pytest.mark.cluster
def test_an_api_server_that_is_restarted_meanwhile_ends_in_findings(
    look: Any, sandbox_factory: Any
) -> None:
    own = sandbox_factory("1.20.2", name="preflight-restarted")
    found: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: found.update(look(own)))
    thread.start()
    lifecycle.restart(own.name, "kube-apiserver")
    thread.join(120)
    assert found, "it ended without a report"
    assert "failed" not in {finding.verdict for finding in found.values()}

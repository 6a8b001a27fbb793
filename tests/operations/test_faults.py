"""Faults in the middle of an install: the run goes on or says why, and a rerun ends the same."""

from __future__ import annotations

import signal
import subprocess

import pytest
from harness import (
    RELEASE,
    EndState,
    Place,
    assert_complete,
    at_stage,
    audited_writes,
    finish,
    follow,
)

from installer.cluster import ledger as ledgers
from installer.cluster.lock import LEASE
from installer.sandbox import lifecycle

pytestmark = pytest.mark.cluster


@pytest.mark.timeout(600)
def test_an_api_server_that_is_killed_and_comes_back_only_delays(
    there: Place, undisturbed: EndState
) -> None:
    running = there.installer.start("install", RELEASE)
    follow(running, at_stage("knative-serving", "workloads"))
    lifecycle.restart(there.sandbox.name, "kube-apiserver")
    ended = finish(running)
    assert ended.code == 0, ended.finished.get("error") or ended.stderr
    assert ended.of("retrying"), "the restart was not noticed"
    assert_complete(there, undisturbed)


@pytest.mark.timeout(600)
def test_an_etcd_that_stands_still_for_20_seconds_only_delays(
    there: Place, undisturbed: EndState
) -> None:
    running = there.installer.start("install", RELEASE)
    follow(running, at_stage("istio", "setup"))
    lifecycle.signal_component(there.sandbox.name, "etcd", signal.SIGSTOP)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(20)  # the fault itself: nothing can be awaited but time
    finally:
        lifecycle.signal_component(there.sandbox.name, "etcd", signal.SIGCONT)
    ended = finish(running)
    assert ended.code == 0, ended.finished.get("error") or ended.stderr
    assert_complete(there, undisturbed)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_install_says_so_and_continues_when_run_again(
    there: Place, undisturbed: EndState, how: signal.Signals
) -> None:
    running = there.installer.start("install", RELEASE)
    follow(running, at_stage("cert-manager", "setup"))
    running.send_signal(how)
    ended = finish(running)
    assert ended.code == 130
    assert ended.finished["outcome"] == "interrupted"
    cluster = there.cluster()
    assert cluster.get(LEASE) is None
    last = ledgers.read(cluster).last_run
    assert last is not None
    assert last.outcome == "interrupted"
    again = there.installer.run("install", RELEASE)
    assert again.code == 0, again.finished.get("error") or again.stderr
    resumed = again.of("resuming")
    assert resumed[0]["run"] == last.id
    assert "cert-manager/namespaces" in resumed[0]["done"]
    assert "kfserving/workloads" in resumed[0]["left"]
    assert_complete(there, undisturbed)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("index", [25, 120, 230])
def test_an_install_killed_anywhere_ends_the_same_when_run_again(
    there: Place, undisturbed: EndState, index: int
) -> None:
    _, hit = there.installer.run_until(index, signal.SIGKILL, "install", RELEASE)
    assert hit
    again = there.installer.run("install", RELEASE)
    assert again.code == 0, again.finished.get("error") or again.stderr
    assert_complete(there, undisturbed)


@pytest.mark.timeout(600)
def test_of_two_installers_one_wins_and_the_other_leaves_no_trace(
    there: Place, undisturbed: EndState
) -> None:
    first = there.installer.start("install", RELEASE)
    follow(first, at_stage("istio", "namespaces"))
    before = ledgers.read(there.cluster())
    second = there.installer.run("install", RELEASE)
    assert second.code == 3, second.finished
    error = second.finished["error"]
    assert error["kind"] == "locked"
    assert "process" in error["message"]
    assert "since 20" in error["message"]
    assert second.finished["writes"] == 0
    ended = finish(first)
    assert ended.code == 0, ended.finished.get("error") or ended.stderr
    runs = [run.id for run in ledgers.read(there.cluster()).runs]
    assert runs == [run.id for run in before.runs] or len(runs) == len(before.runs) + 1
    assert_complete(there, undisturbed)
    assert audited_writes(there.audit_log)

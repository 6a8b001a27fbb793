"""Events of tasks into the outcome of each cluster, and the exit code over all of them."""

from __future__ import annotations

from typing import Any

import pytest

from installer.fleet.model import ClusterRun, worst
from installer.fleet.recorder import Recorder
from installer.fleet.run import forks
from installer.fleet.runner import TaskEvent

STACK = "kserve_stack"


def _event(what: str, module: str = STACK, host: str = "one", **result: Any) -> TaskEvent:
    return TaskEvent(host, what, "Install the release", module, result)


def _recorded(*events: TaskEvent, command: str = "install") -> ClusterRun:
    recorder = Recorder(command, ["one"])
    for now, event in enumerate(events):
        recorder.on(event, float(now))
    return recorder.clusters["one"]


def test_a_cluster_whose_command_did_something_is_done() -> None:
    done = {"exit_code": 0, "outcome": "done", "created": 3, "changed_objects": 1, "deleted": 0}

    cluster = _recorded(_event("started"), _event("ok", **done, release="kfserving-0.5.1"))

    assert (cluster.outcome, cluster.code, cluster.seconds) == ("done", 0, 1.0)
    assert cluster.changes == {"created": 3, "changed": 1, "deleted": 0}


def test_a_failure_keeps_the_exit_code_and_the_sentence_of_the_command() -> None:
    cluster = _recorded(_event("started"), _event("failed", exit_code=3, msg="too\n new"))

    assert (cluster.outcome, cluster.code, cluster.message) == ("failed", 3, "too new")


def test_a_vault_without_its_password_says_how_to_give_it() -> None:
    said = "Task failed: Attempting to decrypt but no vault secrets found."

    cluster = _recorded(_event("failed", msg=said))

    assert cluster.message.startswith("Attempting to decrypt")
    assert cluster.message.endswith("with --vault-password-file.")


def test_a_failure_of_another_task_is_one_of_the_inventory() -> None:
    cluster = _recorded(_event("failed", "assert", msg="one and two are one cluster"))

    assert (cluster.outcome, cluster.code) == ("failed", 2)


def test_a_cluster_that_was_refused_because_the_run_stops_did_not_run() -> None:
    refused = {"exit_code": 130, "outcome": "not-run", "msg": "not begun"}

    assert _recorded(_event("started"), _event("failed", **refused)).outcome == "not-run"


def test_a_password_in_a_message_is_not_kept() -> None:
    said = "https://me:hunter2@mirror.example.com/x does not answer"

    assert "hunter2" not in _recorded(_event("failed", exit_code=1, msg=said)).message


def test_what_was_at_work_when_the_run_was_ended_is_interrupted() -> None:
    recorder = Recorder("install", ["one", "two"])
    recorder.on(_event("started"), 1.0)

    recorder.interrupted(5.0)

    assert recorder.clusters["one"].outcome == "interrupted"
    assert recorder.clusters["one"].code == 130
    assert recorder.clusters["two"].outcome == "not-run"


def test_a_record_is_read_as_it_was_written() -> None:
    cluster = _recorded(_event("started"), _event("failed", exit_code=4, msg="not ready"))

    assert ClusterRun.from_dict(cluster.to_dict()) == cluster


@pytest.mark.parametrize(
    ("codes", "code"),
    [([], 0), ([0, 0], 0), ([0, 5], 5), ([5, 2, 3], 3), ([3, 4], 4), ([4, 1], 1), ([1, 130], 130)],
)
def test_the_exit_code_is_the_worst_of_all_clusters(codes: list[int], code: int) -> None:
    assert worst(codes) == code


def test_an_exit_code_outside_the_contract_is_a_failure() -> None:
    assert worst([0, 137]) == 1


def test_a_machine_is_judged_by_the_checks_of_machines() -> None:
    recorder = Recorder("preflight", ["one", "node"], {"node"})
    counts = {"ok": 9, "warning": 0, "failed": 0, "skipped": 1}

    recorder.on(_event("started", "kserve_preflight", "node"), 0.0)
    assert not recorder.working
    recorder.on(_event("started", "kserve_hosts_check", "node"), 0.0)
    recorder.on(_event("ok", "kserve_hosts_check", "node", exit_code=0, counts=counts), 1.0)

    assert recorder.clusters["node"].outcome == "done"
    assert recorder.clusters["node"].details == {"counts": counts}


@pytest.mark.parametrize(
    ("serial", "clusters", "number"),
    [("100%", 3, 3), ("2", 3, 2), ("50%", 3, 1), ("1%", 3, 1), ("9", 3, 3), ("100%", 500, 50)],
)
def test_so_many_clusters_are_worked_on_at_a_time(serial: str, clusters: int, number: int) -> None:
    assert forks(serial, clusters) == number

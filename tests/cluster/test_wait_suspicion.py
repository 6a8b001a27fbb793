"""What pods and events of a workload mean for whoever waits for it: values only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.cluster.causes import Evidence, explain
from installer.cluster.pods import fault_of, pull_cause
from installer.cluster.suspicion import (
    Owner,
    Patience,
    PodSeen,
    Seen,
    Suspicion,
    Verdict,
    see,
    see_pod,
    see_warning,
)
from installer.core.objects import Object, Ref, dig

REF = Ref("apps/v1", "Deployment", "n", "web")
OWNER: Owner = ("Deployment", "n", "web")
NO_IMAGE = 'rpc error: desc = failed to resolve reference "r/a:1": r/a:1: not found'
QUOTA = 'Error creating: pods "web-1" is forbidden: exceeded quota: small, used: pods=1'


def pod(
    *statuses: Object, name: str = "web-abc-1", owner: Object | None = None, **status: Any
) -> Object:
    maker = owner or {"kind": "ReplicaSet", "name": "web-abc", "uid": "rs", "controller": True}
    return {
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": name,
            "labels": {"pod-template-hash": "abc"},
            "ownerReferences": [maker],
        },
        "status": {"phase": "Pending", "containerStatuses": list(statuses), **status},
    }


def status(reason: str, message: str = "", restarts: int = 0) -> Object:
    return {
        "name": "main",
        "image": "r/a:1",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": {"terminated": {"exitCode": 2, "message": "panic: no config\n"}},
    }


def workload(replicas: int = 0, wanted: int = 1) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 1},
        "spec": {"replicas": wanted},
        "status": {"replicas": replicas, "observedGeneration": 1},
    }


def event(kind: str, name: str, reason: str, message: str, uid: str = "") -> Object:
    about = {"kind": kind, "namespace": "n", "name": name, "uid": uid}
    return {"involvedObject": about, "reason": reason, "message": message, "type": "Warning"}


def judged(suspicion: Suspicion, now: float, *pods: Object) -> list[Verdict]:
    waiting: dict[Owner, Seen] = {OWNER: see(workload())}
    seen: list[PodSeen] = [see_pod(item) for item in pods]
    return suspicion.judge(now, waiting, seen, [])


def test_a_pod_belongs_to_the_workload_above_its_replica_set() -> None:
    seen = see_pod(pod())
    assert (seen.owner, seen.template) == (OWNER, "abc")
    direct = pod(owner={"kind": "StatefulSet", "name": "db", "uid": "s", "controller": True})
    assert see_pod(direct).owner == ("StatefulSet", "n", "db")


def test_an_image_that_does_not_exist_ends_the_wait_at_once() -> None:
    found = judged(Suspicion(), 0, pod(status("ErrImagePull", NO_IMAGE)))
    assert [v.message for v in found] == ["container main cannot pull image r/a:1: not found"]


def test_a_pull_that_backs_off_is_given_time() -> None:
    suspicion, item = Suspicion(Patience(image=20)), pod(status("ImagePullBackOff"))
    assert judged(suspicion, 100, item) == []
    assert judged(suspicion, 119, item) == []
    assert [v.trouble for v in judged(suspicion, 120, item)] == ["image"]


def test_trouble_that_went_away_is_forgotten() -> None:
    suspicion, item = Suspicion(Patience(image=20)), pod(status("ImagePullBackOff"))
    judged(suspicion, 0, item)
    assert judged(suspicion, 19, pod()) == []
    assert judged(suspicion, 21, item) == []


@pytest.mark.parametrize(("restarts", "given_up"), [(1, False), (2, False), (3, True), (7, True)])
def test_a_crash_loop_is_one_from_the_third_restart_on(restarts: int, given_up: bool) -> None:
    found = judged(Suspicion(), 0, pod(status("CrashLoopBackOff", restarts=restarts)))
    assert bool(found) is given_up


def test_a_crashing_job_is_left_to_its_own_limit() -> None:
    item = pod(
        status("CrashLoopBackOff", restarts=9),
        owner={"kind": "Job", "name": "j", "uid": "j", "controller": True},
    )
    waiting: dict[Owner, Seen] = {("Job", "n", "j"): see(workload())}
    assert Suspicion().judge(0, waiting, [see_pod(item)], []) == []


def test_a_missing_secret_is_given_time() -> None:
    suspicion = Suspicion(Patience(config=60))
    item = pod(status("CreateContainerConfigError", 'secret "s" not found'))
    assert judged(suspicion, 0, item) == []
    assert "secret" in judged(suspicion, 60, item)[0].message


def test_one_evicted_pod_is_replaced_and_several_are_given_up() -> None:
    evicted = [
        pod(name=f"web-abc-{n}", phase="Failed", reason="Evicted", message="low on disk")
        for n in range(3)
    ]
    assert judged(Suspicion(), 0, evicted[0]) == []
    assert [v.trouble for v in judged(Suspicion(), 0, *evicted)] == ["evicted"]


def refused(suspicion: Suspicion, now: float, kind: str, message: str) -> list[Verdict]:
    owner: Owner = (kind, "n", "web")
    told = see_warning(event(kind, "web", "FailedCreate", message))
    return suspicion.judge(now, {owner: see(workload())}, [], [told])


def test_a_quota_seen_only_in_events_is_given_moments() -> None:
    suspicion = Suspicion(Patience(refused=10))
    assert refused(suspicion, 0, "StatefulSet", QUOTA) == []
    found = refused(suspicion, 10, "StatefulSet", QUOTA)
    assert [(v.owner[0], v.trouble) for v in found] == [("StatefulSet", "refused")]


def test_a_deployment_is_believed_more_than_events_about_it() -> None:
    assert refused(Suspicion(Patience(refused=0)), 0, "Deployment", QUOTA) == []


def test_a_refusal_that_passes_is_no_reason_to_stop() -> None:
    suspicion = Suspicion(Patience(refused=0))
    assert refused(suspicion, 0, "StatefulSet", "error looking up service account") == []


def test_a_pod_that_no_node_takes_is_waited_for() -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    item = pod(conditions=[{**scheduled, "message": "0/1 nodes are available"}])
    suspicion = Suspicion()
    assert judged(suspicion, 0, item) == judged(suspicion, 10_000, item) == []
    fault = see_pod(item).fault
    assert fault is not None
    assert "0/1 nodes are available" in fault.message


def test_pods_being_deleted_count_no_more() -> None:
    item = pod(status("ErrImagePull", NO_IMAGE))
    item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert judged(Suspicion(), 0, item) == []


def test_pods_of_others_do_not_matter() -> None:
    item = pod(status("ErrImagePull", NO_IMAGE), owner={"kind": "Job", "name": "x", "uid": "x"})
    assert judged(Suspicion(), 0, item) == []


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('Back-off pulling image "r/a:1"', ""),
        (NO_IMAGE, "not found"),
        ("manifest for r/a:1 not found: manifest unknown: manifest unknown", "manifest unknown"),
        ("rpc error: code = Unknown desc = dial tcp 10.0.0.1:443: i/o timeout", "i/o timeout"),
    ],
)
def test_the_cause_of_a_failed_pull_is_its_last_clause(message: str, cause: str) -> None:
    assert pull_cause(message).endswith(cause)
    assert bool(pull_cause(message)) is bool(cause)


def test_the_cause_of_a_back_off_is_found_in_the_events() -> None:
    item = pod(status("ImagePullBackOff", 'Back-off pulling image "r/a:1"'))
    told = event(
        "Pod", "web-abc-1", "Failed", f'Failed to pull image "r/a:1": {NO_IMAGE}', "web-abc-1"
    )
    cause = explain(REF, Evidence(workload(1), [item], [told]))
    assert cause is not None
    assert cause.kind == "image-pull"
    assert cause.message == "container main cannot pull image r/a:1: not found"
    assert "registry" in cause.remedy


def test_a_crash_is_explained_with_the_command_that_shows_its_log() -> None:
    cause = explain(REF, Evidence(workload(1), [pod(status("CrashLoopBackOff", restarts=4))], []))
    assert cause is not None
    assert cause.message == (
        "container main ended with exit code 2, restarted 4 times: panic: no config"
    )
    assert cause.remedy == "read why: kubectl logs -n n web-abc-1 -c main --previous"


def test_a_quota_is_explained_by_the_event_of_the_replica_set() -> None:
    told = event("ReplicaSet", "web-abc", "FailedCreate", QUOTA, "rs")
    cause = explain(REF, Evidence(workload(), [], [told]))
    assert cause is not None
    assert (cause.kind, "exceeded quota: small" in cause.message) == ("quota", True)
    assert cause.remedy.startswith("raise the ResourceQuota of namespace n")


def test_a_volume_that_cannot_be_mounted_is_the_cause_of_a_pod_that_only_waits() -> None:
    mount = 'MountVolume.SetUp failed for volume "cert": secret "serving-cert" not found'
    told = [
        event("Pod", "web-abc-1", "Unhealthy", "Readiness probe failed", "web-abc-1"),
        event("Pod", "web-abc-1", "FailedMount", mount, "web-abc-1"),
    ]
    cause = explain(REF, Evidence(workload(1), [pod(status("ContainerCreating"))], told))
    assert cause is not None
    assert cause.message == f"FailedMount: {mount}"


RECORDED = [
    ("fail-crash-loop", "crash", "told to crash"),
    ("fail-digest-missing", "image", "tensorflow/serving@sha256:0000"),
    ("fail-model-missing", "crash", "Failed to fetch model"),
    ("fail-unschedulable", "unschedulable", "Insufficient cpu"),
]


@pytest.mark.parametrize(("case", "trouble", "text"), RECORDED)
def test_recorded_pods_show_their_trouble(shared: Path, case: str, trouble: str, text: str) -> None:
    folder = shared / "facts/recordings/kfserving-0.5.1/inferenceservice" / case / "objects"
    faults = [fault_of(yaml.safe_load(path.read_text())) for path in folder.glob("pods.*.yaml")]
    assert [(f.trouble, text in f.message) for f in faults if f] == [(trouble, True)]


def test_a_workload_without_pods_misses_them() -> None:
    assert see(workload(replicas=0, wanted=2)).missing == 2
    assert dig(workload(), "metadata", "uid") == see(workload()).uid

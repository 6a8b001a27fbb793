"""Readiness of Kubernetes' own kinds: what is ready, what is on its way, what has failed."""

from __future__ import annotations

import pytest
from readiness_objects import (
    CA,
    ESTABLISHED,
    FULL,
    NAMED,
    NEVER_SEEN,
    RULES,
    Case,
    an,
    condition,
    container,
    daemon_set,
    definition,
    deployment,
    job,
    pod,
    stateful_set,
    waiting,
    webhooks,
)

from installer.cluster.readiness import readiness
from installer.core.objects import Object

CASES: list[Case] = [
    ("an object that does not exist", None, "absent", "NotFound"),
    (
        "an object being deleted",
        an("v1", "ConfigMap", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        "terminating",
        "Terminating",
    ),
    ("a kind without status", an("v1", "ConfigMap"), "ready", ""),
    ("an active namespace", an("v1", "Namespace", status={"phase": "Active"}), "ready", ""),
    (
        "a namespace that goes away",
        an("v1", "Namespace", status={"phase": "Terminating"}),
        "terminating",
        "Terminating",
    ),
    ("a definition that is served", definition(ESTABLISHED, NAMED), "ready", ""),
    ("a definition just created", definition(), "progressing", "Installing"),
    (
        "a definition whose names are taken",
        definition(condition("NamesAccepted", "False", "PluralConflict", "taken")),
        "failed",
        "PluralConflict",
    ),
    (
        "a definition being deleted with its objects",
        definition(ESTABLISHED, NAMED, condition("Terminating", "True", "InstanceDeletionPending")),
        "terminating",
        "InstanceDeletionPending",
    ),
    ("a complete deployment", deployment(**FULL), "ready", ""),
    (
        "a deployment that its controller has not seen",
        an("apps/v1", "Deployment", spec=NEVER_SEEN),
        "progressing",
        "NotObserved",
    ),
    (
        "a deployment changed since its status",
        {**deployment(**FULL), "metadata": {"name": "it", "generation": 2}},
        "progressing",
        "NotObserved",
    ),
    (
        "a deployment with old pods only",
        deployment(replicas=2, updatedReplicas=1, availableReplicas=2),
        "progressing",
        "Updating",
    ),
    (
        "a deployment with a pod too many",
        deployment(replicas=3, updatedReplicas=2, availableReplicas=2),
        "progressing",
        "Updating",
    ),
    (
        "a deployment with a pod that is not available",
        deployment(replicas=2, updatedReplicas=2, availableReplicas=1),
        "progressing",
        "Unavailable",
    ),
    ("a deployment of no pods", deployment(spec={"replicas": 0}), "ready", ""),
    (
        "a deployment past its progress deadline",
        deployment(condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")),
        "failed",
        "ProgressDeadlineExceeded",
    ),
    (
        "a deployment whose pods exceed a quota",
        deployment(
            condition(
                "ReplicaFailure", "True", "FailedCreate", 'pods "x" is forbidden: exceeded quota: q'
            )
        ),
        "failed",
        "FailedCreate",
    ),
    (
        "a deployment whose service account is still missing",
        deployment(
            condition("ReplicaFailure", "True", "FailedCreate", "error looking up service account")
        ),
        "progressing",
        "FailedCreate",
    ),
    (
        "a complete stateful set",
        stateful_set(
            {"replicas": 1},
            readyReplicas=1,
            updatedReplicas=1,
            updateRevision="a",
            currentRevision="a",
        ),
        "ready",
        "",
    ),
    (
        "a stateful set between revisions",
        stateful_set(
            {"replicas": 1},
            readyReplicas=1,
            updatedReplicas=0,
            updateRevision="b",
            currentRevision="a",
        ),
        "progressing",
        "Updating",
    ),
    (
        "a stateful set updated down to its partition",
        stateful_set(
            {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
            readyReplicas=3,
            updatedReplicas=1,
            updateRevision="b",
            currentRevision="a",
        ),
        "ready",
        "",
    ),
    (
        "a stateful set that is updated by deleting pods",
        stateful_set(
            {"replicas": 1, "updateStrategy": {"type": "OnDelete"}},
            readyReplicas=1,
            updateRevision="b",
            currentRevision="a",
        ),
        "ready",
        "",
    ),
    ("a stateful set without ready pods", stateful_set({"replicas": 1}), "progressing", "Unready"),
    (
        "a complete daemon set",
        daemon_set(desiredNumberScheduled=2, updatedNumberScheduled=2, numberAvailable=2),
        "ready",
        "",
    ),
    (
        "a daemon set on its way",
        daemon_set(desiredNumberScheduled=2, updatedNumberScheduled=2, numberAvailable=1),
        "progressing",
        "Unavailable",
    ),
    ("a complete job", job(condition("Complete", "True")), "ready", ""),
    ("a running job", job(active=1), "progressing", "Running"),
    (
        "a failed job",
        job(condition("Failed", "True", "BackoffLimitExceeded", "it has failed")),
        "failed",
        "BackoffLimitExceeded",
    ),
    ("a ready pod", pod(condition("Ready", "True")), "ready", ""),
    ("a pod that has succeeded", pod(phase="Succeeded"), "ready", ""),
    (
        "a pod that starts",
        pod(condition("Ready", "False", "ContainersNotReady"), containers=[container(running={})]),
        "progressing",
        "ContainersNotReady",
    ),
    (
        "an evicted pod",
        pod(phase="Failed", reason="Evicted", message="The node was low on memory"),
        "failed",
        "Evicted",
    ),
    (
        "a pod whose tag does not exist",
        pod(containers=[waiting("ErrImagePull", "rpc error: code = NotFound: b:1: not found")]),
        "failed",
        "ErrImagePull",
    ),
    (
        "a pod whose image is no image name",
        pod(containers=[waiting("InvalidImageName", "couldn't parse image reference")]),
        "failed",
        "InvalidImageName",
    ),
    (
        "a pod whose registry is away",
        pod(containers=[waiting("ImagePullBackOff", 'Back-off pulling image "b"')]),
        "progressing",
        "ImagePullBackOff",
    ),
    (
        "a pod that crashes again and again",
        pod(containers=[waiting("CrashLoopBackOff", "", 5, {"exitCode": 1, "message": "no\n"})]),
        "failed",
        "CrashLoopBackOff",
    ),
    (
        "a pod that has crashed once",
        pod(containers=[waiting("CrashLoopBackOff", "", 1, {"exitCode": 1})]),
        "progressing",
        "CrashLoopBackOff",
    ),
    (
        "a pod with a missing secret",
        pod(containers=[waiting("CreateContainerConfigError", 'secret "s" not found')]),
        "progressing",
        "CreateContainerConfigError",
    ),
    (
        "a pod that no node takes",
        pod(condition("PodScheduled", "False", "Unschedulable", "0/1 nodes"), phase="Pending"),
        "progressing",
        "Unschedulable",
    ),
    (
        "a claim that is bound",
        an("v1", "PersistentVolumeClaim", status={"phase": "Bound"}),
        "ready",
        "",
    ),
    (
        "a claim that waits for its first pod",
        an("v1", "PersistentVolumeClaim", status={"phase": "Pending"}),
        "ready",
        "Pending",
    ),
    (
        "a claim whose volume is gone",
        an("v1", "PersistentVolumeClaim", status={"phase": "Lost"}),
        "failed",
        "Lost",
    ),
    (
        "a load balancer without address",
        an("v1", "Service", spec={"type": "LoadBalancer"}, status={"loadBalancer": {}}),
        "ready",
        "NoAddress",
    ),
    (
        "an aggregated API that answers",
        an(
            "apiregistration.k8s.io/v1",
            "APIService",
            spec={"service": {"name": "s"}},
            status={"conditions": [condition("Available", "True")]},
        ),
        "ready",
        "",
    ),
    (
        "an aggregated API without endpoints",
        an(
            "apiregistration.k8s.io/v1",
            "APIService",
            spec={"service": {"name": "s"}},
            status={"conditions": [condition("Available", "False", "MissingEndpoints")]},
        ),
        "progressing",
        "MissingEndpoints",
    ),
    ("a complete webhook configuration", webhooks(CA, RULES), "ready", ""),
    (
        "webhooks with the placeholder CA bundle",
        webhooks("Cg==", RULES),
        "progressing",
        "NotFilled",
    ),
    ("webhooks without CA bundle", webhooks("", RULES), "progressing", "NotFilled"),
    ("webhooks without rules", webhooks(CA, None), "progressing", "NotFilled"),
    (
        "an autoscaler without metrics",
        an(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            status={"conditions": [condition("ScalingActive", "False", "FailedGetResourceMetric")]},
        ),
        "ready",
        "",
    ),
]


@pytest.mark.parametrize(
    ("obj", "state", "reason"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_each_kind_is_judged_by_its_rule(obj: Object | None, state: str, reason: str) -> None:
    verdict = readiness(obj)
    assert (verdict.state, verdict.reason) == (state, reason)


def test_every_verdict_that_is_not_ready_says_why() -> None:
    for name, obj, state, _ in CASES:
        verdict = readiness(obj)
        assert state == "ready" or verdict.message or verdict.reason, name


def test_a_crash_is_told_with_exit_code_and_last_output() -> None:
    crashed = {"exitCode": 137, "reason": "OOMKilled", "message": "line one\nline two\n"}
    verdict = readiness(pod(containers=[waiting("CrashLoopBackOff", "", 4, crashed)]))
    assert verdict.message == (
        "container c ended with exit code 137 (OOMKilled), restarted 4 times: line one line two"
    )


def test_finalizers_are_named_while_an_object_is_being_deleted() -> None:
    metadata = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/keep"]}
    assert "example.com/keep" in readiness(an("v1", "ConfigMap", metadata=metadata)).message

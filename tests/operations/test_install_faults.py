"""Webhooks and images that misbehave while an install needs them.

The stack is there; one object that needs what misbehaves is deleted, so that the next install has
to bring it back through the fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import RELEASE, Stack, counts, finish, follow

from installer.cluster import ledger as ledgers
from installer.core.objects import Ref
from installer.sandbox import script
from installer.sandbox.script import ImageRule, Script, WebhookRule

pytestmark = pytest.mark.cluster

WEBHOOK = Ref(
    "admissionregistration.k8s.io/v1beta1",
    "MutatingWebhookConfiguration",
    "",
    "cert-manager-webhook",
)
SERVICE = "cert-manager/cert-manager-webhook"
ACTIVATOR = Ref("apps/v1", "Deployment", "knative-serving", "activator")


@pytest.fixture(autouse=True)
def healthy(stack: Stack) -> Iterator[None]:
    """No fault before and after; whatever a test left undone is repaired."""
    yield
    script.write(stack.sandbox.script, Script())
    assert stack.installer.run("install", RELEASE).code == 0


def tells(text: str) -> Callable[[dict[str, Any]], bool]:
    """Wants an event that says this of something waited for."""
    return lambda event: (
        event["event"] == "waiting"
        and any(
            text in item["reason"] and "cert-manager" in item["reason"] for item in event["for"]
        )
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("refused", "refused"),
        ("no-route", "route"),
        ("reset", "closed"),
        ("eof", "closed"),
        ("x509", "certificate"),
        ("http", "answers with an error"),
        ("not-json", "answer"),
        ("empty", "answer"),
    ],
)
def test_a_webhook_that_does_not_answer_yet_is_awaited_and_its_fault_is_told(
    stack: Stack, fault: str, told: str
) -> None:
    script.write(stack.sandbox.script, Script(webhooks={SERVICE: WebhookRule(fault)}))
    assert stack.cluster().delete(WEBHOOK)
    running = stack.installer.start("install", RELEASE, "--timeout", "90s")
    follow(running, tells(told))
    script.write(stack.sandbox.script, Script())
    ended = finish(running)
    assert ended.code == 0, ended.finished.get("error") or ended.stderr
    assert counts(ended) == (1, 0, 183)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["slow", "flapping"])
def test_a_webhook_that_answers_badly_now_and_then_must_answer_several_times_in_a_row(
    stack: Stack, fault: str
) -> None:
    rule = WebhookRule(fault, seconds=0.3, on="admission", count=12)
    script.write(stack.sandbox.script, Script(webhooks={SERVICE: rule}))
    assert stack.cluster().delete(WEBHOOK)
    ended = stack.installer.run("install", RELEASE, "--timeout", "90s")
    assert ended.code == 0, ended.finished.get("error") or ended.stderr


@pytest.mark.timeout(300)
def test_a_webhook_that_denies_has_answered(stack: Stack) -> None:
    rule = WebhookRule("deny", on="admission", message="not today")
    script.write(stack.sandbox.script, Script(webhooks={SERVICE: rule}))
    assert stack.cluster().delete(WEBHOOK)
    ended = stack.installer.run("install", RELEASE, "--timeout", "90s")
    assert ended.code == 0, ended.finished.get("error") or ended.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "told"), [("x509-name", "certificate is valid for"), ("plain-http", "HTTP")]
)
def test_a_webhook_that_stays_broken_is_named_with_its_cause(
    stack: Stack, fault: str, told: str
) -> None:
    script.write(stack.sandbox.script, Script(webhooks={SERVICE: WebhookRule(fault)}))
    assert stack.cluster().delete(WEBHOOK)
    ended = stack.installer.run("install", RELEASE, "--timeout", "15s")
    assert ended.code == 4, ended.finished
    error = ended.finished["error"]
    assert "cert-manager" in error["message"]
    assert told in error["message"]
    last = ledgers.read(stack.cluster()).last_run
    assert last is not None
    assert last.outcome == "failed"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (ImageRule("activator", fail="ErrImagePull", message="manifest unknown"), "image"),
        (ImageRule("activator", fail="crash", exit_code=3, message="boom"), "boom"),
        (ImageRule("activator", fail="evicted"), "vict"),
    ],
)
def test_a_pod_that_cannot_start_ends_the_install_long_before_its_deadline(
    stack: Stack, rule: ImageRule, told: str
) -> None:
    script.write(stack.sandbox.script, Script(images=(rule,)))
    assert stack.cluster().delete(ACTIVATOR)
    ended = stack.installer.run("install", RELEASE, "--timeout", "14m")
    assert ended.code == 4, ended.finished
    error = ended.finished["error"]
    assert "knative-serving/activator" in error["message"] + error["object"]
    assert told in error["message"]


@pytest.mark.timeout(300)
def test_a_quota_that_forbids_the_pods_is_the_cause_that_is_told(stack: Stack) -> None:
    cluster = stack.cluster()
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": "knative-serving"},
        "spec": {"hard": {"pods": "0"}},
    }
    cluster.create(quota)
    try:
        assert cluster.delete(ACTIVATOR)
        refused = stack.installer.run("install", RELEASE)
        assert (refused.code, refused.finished["writes"]) == (3, 0), "it is seen beforehand"
        blind = ("--skip", "policy-quota,policy-pods", "--timeout", "14m")
        ended = stack.installer.run("install", RELEASE, *blind)
        assert ended.code == 4, ended.finished
        assert "exceeded quota" in ended.finished["error"]["message"]
    finally:
        cluster.delete(Ref("v1", "ResourceQuota", "knative-serving", "none"))
        cluster.delete(ACTIVATOR)

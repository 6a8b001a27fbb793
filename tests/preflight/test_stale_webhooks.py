"""Webhooks that nobody serves: which are stale, whom they block, which may be removed."""

from __future__ import annotations

from typing import Any

import pytest

from installer.catalog.foreign import load_foreign
from installer.core.objects import Object
from installer.preflight.existing_matching import Request, sees
from installer.preflight.stale_webhooks import (
    Stale,
    own_verdicts,
    removable,
    stale_entries,
    verdicts,
)

FOREIGN = load_foreign()
CERT = "webhook.cert-manager.io"


def rule(groups: list[str], resources: list[str], **more: Any) -> Object:
    operations = more.pop("operations", ["CREATE", "UPDATE"])
    versions = {"apiVersions": ["v1"], "operations": operations}
    return {"apiGroups": groups, "resources": resources, **versions, **more}


def webhook(name: str = CERT, *, service: str = "hook", **more: Any) -> Object:
    client = {"service": {"namespace": "there", "name": service}}
    rules = more.pop("rules", [rule(["cert-manager.io"], ["*"])])
    return {"name": name, "clientConfig": client, "rules": rules, **more}


def configuration(*webhooks: Object, name: str = "hooks") -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name, "uid": f"uid-of-{name}"},
        "webhooks": list(webhooks),
    }


def stale(*webhooks: Object, state: str = "gone") -> Stale:
    (found,) = stale_entries([configuration(*webhooks)], lambda *_: state, FOREIGN)
    return found


def test_a_webhook_with_a_pod_or_a_url_is_not_stale() -> None:
    by_url = {"name": CERT, "clientConfig": {"url": "https://example.com"}, "rules": []}
    assert stale_entries([configuration(webhook())], lambda *_: "", FOREIGN) == []
    assert stale_entries([configuration(by_url)], lambda *_: "gone", FOREIGN) == []


def test_those_that_fail_closed_come_first() -> None:
    open_first = configuration(webhook(failurePolicy="Ignore"), name="a")
    closed = configuration(webhook(failurePolicy="Fail"), name="b")
    found = stale_entries([open_first, closed], lambda *_: "gone", FOREIGN)
    assert [item.ref.name for item in found] == ["b", "a"]


@pytest.mark.parametrize(
    ("names", "project"),
    [
        ([CERT], "cert-manager"),
        (["validation.istio.io"], "istio"),
        (["rev.namespace.sidecar-injector.istio.io"], "istio"),
        (["config.webhook.serving.knative.dev"], "knative-serving"),
        (["inferenceservice.kfserving-webhook-server.pod-mutator"], "kfserving"),
        (["webhook.eventing.knative.dev"], None),
        (["policy.example.com"], None),
        ([CERT, "policy.example.com"], None),
    ],
)
def test_a_configuration_is_a_projects_only_when_all_its_webhooks_are(
    names: list[str], project: str | None
) -> None:
    found = stale(*(webhook(name) for name in names)).project
    assert (found.name if found else None) == project


@pytest.mark.parametrize(
    ("name", "state", "running", "expected"),
    [
        (CERT, "gone", [], True),
        (CERT, "gone", ["cert-manager"], True),
        (CERT, "no-endpoints", [], True),
        (CERT, "no-endpoints", ["cert-manager"], False),  # it may only be restarting
        ("policy.example.com", "gone", [], False),
    ],
)
def test_only_what_is_of_the_stack_and_served_by_nobody_may_be_removed(
    name: str, state: str, running: list[str], expected: bool
) -> None:
    assert removable(stale(webhook(name), state=state), running) is expected


def test_a_configuration_that_is_served_in_part_may_not_be_removed() -> None:
    both = configuration(webhook(service="gone"), webhook(service="there"))
    (found,) = stale_entries(
        [both], lambda _, service: "gone" if service == "gone" else "", FOREIGN
    )
    assert not removable(found, [])


POD = Request("", "pods", "models", {"app": "x"}, {"team": "ml"}, "pods of Deployment x")


@pytest.mark.parametrize(
    ("entry", "request_", "expected"),
    [
        (webhook(rules=[rule([""], ["pods"])]), POD, True),
        (webhook(rules=[rule(["*"], ["*"])]), POD, True),
        (webhook(rules=[rule(["*"], ["*/*"])]), POD, True),
        (webhook(rules=[rule(["apps"], ["pods"])]), POD, False),
        (webhook(rules=[rule([""], ["pods/exec"])]), POD, False),
        (webhook(rules=[rule([""], ["pods"], operations=["DELETE"])]), POD, False),
        (webhook(rules=[rule([""], ["pods"], operations=["*"])]), POD, True),
        (webhook(rules=[rule([""], ["pods"], scope="Cluster")]), POD, False),
        (webhook(rules=[rule([""], ["pods"], scope="Namespaced")]), POD, True),
        (webhook(rules=[]), POD, False),
        (
            webhook(
                rules=[rule([""], ["pods"])], namespaceSelector={"matchLabels": {"team": "ml"}}
            ),
            POD,
            True,
        ),
        (
            webhook(
                rules=[rule([""], ["pods"])], namespaceSelector={"matchLabels": {"team": "web"}}
            ),
            POD,
            False,
        ),
        (
            webhook(
                rules=[rule([""], ["pods"])],
                namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "models"}},
            ),
            POD,
            True,
        ),
        (
            webhook(rules=[rule([""], ["pods"])], objectSelector={"matchLabels": {"app": "other"}}),
            POD,
            False,
        ),
        (
            webhook(rules=[rule(["*"], ["*"])], namespaceSelector={"matchLabels": {"team": "ml"}}),
            Request("rbac.authorization.k8s.io", "clusterroles", "", {}, None, "ClusterRole x"),
            True,
        ),
        (
            webhook(rules=[rule(["*"], ["*"])]),
            Request("admissionregistration.k8s.io", "validatingwebhookconfigurations", ""),
            False,
        ),
    ],
)
def test_a_webhook_sees_what_its_rules_and_selectors_say(
    entry: Object, request_: Request, expected: bool
) -> None:
    assert sees(entry, request_) is expected


def _verdict(entry: Object, *requests: Request, brought: dict[tuple[str, str], str]) -> str:
    needs = {"kfserving": frozenset({"cert-manager"}), "istio": frozenset[str]()}
    (detail,) = verdicts([stale(entry)], requests, running=[], brought=brought, needs=needs)
    return detail.verdict


def _certificate(component: str, stage: str) -> Request:
    around: dict[str, str] = {}
    return Request("cert-manager.io", "certificates", "x", {}, around, "c", component, stage)


OWN = {("there", "hook"): "cert-manager"}


@pytest.mark.parametrize(
    ("component", "stage", "brought", "verdict"),
    [
        ("kfserving", "resources", {}, "failed"),
        ("kfserving", "setup", OWN, "warning"),  # waits for cert-manager, which serves it again
        ("kfserving", "crds", OWN, "failed"),  # waits for nothing
        ("istio", "resources", OWN, "failed"),  # does not wait for cert-manager
        ("cert-manager", "resources", OWN, "warning"),
        ("cert-manager", "setup", OWN, "failed"),  # comes before its own pods
    ],
)
def test_what_the_install_serves_again_in_time_blocks_nothing(
    component: str, stage: str, brought: dict[tuple[str, str], str], verdict: str
) -> None:
    assert _verdict(webhook(), _certificate(component, stage), brought=brought) == verdict


@pytest.mark.parametrize(("policy", "verdict"), [("Fail", "failed"), ("Ignore", "warning")])
def test_only_what_fails_closed_blocks(policy: str, verdict: str) -> None:
    entry = webhook(rules=[rule([""], ["pods"])], failurePolicy=policy)
    assert _verdict(entry, POD, brought={}) == verdict


@pytest.mark.parametrize(
    ("state", "brought", "remedy"),
    [
        ("gone", OWN, "an install brings it back"),
        ("no-endpoints", OWN, "an install waits until cert-manager is ready"),
        ("gone", {}, "`kserve-installer plan` shows what an install makes of it"),
    ],
)
def test_our_own_is_a_warning_that_offers_no_removal(
    state: str, brought: dict[tuple[str, str], str], remedy: str
) -> None:
    (detail,) = own_verdicts([stale(webhook(), state=state)], brought)
    assert (detail.verdict, detail.remedy) == ("warning", remedy)

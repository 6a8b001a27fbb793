"""Every answer recorded on a real cluster while things were broken is judged as it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.cluster.errors import classify

# Broken webhook → kind and whether it passes; both for admission and for conversion unless the
# request is named.
BROKEN = {
    "webhook deployment scaled to 0": ("webhook-no-endpoints", True),
    "Service targetPort points to a port nobody listens on": ("webhook-refused", True),
    "Service targetPort points to a plain-HTTP port of the same pod": ("webhook-bad-answer", False),
    "Service has no port 443": ("webhook-no-service", False),
    "caBundle absent (cainjector not running)": ("webhook-x509", True),
    "caBundle is the placeholder Cg==": ("webhook-x509", True),
    "caBundle is of another CA": ("webhook-x509", True),
    "server accepts and closes at once": ("webhook-reset", True),
    "server closes after the request": ("webhook-reset", True),
    "certificate for another name": ("webhook-x509", False),
    "certificate of another CA": ("webhook-x509", True),
    "certificate without SAN": ("webhook-x509", False),
    "certificate expired": ("webhook-x509", False),
    "HTTP 500 from the webhook": ("webhook-http", True),
    "HTTP 404 from the webhook": ("webhook-http", True),
    "HTTP 503 from the webhook": ("webhook-http", True),
    "HTTP 502 from the webhook": ("webhook-http", True),
    "HTTP 403 from the webhook": ("webhook-http", False),
    "not JSON": ("webhook-bad-answer", False),
    "empty AdmissionReview": ("webhook-bad-answer", False),
    "denied with message, admission": ("denied", False),
    "denied with message, conversion": ("webhook-bad-answer", False),
    "denied without message, admission": ("denied", False),
    "denied without message, conversion": ("webhook-bad-answer", False),
    "plain HTTP server": ("webhook-timeout", True),
    "connection refused": ("webhook-refused", True),
    "address without a host": ("webhook-refused", True),
    "server accepts and says nothing": ("webhook-timeout", True),
    "server never answers the request": ("webhook-timeout", True),
    "only not-ready addresses": ("webhook-no-endpoints", True),
    "Service deleted": ("webhook-no-service", True),
    "restored": ("webhook-x509", True),
}

# Through the ClusterIP a Service without pods answers like one on which nobody listens.
BY_CLUSTER_IP = {
    "baseline": ("webhook-refused", True),
    "webhook deployment scaled to 0": ("webhook-refused", True),
    "webhook deployment scaled back to 1": ("webhook-refused", True),
    "Service targetPort points to a port nobody listens on": ("webhook-refused", True),
    "Service has no port 443": ("webhook-no-service", False),
    "Service deleted": ("webhook-no-service", True),
}

# In the order in which they were seen; every one of them passed.
RESTARTS = {
    "KFServing controller scaled to 0": {"webhook-no-endpoints", "webhook-reset"},
    "KFServing controller scaled from 0 to 1": {"webhook-no-endpoints", "webhook-refused"},
    "KFServing controller pod deleted (a restart)": {"webhook-no-endpoints", "webhook-refused"},
    "Knative webhook scaled to 0": {"webhook-no-endpoints"},
    "Knative webhook scaled from 0 to 1": {"webhook-no-endpoints"},
    "net-istio webhook scaled to 0": {"webhook-no-endpoints"},
    "istiod scaled to 0": {"webhook-no-endpoints"},
    "istiod scaled from 0 to 1": {"webhook-no-endpoints"},
    "Secret kfserving-webhook-server-cert deleted; "
    "cert-manager issues a new one, nothing restarted": {"webhook-x509"},
    "after that: KFServing controller pod deleted": {"webhook-no-endpoints", "webhook-refused"},
    "Secret webhook-certs emptied "
    "(kubectl apply of the manifest would not do it; a replace would)": {"webhook-x509"},
}

# What the API server said while the stack was being installed.
PROBED = {
    "cert-manager": {
        (404, "no-match", False),
        (422, "invalid", False),
        (500, "webhook-no-service", True),
        (500, "webhook-no-endpoints", True),
    },
    "istio": {
        (404, "no-match", False),
        (400, "denied", False),
        (500, "webhook-no-service", True),
        (500, "webhook-no-endpoints", True),
    },
    "kfserving": {
        (404, "no-match", False),
        (404, "not-found", False),
        (400, "dry-run-unsupported", False),
        (500, "webhook-no-endpoints", True),
        (500, "webhook-refused", True),
        (500, "webhook-x509", True),
    },
    "knative": {
        (404, "no-match", False),
        (404, "not-found", False),
        (400, "denied", False),
        (500, "webhook-no-endpoints", True),
    },
}


def _recordings(shared: Path) -> Path:
    return shared / "facts/recordings/kfserving-0.5.1/install"


def _failures(shared: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(case, answer) of every answer that was an error."""
    text = (_recordings(shared) / f"webhook-failures-{name}.yaml").read_text()
    for case in yaml.load(text, Loader=yaml.CSafeLoader):
        for answer in case.get("answersOverTime", [case]):
            if answer["code"] >= 300:
                yield case["case"], answer


def test_each_way_to_break_a_webhook_is_told_apart(shared: Path) -> None:
    seen = set()
    for case, answer in _failures(shared, "endpoint-routing"):
        kind = answer["request"].partition(":")[0]
        name = case if case in BROKEN else f"{case}, {kind}"
        failure = classify(answer["code"], answer["body"])
        assert (failure.kind, failure.transient) == BROKEN[name], (case, kind)
        seen.add(name)
    assert seen == set(BROKEN)


def test_a_broken_webhook_is_named_with_its_service_and_a_remedy(shared: Path) -> None:
    for case, answer in _failures(shared, "endpoint-routing"):
        failure = classify(answer["code"], answer["body"])
        admission = answer["request"].startswith("admission")
        expected = (
            "webhook.cert-manager.io" if admission else "conversion of Issuer.cert-manager.io"
        )
        assert failure.webhook == expected, case
        assert expected in failure.cause
        if failure.kind in ("webhook-no-endpoints", "webhook-no-service", "webhook-refused"):
            assert "Service cert-manager/cert-manager-webhook" in failure.cause


@pytest.mark.parametrize(
    "recording", ["endpoint-routing", "clusterip-routing", "kfserving-knative-istio"]
)
def test_every_failed_call_names_its_webhook_and_says_what_to_do(
    shared: Path, recording: str
) -> None:
    for case, answer in _failures(shared, recording):
        failure = classify(answer["code"], answer["body"])
        assert failure.webhook, (case, failure)
        assert failure.webhook in failure.cause, case
        assert failure.remedy, (case, failure)


def test_faults_seen_through_the_cluster_ip_are_judged_alike(shared: Path) -> None:
    seen = set()
    for case, answer in _failures(shared, "clusterip-routing"):
        failure = classify(answer["code"], answer["body"])
        assert (failure.kind, failure.transient) == BY_CLUSTER_IP[case], case
        seen.add(case)
    assert seen == set(BY_CLUSTER_IP)


def test_whatever_a_restarting_webhook_answers_passes(shared: Path) -> None:
    seen: dict[str, set[str]] = {}
    for case, answer in _failures(shared, "kfserving-knative-istio"):
        failure = classify(answer["code"], answer["body"])
        assert failure.transient, (case, failure)
        seen.setdefault(case, set()).add(failure.kind)
    assert seen == RESTARTS


@pytest.mark.parametrize("component", sorted(PROBED))
def test_each_answer_during_the_install_of_a_component_is_judged(
    shared: Path, component: str
) -> None:
    lines = (_recordings(shared) / f"probes-{component}.jsonl").read_text().splitlines()
    answers = [answer for answer in map(json.loads, lines) if answer["code"] >= 300]
    failures = [classify(answer["code"], answer["body"]) for answer in answers]
    assert {(f.code, f.kind, f.transient) for f in failures} == PROBED[component]
    assert all(f.webhook for f in failures if f.kind.startswith(("webhook", "denied", "dry")))
    assert all(f.cause for f in failures)
    # These two are answers that this program asks for on purpose.
    silent = [f for f in failures if f.kind not in ("not-found", "dry-run-unsupported")]
    assert all(f.remedy for f in silent), [f for f in silent if not f.remedy]

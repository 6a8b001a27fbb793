"""Answers and failures that were not recorded while installing, or that only later servers give."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
from urllib3 import exceptions as http

from installer.cluster.errors import ApiError, Conflict, classify
from installer.cluster.no_answer import classify_exception


def status(message: str, reason: str = "", **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "message": message, "reason": reason, "details": details}


CALL = 'Internal error occurred: failed calling webhook "w.example.org": failed to call webhook: '
POST = CALL + 'Post "https://w.system.svc:443/check?timeout=10s": '

ANSWERS = [
    # webhook calls as Kubernetes ≥ 1.22 and Go ≥ 1.20 word them
    (500, POST + "tls: failed to verify certificate: x509: certificate signed by unknown authority",
     "webhook-x509", True),
    (500, POST + "tls: failed to verify certificate: x509: certificate has expired or is not yet "
     "valid: current time 2026-01-01T00:00:00Z is before 2026-01-02T00:00:00Z",
     "webhook-x509", True),
    (500, POST + "x509: certificate is valid for net-istio-webhook, not webhook.system.svc",
     "webhook-x509", False),
    (500, POST + "dial tcp 10.20.2.5:8443: i/o timeout", "webhook-timeout", True),
    (500, POST + "net/http: request canceled while waiting for connection "
     "(Client.Timeout exceeded while awaiting headers)", "webhook-timeout", True),
    (500, POST + "http2: client connection lost", "webhook-reset", True),
    (500, POST + "proxy error from unix-socket while dialing w.system.svc:443, code 503: no",
     "webhook-refused", True),
    (500, POST + "Service Unavailable", "webhook-http", False),
    (500, POST + "Gateway Timeout", "webhook-http", False),
    (500, CALL + "expected webhook response of admission.k8s.io/v1, got /", "webhook-bad-answer",
     False),
    (500, CALL + "something that nobody has seen yet", "webhook-http", True),
    (400, 'admission webhook "w" does not support dry run', "dry-run-unsupported", False),
    (422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "denied", False),
    (403, 'pods "p" is forbidden: violates PodSecurity "restricted:latest": root', "denied", False),
    # what the API server itself refuses
    (401, "Unauthorized", "unauthorized", False),
    (403, 'clusterroles "c" is forbidden: user "u" is attempting to grant RBAC permissions not '
     "currently held", "forbidden", False),
    (403, 'pods "p" is forbidden: exceeded quota: q, requested: pods=1', "quota", False),
    (403, 'pods "p" is forbidden: unable to create new content in namespace n because it is being '
     "terminated", "terminating-namespace", True),
    (404, "the server could not find the requested resource", "no-match", False),
    (404, 'services "s" not found', "not-found", False),
    (405, "the server does not allow this method on the requested resource", "invalid", False),
    (409, 'leases "l" already exists', "already-exists", False),
    (409, 'object is being deleted: jobs "j" already exists', "already-exists", True),
    (409, "Operation cannot be fulfilled: the object has been modified", "conflict", True),
    (409, "Operation cannot be fulfilled on namespaces: The system is ensuring all content is "
     "removed from this namespace", "terminating-namespace", True),
    (410, "The provided continue parameter is too old", "gone", False),
    (413, "Request entity too large: limit is 3145728", "invalid", False),
    (422, 'Deployment "d" is invalid: spec.selector: Invalid value: {}: field is immutable',
     "immutable", False),
    (422, 'Job "j" is invalid: spec: Forbidden: updates to statefulset spec for fields other than '
     "'replicas' are forbidden", "immutable", False),
    (422, 'Service "s" is invalid: spec.clusterIPs[0]: Invalid value: ["10.9.0.1"]: may not change '
     "once set", "immutable", False),
    (422, 'ConfigMap "c" is invalid: []: Too long: may not be more than 1048576 bytes', "invalid",
     False),
    (422, 'ConfigMap "c" is invalid: metadata.name: Required value', "invalid", False),
    (500, "failed to create typed patch object: .spec.ports: element 0: associative list with keys "
     'has an element that omits key field "protocol" (and doesn\'t have default value)',
     "invalid", False),
    (500, "failed to create typed patch object: .spec.foo: field not declared in schema",
     "invalid", False),
    # passing troubles of the control plane
    (429, "Too many requests, please try again later.", "throttled", True),
    (500, "etcdserver: leader changed", "etcd", True),
    (500, "etcdserver: request timed out", "etcd", True),
    (500, "etcdserver: mvcc: database space exceeded", "etcd", False),
    (500, "context deadline exceeded", "timeout", True),
    (504, "Timeout: request did not complete within requested timeout 34s", "timeout", True),
    (503, "the server is currently unable to handle the request", "server-error", True),
    (500, "something else", "server-error", True),
    (302, "", "server-error", False),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message", "kind", "transient"), ANSWERS)
def test_an_answer_is_judged(code: int, message: str, kind: str, transient: bool) -> None:
    failure = classify(code, status(message))
    assert (failure.kind, failure.transient, failure.code) == (kind, transient, code)
    assert failure.cause


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (
            'nodes is forbidden: User "u" cannot list resource "nodes" in API group "" at the '
            "cluster scope",
            "the right to list nodes in the whole cluster is enough",
        ),
        (
            'deployments.apps "d" is forbidden: User "u" cannot get resource "deployments" in API '
            'group "apps" in the namespace "n"',
            "the right to get deployments.apps in namespace n is enough",
        ),
        (
            'deployments.apps "d" is forbidden: User "u" cannot patch resource "deployments" in '
            'API group "apps" in the namespace "n"',
            "`kserve-installer rbac RELEASE` prints the rights",
        ),
        (
            'clusterroles "c" is forbidden: user "u" is attempting to grant RBAC permissions not '
            "currently held",
            "cluster-admin",
        ),
    ],
)
def test_no_more_rights_are_asked_for_than_are_missing(message: str, remedy: str) -> None:
    failure = classify(403, status(message))
    assert failure.kind == "forbidden"
    assert not failure.transient
    assert remedy in failure.remedy
    assert ("cluster-admin" in failure.remedy) is ("grant" in message)


def test_a_proxy_before_a_webhook_is_explained() -> None:
    assert "NO_PROXY" in classify(500, status(POST + "Service Unavailable")).remedy


def test_a_firewall_before_a_webhook_is_explained() -> None:
    failure = classify(500, status(POST + "dial tcp 10.20.2.5:8443: i/o timeout"))
    assert "control plane" in failure.remedy
    assert "8443" in failure.remedy


def test_every_foreign_owner_of_a_field_is_named() -> None:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "pilot-discovery" using admissionregistration.k8s.io/v1beta1'
            " at 2026-11-23T10:00:00Z",
            "field": '.webhooks[name="validation.istio.io"].failurePolicy',
        },
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "helm"',
            "field": ".spec.replicas",
        },
    ]
    failure = classify(409, status("Apply failed with 2 conflicts", "Conflict", causes=causes))
    assert (failure.kind, failure.transient) == ("field-conflict", False)
    assert failure.conflicts == (
        Conflict(
            "pilot-discovery", "Update", '.webhooks[name="validation.istio.io"].failurePolicy'
        ),
        Conflict("helm", "Apply", ".spec.replicas"),
    )
    assert ".spec.replicas by helm" in failure.cause
    assert "--take-ownership" in failure.remedy


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({"retry-after": "7"}, {"retryAfterSeconds": 3}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_wish_of_the_server_to_wait_is_read(
    headers: dict[str, str], details: dict[str, int], seconds: float | None
) -> None:
    assert classify(429, status("busy", **details), headers).retry_after == seconds


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", "", b"", None, b"\xff\xfe", "{oops"])
def test_an_answer_that_is_no_status_is_judged_by_its_code(body: Any) -> None:
    failure = classify(502, body)
    assert (failure.kind, failure.transient) == ("server-error", True)
    assert "<" not in failure.cause


@pytest.mark.parametrize("braces", ["{text}", "{0}", "{", "100%s"])
def test_braces_in_a_message_are_left_as_they_are(braces: str) -> None:
    assert braces in classify(422, status(f"bad value {braces}")).cause
    assert braces in classify(500, status(POST + braces)).cause


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


EXCEPTIONS = [
    (http.NewConnectionError(None, "no"), "unreachable", True),  # type: ignore[arg-type]
    (http.NameResolutionError("h", None, socket.gaierror(-2, "?")), "unreachable", True),  # type: ignore[arg-type]
    (http.ConnectTimeoutError(None, "late"), "timeout", True),
    (http.ReadTimeoutError(None, "/", "late"), "timeout", True),  # type: ignore[arg-type]
    (TimeoutError("timed out"), "timeout", True),
    (ConnectionResetError(104, "Connection reset by peer"), "unreachable", True),
    (http.ProtocolError("aborted", ConnectionResetError(104, "Connection reset")), "unreachable",
     True),
    (http.IncompleteRead(1, 2), "unreachable", True),
    (http.SSLError(ssl.SSLCertVerificationError(1, "certificate verify failed")), "tls", False),
    (http.SSLError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")), "unreachable",
     True),
    (http.ProxyError("no", OSError(111, "Connection refused")), "unreachable", True),
    (ValueError("a bug"), "unreachable", False),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "transient"), EXCEPTIONS)
def test_a_request_without_an_answer_is_judged(
    error: Exception, kind: str, transient: bool
) -> None:
    failure = classify_exception(error)
    assert (failure.kind, failure.transient, failure.code) == (kind, transient, 0)


def test_the_words_of_the_operating_system_are_kept() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    error = caused(http.NewConnectionError(None, "no"), refused)  # type: ignore[arg-type]
    assert classify_exception(error).cause == "connection refused"


@pytest.mark.parametrize(
    ("reason", "passes"),
    [("SSLV3_ALERT_UNEXPECTED_MESSAGE", True), ("WRONG_VERSION_NUMBER", False)],
)
def test_only_a_garbled_tls_record_is_worth_another_try(reason: str, passes: bool) -> None:
    alert = ssl.SSLError(1, "TLS")
    alert.reason = reason
    failure = classify_exception(http.SSLError(alert))
    assert (failure.kind, failure.transient) == ("tls", passes)


def test_an_expired_client_certificate_is_recognised_from_the_alert() -> None:
    alert = ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert")
    alert.reason = "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    failure = classify_exception(http.SSLError(alert))
    assert "has expired" in failure.cause


def test_an_error_carries_what_it_is_about_and_what_to_do() -> None:
    error = ApiError(classify(401, status("Unauthorized")), "Pod a/b")
    assert error.to_dict() == {
        "kind": "unauthorized",
        "message": "Unauthorized",
        "object": "Pod a/b",
        "remedy": "log in again, or get a new kubeconfig",
    }

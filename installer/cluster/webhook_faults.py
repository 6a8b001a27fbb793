"""Why the API server could not call an admission or conversion webhook, from its message. Pure.

A rule is transient when a webhook that is being installed, restarted or given its certificate
passes through it. Texts: recordings of 29 faults and of real restarts on Kubernetes 1.20.2; Go's
`tls: failed to verify certificate:` and Kubernetes' `failed to call webhook:` came later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CALL = re.compile(r'failed calling (?:admission )?webhook "(?P<webhook>[^"]+)": (?P<why>.+)', re.S)
_CONVERSION = re.compile(
    r"conversion webhook for (?P<group_version>\S+), Kind=(?P<kind>\w+) failed: (?P<why>.+)", re.S
)
_SERVICE = re.compile(r'"https://(?P<name>[^."]+)\.(?P<namespace>[^."]+)\.svc[^"]*"')
_POST = re.compile(r'^(?:failed to call webhook: )?(?:Post "[^"]*": )?')

_LOOK = "look at the pods behind it{command}"
_FIREWALL = (
    "if its pods run, let the control plane reach them: allow the targetPort of {service} (8443, "
    "9443, 10250 and 15017 are usual) from the control plane to the nodes"
)
_NO_PROXY = (
    "the API server seems to send webhook calls through an HTTP proxy: add .svc, "
    ".svc.cluster.local and the Service and pod address ranges to NO_PROXY of kube-apiserver"
)
_CERTIFICATE = (
    "the certificate served does not suit {service}: have it issued again "
    "(delete its Secret and restart the pods of the webhook), and check that the pods run the "
    "image meant for them"
)


@dataclass(frozen=True, slots=True)
class WebhookFault:
    """What is wrong with a webhook; webhook is its name, or `conversion of KIND.GROUP`."""

    kind: str
    transient: bool
    cause: str
    remedy: str
    webhook: str


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: str
    kind: str
    transient: bool
    cause: str
    remedy: str


# The first rule that is found in the text wins: the specific before the general. Patterns are
# compiled when first used.
_RULES = (
    _Rule(
        r"no endpoints available for service",
        "webhook-no-endpoints",
        True,
        "{service} has no ready pod",
        _LOOK,
    ),
    _Rule(
        r'service "[^"]+" not found',
        "webhook-no-service",
        True,
        "{service} does not exist",
        "if nothing is going to create it, the webhook is a leftover: delete its configuration",
    ),
    _Rule(
        r"no service port \d+ found",
        "webhook-no-service",
        False,
        "{service} lacks the port that the webhook is called on",
        "give the Service that port, or correct the port in the webhook's configuration",
    ),
    _Rule(
        r"x509: certificate is valid for|x509: cannot validate certificate|"
        r"x509: certificate is not valid for any names",
        "webhook-x509",
        False,
        "its certificate is made out to another name ({detail})",
        _CERTIFICATE,
    ),
    _Rule(
        r"x509: certificate relies on legacy Common Name",
        "webhook-x509",
        False,
        "its certificate names its Service only as Common Name, which is no longer accepted",
        _CERTIFICATE,
    ),
    _Rule(
        r"x509: certificate has expired or is not yet valid: .* is before",
        "webhook-x509",
        True,
        "its certificate is not valid yet: the clocks of the nodes differ ({detail})",
        "synchronise the clocks of the nodes",
    ),
    _Rule(
        r"x509: certificate has expired",
        "webhook-x509",
        False,
        "its certificate has expired ({detail})",
        "have it issued again: delete its Secret and restart the pods of the webhook, then check "
        "that cert-manager, or whoever issues it, works",
    ),
    _Rule(
        r"x509: certificate signed by unknown authority",
        "webhook-x509",
        True,
        "the API server does not trust its certificate: the caBundle is not filled in yet, or is "
        "not that of the certificate",
        "see whether cert-manager's cainjector, or the controller that fills it in, runs and gets "
        "its leader lease",
    ),
    _Rule(
        r"x509: ",
        "webhook-x509",
        True,
        "the API server refuses its certificate ({detail})",
        _CERTIFICATE,
    ),
    _Rule(
        r"tls: internal error|tls: unrecognized name",
        "webhook-x509",
        True,
        "it has no certificate to serve yet",
        _LOOK,
    ),
    _Rule(
        r"proxy error from .* while dialing",
        "webhook-refused",
        True,
        "the API server's egress proxy cannot reach it ({detail})",
        "see whether konnectivity, or the tunnel that your provider uses instead, is up",
    ),
    _Rule(
        r"connection refused",
        "webhook-refused",
        True,
        "nothing listens at {service} yet (connection refused)",
        _LOOK,
    ),
    _Rule(
        r"no route to host|network is unreachable",
        "webhook-refused",
        True,
        "the API server has no route to the pods of {service}",
        _FIREWALL,
    ),
    _Rule(
        r"connection reset by peer|\bEOF\b|broken pipe|client connection (?:force closed|lost)|"
        r"use of closed network connection|server closed idle connection",
        "webhook-reset",
        True,
        "it closed the connection without an answer",
        _LOOK,
    ),
    _Rule(
        r"TLS handshake timeout|context deadline exceeded|i/o timeout|Client\.Timeout|"
        r"timeout awaiting response headers|request canceled|context canceled|"
        r"connection timed out",
        "webhook-timeout",
        True,
        "it did not answer in time ({detail})",
        _FIREWALL,
    ),
    _Rule(
        r"server gave HTTP response to HTTPS client",
        "webhook-bad-answer",
        False,
        "it speaks plain HTTP where HTTPS is expected",
        "correct targetPort of {service}",
    ),
    _Rule(
        r"^(?:Service Unavailable|Gateway Time-?out|Bad Gateway|Forbidden|"
        r"Proxy Authentication Required|Not Found|Method Not Allowed)$",
        "webhook-http",
        False,
        "a proxy between the API server and the webhook refused the call ({detail})",
        _NO_PROXY,
    ),
    _Rule(
        r"RBAC: access denied",
        "webhook-http",
        False,
        "a policy of the service mesh denied the call (RBAC: access denied)",
        "let the API server through to the webhook's port, for example with an Istio "
        "AuthorizationPolicy, or keep the mesh out of that namespace",
    ),
    _Rule(
        r"the server could not find the requested resource",
        "webhook-http",
        True,
        "it answers 404: its pods do not know the path yet, or are of another version",
        _LOOK,
    ),
    _Rule(
        r"the server is currently unable to handle the request|an error on the server|"
        r"the server was unable to return a response|too many requests",
        "webhook-http",
        True,
        "it answers with an error ({detail})",
        "read the log of its pods{command}",
    ),
    _Rule(
        r"couldn't get version/kind|json parse error|invalid character|response was absent|"
        r"expected webhook response|received invalid webhook response|"
        r"no kind \"[^\"]*\" is registered|response\.result\.status was|webhook returned response",
        "webhook-bad-answer",
        False,
        "its answer is not that of a webhook ({detail})",
        "see what answers at {service}, and whether its pods are of the version that the webhook's "
        "configuration is for",
    ),
)
_UNKNOWN = _Rule(
    r"", "webhook-http", True, "the call failed ({detail})", "read the log of its pods{command}"
)


def webhook_fault(message: str) -> WebhookFault | None:
    """The fault that a Status message tells of, None when no webhook call failed in it."""
    call = _CALL.search(message)
    conversion = None if call else _CONVERSION.search(message)
    found = call or conversion
    if found is None:
        return None
    text = found["why"]
    why = _POST.sub("", text, count=1).strip()
    service = _SERVICE.search(text)
    if call:
        webhook, subject = call["webhook"], f"webhook {call['webhook']}"
    else:
        assert conversion is not None
        group = conversion["group_version"].rpartition("/")[0]
        webhook = f"conversion of {conversion['kind']}.{group}"
        subject = f"the webhook for {webhook}"
    rule = next((rule for rule in _RULES if re.search(rule.pattern, why)), _UNKNOWN)
    place = service["namespace"] if service else ""
    words = {
        "service": f"Service {place}/{service['name']}" if service else "its Service",
        "command": f": kubectl -n {place} get pods" if place else "",
        "detail": " ".join(why.split())[:300],
    }
    return WebhookFault(
        kind=rule.kind,
        transient=rule.transient,
        cause=f"{subject} failed: {rule.cause.format(**words)}",
        remedy=rule.remedy.format(**words),
        webhook=webhook,
    )

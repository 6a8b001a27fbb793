"""What an answer through the gateway means: which link it comes from, and what to do. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from installer.serving.ask import Reply

Origin = Literal["model", "gateway", "login", "nowhere"]
"""Who answered, as far as the answer tells."""

_LOGIN_SIGNS = ("/dex/", "/oauth2/", "/authservice", "/oidc", "openid", "response_type=code")
_UPSTREAM = ("no healthy upstream", "upstream connect error", "no route to host")
"""Bodies of Envoy (envoyproxy/envoy: source/common/http/codes and router)."""
_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reply says. reason: one word. says: a clause. remedy: a sentence or empty."""

    ok: bool
    origin: Origin
    reason: str
    says: str
    remedy: str = ""


def meaning(reply: Reply, host: str) -> Meaning:
    """What a reply to a prediction at `host` means."""
    if reply.trouble:
        return _no_answer(reply)
    if 300 <= reply.status < 400:
        return _redirect(reply)
    if reply.status in (401, 403):
        return _refused(reply)
    if reply.ok:
        return _answered(reply)
    if reply.status == 404:
        return _not_found(reply, host)
    if reply.status in (502, 503, 504):
        return _unavailable(reply)
    return _failed(reply)


_REMEDIES = {
    "name": "check the load balancer's name, or use --via nodeport or --via port-forward",
    "refused": "see that the gateway's pods run, or try another way with --via",
    "unreachable": "a firewall or route is in between; --via port-forward goes through the API "
    "server",
    "timeout": "a cold start may take longer than the time given: raise --request-timeout",
    "reset": "see the gateway's log",
    "certificate": "give --insecure to accept it all the same",
    "tls": "the gateway may speak plain HTTP on this port",
    "protocol": "the port may speak HTTP/2 only (gRPC models do): ask with a gRPC client",
}


def _no_answer(reply: Reply) -> Meaning:
    reason = reply.trouble.capitalize()
    return Meaning(False, "nowhere", reason, reply.message, _REMEDIES.get(reply.trouble, ""))


def _redirect(reply: Reply) -> Meaning:
    location = reply.headers.get("location", "")
    target = urlsplit(location)
    if any(sign in location.lower() for sign in _LOGIN_SIGNS):
        where = target.netloc or target.path.partition("?")[0]
        return Meaning(
            False,
            "login",
            "LoginRedirect",
            f"is sent to a login page at {where} ({reply.status}): requests must be authenticated",
            "send what the login gives, e.g. -H 'Cookie: authservice_session=…' or "
            "-H 'Authorization: Bearer …', or exempt the path from authentication",
        )
    if target.scheme == "https":
        return Meaning(
            False,
            "gateway",
            "HttpsRedirect",
            f"is sent to HTTPS ({reply.status})",
            "ask with --scheme https",
        )
    said = f"is sent on to {target.netloc}{target.path} ({reply.status})"
    return Meaning(False, "gateway", "Redirect", said, "see who answers there")


def _refused(reply: Reply) -> Meaning:
    said = _excerpt(reply)
    if "RBAC: access denied" in reply.text:
        return Meaning(
            False,
            "gateway",
            "AccessDenied",
            "a policy of Istio denies the request (RBAC: access denied)",
            "look at the AuthorizationPolicies of the namespace and of istio-system: the gateways, "
            "the activator and the autoscaler must get through",
        )
    return Meaning(
        False,
        "login",
        "Unauthorized",
        f"is refused with {reply.status}{said}",
        "send credentials with -H 'Authorization: Bearer …'",
    )


def _excerpt(reply: Reply) -> str:
    text = " ".join(reply.text.split())[:_EXCERPT]
    return f": {text}" if text else ""


def _not_found(reply: Reply, host: str) -> Meaning:
    if not reply.body.strip():
        return Meaning(
            False,
            "gateway",
            "NoRoute",
            f"the gateway knows no route for {host} (404 with an empty body)",
            "send the Host header exactly as the InferenceService's status.url has it; since "
            "Knative 1.8 the default domain is svc.cluster.local, which only pods can use",
        )
    said = f"answers 404{_excerpt(reply)}"
    return Meaning(False, "model", "NoSuchModel", said, "check the model's name and its protocol")


def _unavailable(reply: Reply) -> Meaning:
    text = reply.text.lower()
    if not text.strip() or any(sign in text for sign in _UPSTREAM):
        return Meaning(
            False,
            "gateway",
            "NoUpstream",
            f"the gateway reaches nothing behind it ({reply.status}{_excerpt(reply)})",
            "the first broken link above says where it ends",
        )
    if reply.status == 504:
        said = f"took too long behind the gateway (504{_excerpt(reply)})"
        return Meaning(False, "gateway", "GatewayTimeout", said, "see whether the model is at work")
    return _failed(reply)


def _failed(reply: Reply) -> Meaning:
    said = f"answers {reply.status}{_excerpt(reply)}"
    if reply.status in (426, 505):
        return Meaning(False, "model", "OtherHttp", said, "it wants another version of HTTP")
    remedy = "read the model's log"
    if reply.status == 429 or "overload" in reply.text.lower():
        remedy = "it has more requests than it takes: raise containerConcurrency or the scale"
    return Meaning(False, "model", f"Http{reply.status}", said, remedy)


def _answered(reply: Reply) -> Meaning:
    found = json_of(reply)
    if isinstance(found, Mapping):
        return Meaning(True, "model", "Answered", f"answers {reply.status} with JSON")
    kind = reply.headers.get("content-type", "no content type")
    if "html" in kind:
        said = f"answers {reply.status} with a page instead of JSON ({kind})"
        remedy = "this may be a login page: send credentials with -H 'Authorization: Bearer …'"
        return Meaning(False, "login", "Page", said, remedy)
    said = f"answers {reply.status}, and not with a JSON object ({kind}){_excerpt(reply)}"
    return Meaning(False, "model", "NotJson", said, "check that the predictor speaks its protocol")


def json_of(reply: Reply) -> Any:
    """The decoded body, None when it is no JSON."""
    try:
        return json.loads(reply.body)
    except ValueError:
        return None

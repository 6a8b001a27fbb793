"""Every answer of the API server that is a failure, classified once. Pure.

What was raised because there was no answer is judged by `no_answer`.

Transient failures pass by themselves while a cluster is being installed; permanent ones need a
person. Texts come from recordings of Kubernetes 1.20.2; an answer that fits no rule is judged by
its HTTP code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from installer.cluster.webhook_faults import webhook_fault
from installer.core.errors import InstallerError
from installer.core.objects import dig


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another field manager owns, as the API server writes its path."""

    manager: str
    operation: str
    field: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed request, judged.

    kind: kebab-case word. transient: passes by itself. cause: one sentence. remedy: one sentence
    or empty. code: HTTP status, 0 when there was no answer. retry_after: seconds the server asks
    to wait. webhook: name of the webhook that failed or denied. conflicts: for `field-conflict`.
    resume: of `gone`, the token that the server offers to go on with, past what has changed since.
    """

    kind: str
    transient: bool
    cause: str
    remedy: str = ""
    code: int = 0
    retry_after: float | None = None
    webhook: str = ""
    conflicts: tuple[Conflict, ...] = ()
    resume: str = ""


class ApiError(InstallerError):
    """A request that failed; `object` names what it was about."""

    def __init__(self, failure: Failure, about: str = "") -> None:
        super().__init__(failure.cause, kind=failure.kind, object=about, remedy=failure.remedy)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class _Rule:
    """code: 0 for any. pattern: searched in the message, whatever its case. cause: its words when
    ours say it better. Patterns are compiled when first used: most runs meet no failure.
    """

    code: int
    pattern: str
    kind: str
    transient: bool
    remedy: str = ""
    cause: str = ""


_GRANTS = (
    "use an account with the rights of cluster-admin: whoever creates a ClusterRole must hold "
    "every right in it"
)
_RIGHTS = (
    "`kserve-installer rbac RELEASE` prints the rights that are needed, `--from RELEASE` those of "
    "an upgrade too"
)
UNSERVED = "`kubectl api-resources` lists the kinds that it serves"
_EXCEPTION = (
    "change with the settings what it objects to, or ask whoever runs it to make an exception"
)
SEE_ETCD = "see whether etcd is healthy and its disks are fast enough"

# The first rule that fits wins.
_RULES = (
    _Rule(401, r"", "unauthorized", False, "log in again, or get a new kubeconfig"),
    _Rule(403, r"exceeded quota|failed quota", "quota", False, "raise the ResourceQuota"),
    _Rule(0, r"because it is being terminated", "terminating-namespace", True),
    _Rule(
        409,
        r"ensuring all content is removed",
        "terminating-namespace",
        True,
        "see what keeps it: kubectl get namespace NAME -o yaml, under status.conditions",
    ),
    _Rule(
        403,
        r"violates PodSecurity",
        "denied",
        False,
        "allow it with the label pod-security.kubernetes.io/enforce on the namespace",
    ),
    _Rule(403, r"attempting to grant", "forbidden", False, _GRANTS),
    _Rule(403, r"", "forbidden", False, _RIGHTS),
    _Rule(
        404,
        r"404 page not found|could not find the requested resource",
        "no-match",
        False,
        UNSERVED,
        cause="this cluster does not serve that kind, or not yet",
    ),
    _Rule(404, r"", "not-found", False),
    _Rule(409, r"object is being deleted", "already-exists", True),
    _Rule(409, r"already exists", "already-exists", False),
    _Rule(409, r"", "conflict", True),
    _Rule(410, r"", "gone", False),
    _Rule(
        0,
        r"associative list with keys has an element that omits key field",
        "invalid",
        False,
        "this Kubernetes version cannot default the key: write the field into that element",
    ),
    _Rule(0, r"failed to create typed (?:patch|live) object|field not declared", "invalid", False),
    _Rule(
        422,
        r"field is immutable|updates to .* are forbidden|may not (?:be changed|change once set)"
        r"|cannot change roleRef",
        "immutable",
        False,
        "the object must be deleted and created again to change this",
    ),
    _Rule(
        0,
        r"(?:request|request entity) (?:is )?too large|too long: (?:must have at|may not be more)",
        "invalid",
        False,
        "the object is too large for this cluster",
    ),
    _Rule(
        422,
        r"",
        "invalid",
        False,
        "look at the settings that change this object; without any, the release does not fit this "
        "Kubernetes version",
    ),
    _Rule(
        0, r"mvcc: database space exceeded", "etcd", False, "compact and defragment etcd, then "
        "disarm its NOSPACE alarm"
    ),
    _Rule(0, r"etcdserver: |etcd cluster is unavailable", "etcd", True, SEE_ETCD),
    _Rule(429, r"", "throttled", True, "wait until the API server is less busy"),
    _Rule(504, r"", "timeout", True, SEE_ETCD),
    _Rule(
        0,
        r"context deadline exceeded|request did not complete within|unable to return a response "
        r"in the time|timed out|Timeout:",
        "timeout",
        True,
        SEE_ETCD,
    ),
)  # fmt: skip


def classify(code: int, body: Any, headers: Mapping[str, str] | None = None) -> Failure:
    """Judge an HTTP answer ≥ 300. body: a decoded Status, or text or bytes of anything else."""
    status = _decoded(body)
    text = _message(code, status)
    retry_after = _retry_after(status, headers or {})
    failure = (
        _webhook(text)
        or _admission(text)
        or _field_conflict(code, status)
        or _unreadable(code, text)
        or _by_rule(code, text)
        or _by_code(code, text)
    )
    resume = str(dig(status, "metadata", "continue", default="")) if code == 410 else ""
    return replace(failure, code=code, retry_after=retry_after, resume=resume)


def _decoded(body: Any) -> Any:
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str) and body.lstrip().startswith("{"):
        try:
            return json.loads(body)
        except ValueError:
            return body
    return body


def _message(code: int, status: Any) -> str:
    """The Status' message; of another body its first words, unless it is a web page."""
    if isinstance(status, Mapping):
        return str(status.get("message") or status.get("reason") or f"HTTP {code}")
    text = " ".join(str(status or "").split())
    if not text or text.startswith("<"):
        return f"the API server answered HTTP {code}" + (" with a web page" if text else "")
    return text[:300]


def _retry_after(status: Any, headers: Mapping[str, str]) -> float | None:
    """Seconds from the Retry-After header (a date there is ignored) or the Status' details."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and value.strip().isdigit():
            return float(value)
    seconds = dig(status, "details", "retryAfterSeconds")
    return float(seconds) if isinstance(seconds, int) and seconds > 0 else None


def _webhook(text: str) -> Failure | None:
    fault = webhook_fault(text)
    if fault is None:
        return None
    return Failure(fault.kind, fault.transient, fault.cause, fault.remedy, webhook=fault.webhook)


_NO_DRY_RUN = re.compile(r'admission webhook "(?P<webhook>[^"]+)" does not support dry run')
_DENIED = re.compile(
    r'admission webhook "(?P<webhook>[^"]+)" denied the request(?P<why>: .*| without explanation)',
    re.S,
)
_POLICY = re.compile(r"ValidatingAdmissionPolicy '(?P<policy>[^']+)' .*denied request: .*", re.S)


def _admission(text: str) -> Failure | None:
    refused = _NO_DRY_RUN.search(text)
    if refused:
        cause = f"webhook {refused['webhook']} does not support dry run"
        return Failure("dry-run-unsupported", False, cause, webhook=refused["webhook"])
    webhook = _DENIED.search(text)
    if webhook:
        why = " ".join(webhook["why"].split())
        joint = "" if why.startswith(":") else " "
        cause = f"webhook {webhook['webhook']} denied the request{joint}{why}"
        return Failure("denied", False, cause, _EXCEPTION, webhook=webhook["webhook"])
    policy = _POLICY.search(text)
    if policy:
        cause = " ".join(text.split())
        return Failure("denied", False, cause, _EXCEPTION, webhook=policy["policy"])
    return None


_OWNER = re.compile(r'conflict with "(?P<manager>[^"]*)"(?P<rest>.*)', re.S)


def _field_conflict(code: int, status: Any) -> Failure | None:
    """Source: apiserver, `NewConflictError` of fieldmanager/internal: one cause per field."""
    causes = dig(status, "details", "causes", default=[])
    conflicts = []
    for cause in causes if code == 409 else ():
        found = _OWNER.search(str(dig(cause, "message", default="")))
        if dig(cause, "reason") == "FieldManagerConflict" and found:
            operation = "Update" if " using " in found["rest"] else "Apply"
            conflicts.append(Conflict(found["manager"], operation, str(cause.get("field", ""))))
    if not conflicts:
        return None
    owned = "; ".join(f"{c.field} by {c.manager}" for c in conflicts)
    return Failure(
        "field-conflict",
        False,
        f"other field managers own fields that are to be set: {owned}",
        "find out who manages these fields; --take-ownership takes them over",
        conflicts=tuple(conflicts),
    )


_UNREADABLE = re.compile(
    r'cannot (?P<verb>get|list|watch) resource "(?P<resource>[^"]+)" '
    r'in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)"| at the cluster scope)?'
)


def _unreadable(code: int, text: str) -> Failure | None:
    """Source: apiserver, `forbiddenMessage` of endpoints/handlers/responsewriters."""
    found = _UNREADABLE.search(text) if code == 403 else None
    if found is None:
        return None
    what = found["resource"] + (f".{found['group']}" if found["group"] else "")
    where = f"in namespace {found['namespace']}" if found["namespace"] else "in the whole cluster"
    remedy = f"the right to {found['verb']} {what} {where} is enough for this; {_RIGHTS}"
    return Failure("forbidden", False, text, remedy)


def _by_rule(code: int, text: str) -> Failure | None:
    for rule in _RULES:
        if rule.code in (0, code) and re.search(rule.pattern, text, re.IGNORECASE):
            return Failure(rule.kind, rule.transient, rule.cause or text, rule.remedy)
    return None


def _by_code(code: int, text: str) -> Failure:
    if code >= 500:
        remedy = "see whether the API server and what stands before it are healthy"
        return Failure("server-error", True, text, remedy)
    if 300 <= code < 400:
        remedy = "check the server address in the kubeconfig: this is no Kubernetes API"
        return Failure(
            "server-error", False, f"the server sends us elsewhere (HTTP {code})", remedy
        )
    return Failure("invalid", False, text)

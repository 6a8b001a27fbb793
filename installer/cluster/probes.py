"""Requests that show whether a webhook answers, and what their answers prove. Pure.

No probe can leave anything behind. A dry run stores nothing by definition. A webhook whose
`sideEffects` are unset or Unknown makes the API server refuse dry runs before it calls anything
(KFServing 0.5 and 0.6); there the probe is a real create which
- carries `metadata.resourceVersion`: the API server passes it through all of admission, and its
  storage then always refuses it ("resourceVersion should not be set on objects to be created";
  tried on 1.20.2, 1.25.3 and 1.34.4), and
- is an object that the webhook itself is known to deny, or, for a mutating webhook, one whose
  name is invalid: names are validated after mutating and before validating webhooks.

Order on the API server, tried on the same versions: mutating webhooks, validation of the object
(schema, name), validating webhooks, quota, conversion to the stored version. So a refusal by
validation proves mutating webhooks and says nothing of validating ones.

Which spec a webhook denies, or lets pass, is knowledge of its component: the catalog has it
(`Component.webhook_probes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from installer.catalog.model import WebhookProbe
from installer.cluster.errors import Failure
from installer.core.objects import Object, canonical

NAME = "kserve-installer-probe"
INVALID_NAME = "kserve-installer-probe_"

Phase = Literal["mutating", "validating", "conversion"]
Proof = Literal["strong", "weak", "failing", "blocked", "silent", "unproven"]
"""strong: the webhook itself answered. weak: the request passed where the webhook must have been
called, if the API server has seen its present configuration. failing: it cannot be called.
blocked: something else stood in the way, try again. silent: the API server itself was busy or
away, which says nothing of any webhook, try again. unproven: this request cannot tell."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. body: None for a GET. must_fail: it is no dry run, and is always refused."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: Object | None
    content_type: str = "application/json"
    must_fail: bool = False

    @property
    def key(self) -> bytes:
        """Equal for requests that are the same: webhooks of one kind share their probes."""
        return canonical([self.method, self.path, self.query, self.body])


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a decoded body, or a failure."""

    body: Any
    failure: Failure | None


_STORAGE_REFUSED = "resourceVersion should not be set"
_SILENT = ("unreachable", "timeout", "throttled", "server-error", "etcd")
_NO_ACCESS = ("unauthorized", "tls")


def judge(phase: Phase, webhook: str, answer: Answer) -> Proof:
    """What an answer says about a webhook (named as in its configuration, or as errors name a
    conversion: `conversion of KIND.GROUP`)."""
    failure = answer.failure
    if failure is None:
        return _passed(phase, answer.body)
    if failure.kind.startswith("webhook-"):
        return "failing" if failure.webhook == webhook else "blocked"
    if _STORAGE_REFUSED in failure.cause and phase != "conversion":
        return "weak"
    if failure.kind in _SILENT:
        return "silent"
    if failure.kind in _NO_ACCESS:
        return "blocked"
    if phase == "conversion":
        return "unproven"
    if failure.kind in ("quota", "already-exists", "conflict"):
        return "weak"
    if failure.kind == "denied":
        return _denied(phase, webhook, failure)
    if failure.code == 422:
        return "weak" if phase == "mutating" else "unproven"
    return "blocked" if failure.kind == "forbidden" else "unproven"


def _passed(phase: Phase, body: Any) -> Proof:
    if phase != "conversion":
        return "weak"
    if str(body.get("kind", "")).endswith("List"):
        return "strong" if body.get("items") else "unproven"  # nothing stored, nothing converted
    return "strong"


def _denied(phase: Phase, webhook: str, failure: Failure) -> Proof:
    if failure.webhook == webhook:
        return "strong"
    # Who denied may be mutating itself and come first; whoever validates comes after.
    return "weak" if phase == "mutating" else "unproven"


def create(path: str, body: Object, *, dry_run: bool, invalid_name: bool = False) -> Probe:
    """A create that stores nothing: a dry run, or one that the API server's storage refuses."""
    metadata = {"name": INVALID_NAME if invalid_name else NAME, **body.get("metadata", {})}
    query = (("fieldManager", "kserve-installer"),)
    if dry_run:
        return Probe("POST", path, (*query, ("dryRun", "All")), {**body, "metadata": metadata})
    refused = {**body, "metadata": {**metadata, "resourceVersion": "1"}}
    return Probe("POST", path, query, refused, must_fail=True)


def touch(path: str) -> Probe:
    """A dry-run update of an existing object that changes nothing: admission is called."""
    query = (("fieldManager", "kserve-installer"), ("dryRun", "All"))
    return Probe("PATCH", path, query, {}, "application/merge-patch+json")


def read_one(path: str) -> Probe:
    """A list of at most one object: converts it when it is stored at another version."""
    return Probe("GET", path, (("limit", "1"),), None)


def allows_dry_run(entry: Mapping[str, Any]) -> bool:
    """Whether the API server calls this webhook for dry runs."""
    return entry.get("sideEffects") in ("None", "NoneOnDryRun")


_POD: Object = {"containers": [{"name": "probe", "image": "example.com/probe/probe"}]}


@dataclass(frozen=True, slots=True)
class Specs:
    """Specs to ask webhooks with: those that the catalog knows of a component's kinds."""

    known: Sequence[WebhookProbe] = ()

    def of(self, group: str, kind: str, version: str, *, denied: bool) -> Object | None:
        """A known spec of a kind: one that is denied where asked for and known, else one that
        passes; None when neither is known."""
        for probe in self.known:
            if probe.covers(group, kind, version):
                spec = probe.denied if denied and probe.denied is not None else probe.passing
                return None if spec is None else dict(spec)
        return _POD if (group, kind) == ("", "Pod") else None

    def denies(self, group: str, kind: str, version: str) -> bool:
        """Whether a spec of this kind is known that its webhook denies."""
        return any(p.denied is not None and p.covers(group, kind, version) for p in self.known)

    def knows(self, group: str, kind: str) -> bool:
        """Whether there is a spec of the kind at some version: such kinds are probed first."""
        known = {(probe.group, probe.kind) for probe in self.known}
        return (group, kind) in known | {("", "Pod"), ("", "ConfigMap")}

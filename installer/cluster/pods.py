"""What is wrong with a pod, read from its status: a pure function.

A pod's faults come in two sorts. *Terminal*: trying again cannot help (an image name that is no
name, a tag that the registry does not know, the fourth start of a program that ends at once,
eviction). *Suspicious*: the kubelet tries again and may well succeed (a pull that backs off, a
missing Secret that a controller is about to write, no node with room); how long that is
tolerated is the waiting side's decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from installer.core.objects import Object, conditions, dig
from installer.core.words import plural

Trouble = Literal["image", "crash", "config", "evicted", "unschedulable", "failed"]

RESTARTS = 3
"""From this many restarts on, a container in back-off is taken for a crash loop. Kubelets back off
10, 20, 40 s: a program that only waits for something a stage brings has had over a minute."""

_PULL_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable")
_NEVER_PULLED = ("InvalidImageName", "ErrImageNeverPull")
_CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

# What registries and container runtimes say when the image is not there or not allowed.
_NO_SUCH_IMAGE = re.compile(
    r"manifest unknown|manifest for .* not found|: not found|name unknown|"
    r"repository does not exist|no match for platform|invalid reference format",
    re.IGNORECASE,
)
_TAIL = 300
"""Characters of a container's last output worth showing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a pod. message: a clause that reads after the pod's owner."""

    trouble: Trouble
    reason: str
    message: str
    terminal: bool
    container: str = ""
    restarts: int = 0


def fault_of(pod: Object) -> Fault | None:
    """The first fault of a pod, terminal ones first; None for a pod that is merely starting."""
    found = list(_faults(pod))
    return next((fault for fault in found if fault.terminal), found[0] if found else None)


def _faults(pod: Object) -> Iterator[Fault]:
    if dig(pod, "status", "phase") == "Failed":
        yield _ended(pod)
        return
    for status in _statuses(pod):
        fault = container_fault(status)
        if fault is not None:
            yield fault
    scheduled = conditions(pod).get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        text = f"no node takes its pod: {scheduled.get('message') or 'unschedulable'}"
        yield Fault("unschedulable", "Unschedulable", text, terminal=False)


def _statuses(pod: Object) -> Iterator[Mapping[str, Any]]:
    for key in ("initContainerStatuses", "containerStatuses"):
        yield from dig(pod, "status", key, default=[])


def _ended(pod: Object) -> Fault:
    reason = str(dig(pod, "status", "reason", default="Failed"))
    message = str(dig(pod, "status", "message", default="")).strip()
    if reason == "Evicted":
        return Fault(
            "evicted", reason, f"its pod was evicted: {message or 'no reason given'}", True
        )
    for status in _statuses(pod):
        ended = dig(status, "state", "terminated", default={})
        if ended.get("exitCode"):
            return Fault("failed", reason, _exit(status, ended), True, str(status.get("name", "")))
    return Fault("failed", reason, message or "its pod failed", terminal=True)


def container_fault(status: Mapping[str, Any]) -> Fault | None:
    """What is wrong with one container, from its entry in containerStatuses."""
    name = str(status.get("name", ""))
    waiting = dig(status, "state", "waiting", default={})
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", "")).strip()
    if reason in _PULL_REASONS or reason == "InvalidImageName":
        never = reason in _NEVER_PULLED or bool(_NO_SUCH_IMAGE.search(message))
        text = f"container {name} cannot pull image {status.get('image', '')}"
        detail = pull_cause(message) or ("the name is not valid" if never else "")
        return Fault("image", reason, f"{text}: {detail}" if detail else text, never, name)
    if reason in _CONFIG_REASONS:
        text = f"container {name} cannot be created: {message or reason}"
        return Fault("config", reason, text, False, name)
    return _crash(status, name, reason)


def _crash(status: Mapping[str, Any], name: str, waiting: str) -> Fault | None:
    restarts = int(status.get("restartCount") or 0)
    now = dig(status, "state", "terminated", default={})
    ended = now or dig(status, "lastState", "terminated", default={})
    backing_off = waiting == "CrashLoopBackOff"
    if not backing_off and not (now and now.get("exitCode")):
        return None
    return Fault(
        "crash",
        waiting or str(ended.get("reason", "Error")),
        _exit(status, ended),
        terminal=backing_off and restarts >= RESTARTS,
        container=name,
        restarts=restarts,
    )


def _exit(status: Mapping[str, Any], ended: Mapping[str, Any]) -> str:
    """container X ended with exit code N (OOMKilled), restarted M times: last output."""
    text = f"container {status.get('name', '')} ended"
    if "exitCode" in ended:
        text += f" with exit code {ended['exitCode']}"
    reason = ended.get("reason")
    if reason and reason not in ("Error", "Completed"):
        text += f" ({reason})"
    restarts = int(status.get("restartCount") or 0)
    if restarts:
        text += f", restarted {plural(restarts, 'time')}"
    output = " ".join(str(ended.get("message") or "").split())
    return f"{text}: {output[-_TAIL:]}" if output else text


def pull_cause(message: str) -> str:
    """The telling part of a pull error, empty when it only says that it backs off.

    Runtimes wrap the cause many times (`rpc error: code = … desc = failed to pull and unpack
    image "…": failed to resolve reference "…": …: not found`); the last clauses say what it is.
    """
    message = " ".join(message.split())
    if not message or re.fullmatch(r'Back-off pulling image "[^"]*"', message):
        return ""
    if "manifest unknown" in message.lower():
        return "manifest unknown"
    clauses = message.rsplit(": ", 2)
    if len(clauses) == 3 and len(clauses[2]) < 40 and clauses[2] != "not found":
        return f"{clauses[1]}: {clauses[2]}"[-_TAIL:]
    return clauses[-1][-_TAIL:]

"""What a stage's gate waits for about one object, in a word. Pure."""

from __future__ import annotations

WAITS = ("active", "established", "ready", "answering", "complete")
"""Every word, in the order of the stages that wait so.

active       a Namespace that takes objects
established  a CustomResourceDefinition, served by discovery too
ready        pods that run, or a controller that has said Ready
answering    a webhook that was asked and answered
complete     a Job that has ended
"""

_BY_STAGE = {
    "namespaces": "active",
    "crds": "established",
    "setup": "ready",
    "workloads": "ready",
    "webhooks": "answering",
    "resources": "ready",
    "jobs": "complete",
}


def waits_for(stage: str, ready_at_once: bool) -> str:
    """One of `WAITS`; empty for what is ready as soon as it exists.

    ready_at_once: whether a new object of that kind counts as ready before anybody touched it.
    """
    if ready_at_once and stage in ("setup", "workloads", "resources"):
        return ""
    return _BY_STAGE[stage]

"""What engines tell while they work. Renderers (text, JSON lines) show it; engines never print.

`SCHEMA` is the contract of `-o json`; docs/events.md shows it and a test compares the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SCHEMA: dict[str, tuple[str, dict[str, str]]] = {
    "started": (
        "a command begins to work on a cluster",
        {
            "command": "string: install, uninstall, …",
            "release": "string: release name, empty when the command has none",
            "cluster": "object: context, server, version (strings), nodes (number)",
        },
    ),
    "recorded": (
        "the lock is held, and the run is about to write",
        {"run": "string: identifier of this run, as in the ledger"},
    ),
    "resuming": (
        "an earlier run of the same release did not end; this one continues it",
        {"run": "string: the earlier run", "done": "list of strings", "left": "list of strings"},
    ),
    "source": (
        "the bytes of one source are there, verified",
        {
            "component": "string",
            "url": "string",
            "origin": "string: bundle, mirror, cache or network",
            "bytes": "number",
            "seconds": "number",
        },
    ),
    "handed_over": (
        "whoever kept objects that are adopted has let go of them",
        {
            "keeper": "string: helm or knative-operator",
            "namespace": "string",
            "name": "string: of the Helm release, or of the KnativeServing",
            "components": "list of strings: adopted from it",
            "left": "list of strings: objects of it that the release does not have, and that stay",
        },
    ),
    "planned": (
        "what is to be done is known; nothing was written yet",
        {
            "components": "list of {name, version, objects}",
            "objects": "number",
            "create": "number",
            "change": "number",
            "unchanged": "number",
            "delete": "number",
        },
    ),
    "check": (
        "one check of the preflight ended",
        {
            "check": "string: id, a section of docs/checks.md",
            "category": "string",
            "sentence": "string: what holds when it is well",
            "verdict": "string: ok, note, warning, unknown, failed, skipped",
            "hint": "string: where docs explain it",
            "seconds": "number",
            "details": "list of {verdict, reason, remedy, object, data?}",
        },
    ),
    "checked": (
        "every check of the preflight ended",
        {
            "ok": "number of checks",
            "warning": "number",
            "unknown": "number: could not look",
            "failed": "number",
            "skipped": "number",
        },
    ),
    "rehearsing": (
        "a sandbox is filled from the cluster, and the upgrade begins there",
        {
            "sandbox": "string: its name",
            "kubernetes": "string: its version",
            "namespaces": "number: of users, copied",
            "objects": "number: custom resources of users, copied",
            "edits": "number: ConfigMap keys that users have edited, copied",
            "config_maps": "number: ConfigMaps that the objects name, copied",
            "secrets": "number: placeholders in place of Secrets",
        },
    ),
    "hop_planned": (
        "a hop as an upgrade would go it; of a dry run",
        {
            "from": "string: release",
            "to": "string: release",
            "hop": "number: which of the hops, from 1",
            "hops": "number",
            "plan": "object: as an element of `hops` of `upgrade plan -o json`",
        },
    ),
    "hop_started": (
        "an upgrade begins to go from one release to the next, or goes on with that",
        {
            "from": "string: release",
            "to": "string: release",
            "hop": "number: which of the hops, from 1",
            "hops": "number",
            "done": "list of strings: steps that an earlier run has done",
            "left": "list of strings: steps to be done",
        },
    ),
    "step_started": (
        "a step of a hop begins",
        {"from": "string: release", "to": "string: release", "step": "string", "about": "string"},
    ),
    "step_finished": (
        "a step of a hop is done, and the ledger says so",
        {"from": "string: release", "to": "string: release", "step": "string", "seconds": "number"},
    ),
    "hop_finished": (
        "the release of a hop is installed, and everything is as well as before",
        {"from": "string: release", "to": "string: release", "seconds": "number"},
    ),
    "moved": (
        "an InferenceService is in its new API group, and well; the old one is there still",
        {
            "object": "object: apiVersion, kind, namespace, name of the new one",
            "from": "string: API group of the old one",
            "handed_over": "number of objects that have it as their owner now",
            "trained_models": "number that were moved with it",
            "done": "number",
            "total": "number",
        },
    ),
    "edit": (
        "what an upgrade makes of a key that users have edited",
        {
            "object": "object: apiVersion, kind, namespace, name of the ConfigMap",
            "key": "string",
            "how": "string: kept (as users made it), merged (fields of both), released (as the "
            "release has it), unknown (kept, and the release no longer brings it), forgotten "
            "(kept, and the release no longer explains it in the ConfigMap's `_example`), pinned "
            "(said now as it was understood before), renamed (under the name that the next version "
            "knows)",
            "manager": "string: field manager that edited it, empty where that is not known",
        },
    ),
    "backup": (
        "a backup is written, whole and on the disk",
        {
            "file": "string",
            "objects": "number",
            "kinds": "object: number of objects by Kind.group",
            "bytes": "number: of the file",
            "sha256": "string: of its content",
            "seconds": "number",
        },
    ),
    "migrating": (
        "objects of a CRD are being rewritten: a page of them is done",
        {
            "definition": "string: name of the CRD",
            "version": "string: at which they are stored now",
            "done": "number of objects, those of an earlier run included",
            "left": "number: still to come, as far as the API server says",
        },
    ),
    "stored": (
        "the objects of a CRD were rewritten, so that it may lose versions",
        {
            "definition": "string: name of the CRD",
            "version": "string: at which all are stored now",
            "dropped": "list of strings: versions that nothing is stored at any more",
            "objects": "number: rewritten",
        },
    ),
    "serving": (
        "InferenceServices were looked at",
        {
            "total": "number",
            "ready": "number",
            "answering": "number: gave an answer through the gateway",
            "asked": "number: were asked",
        },
    ),
    "component_started": (
        "work on a component begins",
        {"component": "string", "version": "string"},
    ),
    "stage_started": (
        "a stage begins: its objects are about to be applied",
        {"component": "string", "stage": "string", "objects": "number"},
    ),
    "object": (
        "one object was decided on or written",
        {
            "component": "string",
            "stage": "string",
            "action": "string: created, changed, unchanged, deleted; of a dry run create, change, "
            "delete",
            "object": "object: apiVersion, kind, namespace, name",
        },
    ),
    "retrying": (
        "a request met a passing failure and is tried again",
        {
            "object": "string: what the request was about",
            "cause": "string",
            "attempt": "number: which try failed, from 1",
            "delay": "number: seconds until the next try",
        },
    ),
    "waiting": (
        "what a stage waits for; repeated when it changes",
        {
            "component": "string",
            "stage": "string",
            "for": "list of {object, state, reason}: at most 10, most telling first",
            "pending": "number",
            "total": "number",
        },
    ),
    "stage_finished": (
        "a stage is applied and its gate holds",
        {
            "component": "string",
            "stage": "string",
            "seconds": "number",
            "apply_seconds": "number: the part spent applying",
            "wait_seconds": "number: the part spent waiting",
        },
    ),
    "component_finished": (
        "every stage of a component holds",
        {"component": "string", "version": "string", "seconds": "number"},
    ),
    "warning": (
        "something the user should know; the work goes on",
        {"message": "string", "object": "string", "remedy": "string"},
    ),
    "finished": (
        "the last event of every command",
        {
            "outcome": "string: done, unchanged, failed, interrupted",
            "exit_code": "number",
            "created": "number",
            "changed": "number",
            "unchanged": "number",
            "deleted": "number",
            "writes": "number: write requests sent, the ledger's and the lock's included; a create "
            "that was refused because the object is there already is none",
            "seconds": "number",
            "error": "object {kind, message, object, remedy}; only on failure",
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: a key of `SCHEMA`, its fields, and seconds since the epoch."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)

    def to_dict(self) -> dict[str, Any]:
        """The JSON line: {event, time (RFC 3339, UTC, milliseconds), …fields}."""
        stamp = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return {"event": self.name, "time": stamp.replace("+00:00", "Z"), **self.fields}


Emit = Callable[[Event], None]
"""Where engines send events. Called from several threads; must not raise."""


def silent(event: Event) -> None:
    """An `Emit` that drops everything."""

"""Runs the real command against a sandbox and reads what it says and what it did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit import audited_writes as audited_writes

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.lock import LEASE
from installer.core.objects import Object, Ref, ref_of
from installer.sandbox.lifecycle import SandboxInfo

_SERVER_SET = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")


@dataclass(slots=True)
class Result:
    """A finished command: exit code, JSON lines, and stderr."""

    code: int
    events: list[dict[str, Any]]
    stderr: str

    @property
    def finished(self) -> dict[str, Any]:
        """The last event."""
        return self.events[-1] if self.events else {}

    def of(self, name: str) -> list[dict[str, Any]]:
        """All events of this name."""
        return [event for event in self.events if event["event"] == name]


@dataclass(slots=True)
class Installer:
    """`kserve-installer` against one cluster."""

    kubeconfig: Path
    mirror: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command with `-o json`; its cluster flags are added."""
        flags = ["--kubeconfig", str(self.kubeconfig), "-o", "json"]
        if words[0] in ("install", "uninstall", "upgrade", "rollback", "restore"):
            flags.append("--yes")
        if words[0] in ("install", "upgrade", "rollback", "rehearse"):
            flags += ["--mirror", str(self.mirror)]
        return subprocess.Popen(
            [sys.executable, "-m", "installer.cli.main", *words, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
        )

    def run(self, *words: str, timeout: float = 240) -> Result:
        """Run a command to its end."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"no end after {timeout} s:\n{out[-2000:]}\n{err}") from None
        return Result(process.returncode, list(_events(out)), err)

    def status(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit code and report of `status`."""
        process = self.start("status", *words)
        out, _ = process.communicate(timeout=60)
        return process.returncode, json.loads(out) if out else {}

    def run_until(self, index: int, how: signal.Signals, *words: str) -> tuple[Result, bool]:
        """Send a signal right after event number `index`; True when the command was hit by it."""
        process = self.start(*words)
        assert process.stdout is not None
        assert process.stderr is not None
        lines: list[str] = []
        hit = False
        for line in process.stdout:
            lines.append(line)
            if len(lines) == index + 1:
                process.send_signal(how)
                hit = True
        error = process.stderr.read()
        return Result(process.wait(60), list(_events("".join(lines))), error), hit


RELEASE = "kfserving-0.5.1"


@dataclass(slots=True)
class Place:
    """A sandbox and the command against it."""

    sandbox: SandboxInfo
    installer: Installer

    @property
    def audit_log(self) -> Path:
        """The API server's audit log."""
        assert self.sandbox.audit_log is not None
        return self.sandbox.audit_log

    def cluster(self) -> Cluster:
        """A connection for looking at the end state."""
        return Cluster.connect(kubeconfig=str(self.sandbox.kubeconfig))


@dataclass(slots=True)
class Stack(Place):
    """A place where RELEASE was installed by `first`."""

    first: Result


MakePlace = Callable[..., Place]
EndState = dict[Ref, Object]
"""What `state_of` gives."""


def follow(
    process: subprocess.Popen[str], wanted: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Read a running command's events up to the first that is wanted."""
    assert process.stdout is not None
    read = []
    for line in process.stdout:
        read.append(json.loads(line))
        if wanted(read[-1]):
            return read
    raise AssertionError(f"ended before the event came; the last was {read[-1:]}")


def at_stage(component: str, stage: str) -> Callable[[dict[str, Any]], bool]:
    """Wants the begin of a stage."""
    return lambda event: (
        event["event"] == "stage_started"
        and (event["component"], event["stage"]) == (component, stage)
    )


def finish(process: subprocess.Popen[str], timeout: float = 240) -> Result:
    """Read a running command to its end."""
    out, err = process.communicate(timeout=timeout)
    return Result(process.returncode, list(_events(out)), err)


def _events(out: str) -> Iterator[dict[str, Any]]:
    for line in out.splitlines():
        if line.endswith("}"):  # a killed process may leave half a line
            yield json.loads(line)


def state_of(cluster: Cluster, refs: Sequence[Ref]) -> EndState:
    """The objects without what differs from one run to another by nature."""
    found = {}
    for ref in refs:
        obj = cluster.get(ref)
        if obj is not None:
            found[ref_of(obj)] = _comparable(obj)
    return found


def _comparable(obj: Object) -> Object:
    kept = {key: value for key, value in obj.items() if key not in ("status", "metadata")}
    kept["metadata"] = {k: v for k, v in obj["metadata"].items() if k not in _SERVER_SET}
    _drop_certificates(kept)
    if obj["kind"] == "Service":
        for key in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
            kept["spec"].pop(key, None)
        for port in kept["spec"].get("ports") or []:
            port.pop("nodePort", None)
    if obj["kind"] == "ServiceAccount":
        kept.pop("secrets", None)
    if obj["kind"] == "Secret":
        kept["data"] = sorted(obj.get("data") or {})
    for owner in kept["metadata"].get("ownerReferences", []):
        owner.pop("uid")
    annotations = kept["metadata"].get("annotations", {})
    annotations.pop("deployment.kubernetes.io/revision", None)
    return kept


def _drop_certificates(node: Any) -> None:
    """Generated anew in each run: what matters is that there is one."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "caBundle":
                node[key] = bool(value)
            else:
                _drop_certificates(value)
    elif isinstance(node, list):
        for item in node:
            _drop_certificates(item)


def differing_from(cluster: Cluster, expected: EndState) -> dict[Ref, tuple[Object | None, Object]]:
    """What is not as expected, as (found, expected): looked at until all is, for 30 s.

    Controllers write into objects of ours, and nobody waits for the last of it.
    """
    deadline = time.monotonic() + 30
    while True:
        found = state_of(cluster, list(expected))
        differing = {
            ref: (found.get(ref), wanted)
            for ref, wanted in expected.items()
            if found.get(ref) != wanted
        }
        if not differing or time.monotonic() > deadline:
            return differing
        time.sleep(1)


def assert_complete(there: Place, expected: EndState, release: str = RELEASE) -> None:
    """The end state is that of an undisturbed run and the ledger owns every object."""
    cluster = there.cluster()
    differing = differing_from(cluster, expected)
    assert not differing, differing
    ledger = ledgers.read(cluster)
    assert (ledger.state, ledger.release) == ("installed", release)
    assert set(ledger.owners()) == {ref.identity for ref in expected}
    assert cluster.get(LEASE) is None


def applied_refs(result: Result) -> list[Ref]:
    """The objects that a run decided on, each once."""
    return sorted({Ref.from_dict(event["object"]) for event in result.of("object")})


def counts(result: Result) -> tuple[int, int, int]:
    """(created, changed, unchanged) of a run."""
    last = result.finished
    return last["created"], last["changed"], last["unchanged"]

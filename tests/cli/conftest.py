"""What the tests of the command line share: running it as a process, and one recorded run."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

import pytest
from cli_process import COMMAND, ROOT, Run, environment

from installer.core.events import Event


@pytest.fixture
def command() -> Run:
    """Runs `kserve-installer` with words; both streams are pipes."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words],
            capture_output=True,
            text=True,
            env=environment(env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )

    return run


def _event(at: float, name: str, **fields: object) -> Event:
    return Event(name, fields, 1_600_000_000 + at)


def _reference(kind: str, namespace: str, name: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": kind, "namespace": namespace, "name": name}


def begun() -> list[Event]:
    """The first events of every run below."""
    cluster = {
        "context": "kind-dev",
        "server": "https://127.0.0.1:6443",
        "version": "v1.20.2",
        "nodes": 3,
    }
    components = [
        {"name": "istio", "version": "1.6.2", "objects": 3},
        {"name": "kfserving", "version": "0.5.1", "objects": 1},
    ]
    source = {"component": "istio", "url": "https://example.com/istio.yaml", "seconds": 0.25}
    return [
        _event(0, "started", command="install", release="kfserving-0.5.1", cluster=cluster),
        _event(0.1, "source", origin="cache", bytes=1_200_000, **source),
        _event(0.5, "source", origin="network", bytes=800, **source),
        _event(
            1,
            "planned",
            components=components,
            objects=4,
            create=3,
            change=1,
            unchanged=0,
            delete=0,
        ),
        _event(1, "component_started", component="istio", version="1.6.2"),
        _event(1, "stage_started", component="istio", stage="workloads", objects=2),
    ]


def stage_done() -> list[Event]:
    """Both objects of the stage are written and become ready."""
    istiod = {"object": "Deployment istio-system/istiod", "state": "progressing"}
    waits = [{**istiod, "reason": "0 of 1 replicas ready"}]
    return [
        _event(
            1.2,
            "object",
            component="istio",
            stage="workloads",
            action="created",
            object=_reference("Deployment", "istio-system", "istiod"),
        ),
        _event(
            1.3,
            "object",
            component="istio",
            stage="workloads",
            action="changed",
            object=_reference("Service", "istio-system", "istiod"),
        ),
        _event(
            2,
            "waiting",
            component="istio",
            stage="workloads",
            pending=2,
            total=2,
            **{"for": waits},
        ),
        _event(
            3,
            "waiting",
            component="istio",
            stage="workloads",
            pending=1,
            total=2,
            **{"for": waits},
        ),
        _event(
            4,
            "retrying",
            object="Deployment istio-system/istiod",
            cause="connection refused",
            attempt=1,
            delay=0.5,
        ),
        _event(
            13,
            "stage_finished",
            component="istio",
            stage="workloads",
            seconds=12.0,
            apply_seconds=0.3,
            wait_seconds=11.7,
        ),
        _event(13, "component_finished", component="istio", version="1.6.2", seconds=12.0),
        _event(14, "warning", message="the clock is 40 s off", object="Node a", remedy="use NTP"),
    ]


def finished(outcome: str, code: int, **fields: object) -> Event:
    """The last event."""
    counts = {"created": 1, "changed": 1, "unchanged": 0, "deleted": 0, "writes": 9}
    return _event(
        75, "finished", outcome=outcome, exit_code=code, **{**counts, "seconds": 75.0, **fields}
    )


@pytest.fixture
def run_done() -> list[Event]:
    """A run that did its work."""
    return [*begun(), *stage_done(), finished("done", 0)]


@pytest.fixture
def run_failed() -> list[Event]:
    """A run that stopped in its second component."""
    error = {
        "kind": "not-ready",
        "message": "the image kfserving/manager:v0.5.1 cannot be pulled: not found",
        "object": "StatefulSet kfserving-system/kfserving-controller-manager",
        "remedy": "make the image available, then run again",
    }
    return [
        *begun(),
        *stage_done(),
        _event(15, "component_started", component="kfserving", version="0.5.1"),
        _event(15, "stage_started", component="kfserving", stage="workloads", objects=2),
        finished("failed", 4, error=error),
    ]

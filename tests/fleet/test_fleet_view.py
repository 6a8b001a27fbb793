"""The table at the end of a run over many clusters."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from installer.cli.fleet_view import summary
from installer.cli.terminal import Terminal
from installer.fleet.model import DONE, ClusterRun, FleetOptions
from installer.fleet.run import FleetReport
from installer.fleet.runs import RunFolder


def _summary(*clusters: ClusterRun) -> list[str]:
    report = FleetReport(RunFolder(Path("/runs/one")), clusters, 0, {})
    options = FleetOptions("preflight", (Path("inventory"),))
    terminal = Terminal.of(io.StringIO(), no_colour=True)
    return list(summary(report, options, terminal, "kserve-installer fleet preflight"))


def _finding(verdict: str) -> dict[str, Any]:
    detail = {"verdict": verdict, "reason": f"{verdict} of node b", "remedy": "uncordon it"}
    return {"check": "nodes-ready", "verdict": verdict, "details": [detail]}


def test_what_is_warned_of_is_said_once_with_every_cluster_that_it_is_about() -> None:
    found = {"findings": [_finding("note"), _finding("warning")], "counts": {"ok": 1}}

    lines = _summary(*(ClusterRun(name, DONE, details=found) for name in ("one", "two")))

    said = [line for line in lines if "node b" in line]
    assert said == ["one, two: warning nodes-ready: warning of node b; uncordon it"]


def test_a_warning_about_a_machine_is_said_too() -> None:
    finding = {"check": "host-mirrors", "verdict": "warning", "reason": "no path", "remedy": ""}

    lines = _summary(ClusterRun("node-1", DONE, details={"findings": [finding]}))

    assert "node-1: warning host-mirrors: no path" in lines

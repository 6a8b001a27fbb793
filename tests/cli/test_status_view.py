"""The status report as a reader sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from installer.cli.documents import document
from installer.cli.status_view import lines
from installer.cli.terminal import Terminal

PLACE = {"context": "kind-dev", "server": "https://127.0.0.1:6443", "kubernetes": "v1.20.2"}


@pytest.fixture
def report() -> dict[str, Any]:
    """One component is well, one is not and has drifted."""
    problem = {
        "object": "StatefulSet kfserving-system/kfserving-controller-manager",
        "reason": "ImagePullBackOff",
        "message": "the image kfserving/manager:v0.5.1 cannot be pulled",
    }
    counts = {"state": "installed", "total": 21, "workloads": 1}
    return {
        **PLACE,
        "release": "kfserving-0.5.1",
        "state": "installed",
        "healthy": False,
        "drift": 2,
        "external": ["cert-manager"],
        "last_run": {
            "id": "r1",
            "command": "install",
            "release": "kfserving-0.5.1",
            "started": "2021-03-02T10:00:00Z",
            "by": "ann@laptop",
            "finished": "2021-03-02T10:01:00Z",
            "outcome": "failed",
            "message": "not ready\nand more",
        },
        "components": [
            {
                **counts,
                "name": "istio",
                "version": "1.6.2",
                "ready": 21,
                "drift": 0,
                "problems": [],
            },
            {
                **counts,
                "name": "kfserving",
                "version": "0.5.1",
                "ready": 20,
                "drift": 2,
                "problems": [problem],
            },
        ],
    }


TEXT = """\
cluster   kind-dev (https://127.0.0.1:6443, Kubernetes v1.20.2)
release   kfserving-0.5.1, installed, not ready
last run  install failed, ended 2021-03-02T10:01:00Z, by ann@laptop (r1): not ready
drift     2 objects not as installed
external  cert-manager

  component  version  ready  drift
✔ istio      1.6.2    21/21      0
✘ kfserving  0.5.1    20/21      2
    StatefulSet kfserving-system/kfserving-controller-manager: ImagePullBackOff: the image \
kfserving/manager:v0.5.1 cannot be pulled"""


def test_problems_stand_under_their_component_with_the_reason(report: dict[str, Any]) -> None:
    assert "\n".join(lines(report, Terminal(unicode=True))) == TEXT


def test_a_run_that_did_not_end_is_said_to_be_running_or_killed(report: dict[str, Any]) -> None:
    report["last_run"] |= {"finished": "", "outcome": "", "message": ""}

    report["running"] = ""
    text = "\n".join(lines(report, Terminal(unicode=True)))

    assert "last run  install was killed or cut off, begun 2021-03-02T10:00:00Z" in text


def test_an_empty_cluster_is_one_sentence() -> None:
    empty = {**PLACE, "release": "", "state": "", "healthy": False, "drift": 0, "components": []}

    assert lines(empty, Terminal())[-1] == "nothing is installed here by kserve-installer"


def test_json_and_yaml_hold_the_same(report: dict[str, Any]) -> None:
    assert json.loads(document(report, "json")) == report
    assert yaml.safe_load(document(report, "yaml")) == report


def test_while_a_run_is_at_work_nothing_is_a_problem_yet(report: dict[str, Any]) -> None:
    report["last_run"] |= {"finished": "", "outcome": "", "message": ""}
    report["running"] = "ann@laptop (process 7, install)"
    text = "\n".join(lines(report, Terminal(unicode=True)))
    assert "last run  install is running, begun 2021-03-02T10:00:00Z" in text
    assert "ImagePullBackOff" not in text
    assert "✘" not in text


def test_a_record_that_somebody_deleted_is_told_with_the_way_back(report: dict[str, Any]) -> None:
    report["lost"] = ["istio"]
    text = "\n".join(lines(report, Terminal()))
    assert "the ledger's record of istio; `kserve-installer install kfserving-0.5.1`" in text

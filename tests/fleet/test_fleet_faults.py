"""A fleet whose clusters fail: it stops, goes on, says so, and resumes.

They share one cluster that is well, and empty when the first of them begins.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_command import SMALL_RELEASE, ended, environment, fleet, start, write_inventory

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.fleet.model import WELL
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def well(sandbox_factory: Any) -> Iterator[SandboxInfo]:
    """A cluster that nothing is wrong with."""
    info = sandbox_factory(fresh=True, name="well")
    yield info
    lifecycle.down(info.name)


@pytest.fixture(scope="module")
def nowhere(well: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of a server that does not answer."""
    path = tmp_path_factory.mktemp("nowhere") / "kubeconfig"
    path.write_text(well.kubeconfig.read_text().replace(well.server, "https://127.0.0.1:1"))
    return path


@pytest.fixture(scope="module")
def variables(shared: Path, small_catalog: Path) -> dict[str, str]:
    """Where releases and manifests are."""
    return {"kserve_mirror": str(shared / "upstream"), "kserve_catalog": str(small_catalog)}


def _at(info: SandboxInfo) -> dict[str, str]:
    return {"kserve_kubeconfig": str(info.kubeconfig)}


def _release(info: SandboxInfo) -> tuple[str, str]:
    ledger = ledgers.read(Cluster.connect(kubeconfig=str(info.kubeconfig)))
    return ledger.release, ledger.state


def _wait_for_event(name: str, cluster: str, process: subprocess.Popen[str]) -> None:
    """Until the newest run's log of a cluster has this event."""
    runs = Path(os.environ["KSERVE_INSTALLER_STATE"]) / "fleet"
    end = time.monotonic() + 200
    while time.monotonic() < end and process.poll() is None:
        newest = max(runs.iterdir(), default=None) if runs.is_dir() else None
        log = newest / "clusters" / f"{cluster}.jsonl" if newest else None
        if log and log.exists() and f'"event": "{name}"' in log.read_text():
            return
        time.sleep(0.1)
    process.terminate()
    raise AssertionError(f"{cluster} never came to {name}: {process.communicate()}")


def _processes_with(text: str) -> list[str]:
    """Command lines of processes that were started with this in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and text.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if "ansible" in line or "kserve-installer install" in line]


def test_an_interrupted_run_ends_cleanly_and_is_resumed(
    well: SandboxInfo,
    nowhere: Path,
    variables: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLEET_TEST", str(tmp_path))
    later = {"later": {"kserve_kubeconfig": str(nowhere)}}
    inventory = write_inventory(tmp_path / "inventory", {"well": _at(well)}, later, **variables)
    process = start("install", "-i", str(inventory), "--yes", "-o", "json")
    _wait_for_event("stage_started", "well", process)

    process.send_signal(signal.SIGINT)
    done = ended(process)

    assert done.code == 130
    assert done.outcomes == {"well": "interrupted", "later": "not-run"}
    assert _release(well) == (SMALL_RELEASE, "installing")
    assert not _processes_with(f"FLEET_TEST={tmp_path}")

    write_inventory(tmp_path / "inventory", {"well": _at(well)}, {}, **variables)
    resumed = fleet("install", "-i", str(inventory), "--yes", "--resume", "--limit", "well")

    assert resumed.outcomes == {"well": "done"}
    assert _release(well) == (SMALL_RELEASE, "installed")


def test_failures_stop_later_batches_and_resume_does_what_is_left(
    well: SandboxInfo,
    nowhere: Path,
    variables: dict[str, str],
    sandbox_factory: Any,
    tmp_path: Path,
) -> None:
    new = sandbox_factory("1.34.4", fresh=True, name="new")
    dies = sandbox_factory(fresh=True, name="dies")
    production = {
        "new": _at(new),
        "dies": _at(dies),
        "later": {"kserve_kubeconfig": str(nowhere)},
    }
    inventory = tmp_path / "inventory"
    write_inventory(inventory, {"well": _at(well)}, production, **variables, kserve_timeout=60)
    words = ("install", "-i", str(inventory), "--serial", "2", "--yes", "-o", "json")
    process = start(*words)
    _wait_for_event("stage_started", "dies", process)

    os.kill(dies.pids["kube-apiserver"], signal.SIGKILL)
    done = ended(process)

    assert done.cluster("well")["outcome"] in WELL
    assert {name: outcome for name, outcome in done.outcomes.items() if name != "well"} == {
        "new": "failed",
        "dies": "failed",
        "later": "not-run",
    }
    assert done.cluster("new")["exit_code"] == 3
    assert "1.34.4" in done.cluster("new")["message"]
    assert done.cluster("dies")["exit_code"] in (1, 4)
    assert done.code == done.cluster("dies")["exit_code"]

    lifecycle.down("dies")
    dies = sandbox_factory(fresh=True, name="dies")
    write_inventory(inventory, {"well": _at(well)}, {**production, "dies": _at(dies)}, **variables)
    resumed = ended(start(*words, "--resume", "--max-fail", "50%"))

    assert resumed.outcomes == {
        "well": done.outcomes["well"],
        "new": "failed",
        "dies": "done",
        "later": "failed",
    }
    assert resumed.cluster("well")["earlier"]
    assert resumed.code == 3, "where the server is not there, nothing has begun"
    assert _release(dies) == (SMALL_RELEASE, "installed")
    assert _release(new)[0] == ""
    for info in (new, dies):
        lifecycle.down(info.name)


def test_the_table_says_what_became_of_each_cluster_and_why(
    well: SandboxInfo,
    nowhere: Path,
    variables: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ssh = _recording_ssh(tmp_path)
    away = {"ansible_connection": "ssh", "ansible_host": "bastion.invalid"}
    away["ansible_ssh_executable"] = str(ssh)
    production = {"gone": {"kserve_kubeconfig": str(nowhere)}, "away": away}
    inventory = write_inventory(
        tmp_path / "inventory", {"well": _at(well)}, production, **variables
    )

    done = subprocess.run(
        ["kserve-installer", "fleet", "status", "-i", str(inventory)],
        capture_output=True,
        text=True,
        env=environment(),
        stdin=subprocess.DEVNULL,
        timeout=250,
        check=False,
    )

    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert done.returncode == 1
    assert rows["well"].split()[1] == "done"
    assert rows["well"].endswith(", Kubernetes 1.20.2")
    assert rows["gone"].split()[1] == "failed"
    assert "no answer from the API server https://127.0.0.1:1" in done.stdout
    assert rows["away"].split()[1] == "unreachable"
    record = Path(done.stdout.partition("record: ")[2].splitlines()[0])
    assert json.loads(record.read_text())["exit_code"] == 1
    for file in record.parent.rglob("*"):
        assert file.is_dir() or b"hunter2" not in file.read_bytes(), file
    asked = (tmp_path / "ssh-asked").read_text()
    assert "bastion.invalid" in asked
    assert "StrictHostKeyChecking=no" not in asked


def _recording_ssh(folder: Path) -> Path:
    """An ssh that writes down how it was called, and reaches nobody."""
    path = folder / "ssh"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/ssh-asked\nexit 255\n')
    path.chmod(0o755)
    return path

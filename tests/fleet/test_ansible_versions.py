"""The playbooks and `fleet` with each release of ansible-core that they promise to run with.

Each has an environment of its own, made from the package index: `make test-ansible`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fleet_command import BIN, ROOT, SMALL_RELEASE, recap, write_inventory

from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo

pytestmark = [pytest.mark.ansible, pytest.mark.cluster, pytest.mark.timeout(1800)]

# Which Python each begins with is in its metadata on the package index (requires-python).
VERSIONS = {"2.17": (3, 10), "2.18": (3, 11), "2.19": (3, 11), "2.20": (3, 12), "2.21": (3, 12)}
_COLLECTION = ROOT / "playbooks/collections/ansible_collections/kserve_installer/fleet"


@pytest.fixture(params=VERSIONS)
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Programs of an environment with one release of ansible-core, and this package where both run
    with the Python of the tests."""
    least = VERSIONS[request.param]
    whole = sys.version_info >= least
    newer = (f"python3.{minor}" for minor in range(least[1], least[1] + 4))
    python = sys.executable if whole else next(filter(None, map(shutil.which, newer)), None)
    if python is None:
        pytest.skip(f"no Python from {'.'.join(map(str, least))} on is on PATH")
    venv = tmp_path / "venv"
    subprocess.run([python, "-m", "venv", venv], check=True)
    steps: list[list[object]] = [[f"ansible-core~={request.param}.0"]]
    if whole:
        locked = ["--require-hashes", "-r", ROOT / "requirements.txt"]
        steps = [locked, *steps, ["--no-deps", ROOT]]
    for words in steps:
        pip = [venv / "bin" / "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*map(str, [*pip, *words])], check=True, timeout=900)
    return venv / "bin"


@pytest.fixture
def cluster(sandbox_factory: Any) -> Iterator[SandboxInfo]:
    """An empty cluster."""
    info = sandbox_factory(fresh=True)
    yield info
    lifecycle.down(info.name)


def test_a_release_converges_is_left_alone_and_is_looked_at(
    programs: Path, cluster: SandboxInfo, shared: Path, small_catalog: Path, tmp_path: Path
) -> None:
    inventory = write_inventory(
        tmp_path / "inventory",
        {"one": {"kserve_kubeconfig": str(cluster.kubeconfig)}},
        {},
        kserve_mirror=str(shared / "upstream"),
        kserve_catalog=str(small_catalog),
    )

    def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [programs / program, *words, "-i", inventory],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=_environment(programs),
            stdin=subprocess.DEVNULL,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    planned = run("ansible-playbook", "playbooks/install.yaml", "--check", "--diff")
    first = run("ansible-playbook", "playbooks/install.yaml")
    second = run("ansible-playbook", "playbooks/install.yaml")

    assert "Deployment cert-manager/cert-manager" in planned.stdout
    assert [recap(done)["one"] for done in (planned, first, second)] == [
        "changed=1",
        "changed=1",
        "changed=0",
    ]
    assert "deprecat" not in (first.stdout + first.stderr).lower()
    if (programs / "kserve-installer").exists():
        status = json.loads(run("kserve-installer", "fleet", "status", "-o", "json").stdout)
        assert status["clusters"][0]["release"] == SMALL_RELEASE
        assert status["clusters"][0]["details"]["healthy"] is True


def test_the_oldest_of_them_is_what_the_collection_requires() -> None:
    oldest = min(VERSIONS, key=lambda version: int(version.rpartition(".")[2]))
    runtime = yaml.safe_load((_COLLECTION / "meta" / "runtime.yml").read_text())

    assert runtime["requires_ansible"] == f">={oldest}.0"


def _environment(programs: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE")}
    return {**kept, "PATH": f"{programs}:{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}

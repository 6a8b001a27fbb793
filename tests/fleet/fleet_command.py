"""How tests run `fleet` and `ansible-playbook` as a user would, and write inventories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SMALL_RELEASE = "certificates-1"


@dataclass(slots=True)
class FleetRun:
    """A finished `fleet … -o json`."""

    code: int
    record: dict[str, Any]
    stderr: str

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by cluster."""
        return {cluster["name"]: cluster["outcome"] for cluster in self.record["clusters"]}

    def cluster(self, name: str) -> dict[str, Any]:
        """What became of one cluster."""
        return next(entry for entry in self.record["clusters"] if entry["name"] == name)


def environment() -> dict[str, str]:
    """The environment of a user whose programs are on PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE")}
    return {**kept, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}


def start(*words: str) -> subprocess.Popen[str]:
    """Start `kserve-installer fleet …`."""
    return subprocess.Popen(
        [str(BIN / "kserve-installer"), "fleet", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def ended(process: subprocess.Popen[str]) -> FleetRun:
    """Wait for it, and read its JSON."""
    try:
        out, err = process.communicate(timeout=250)
    except subprocess.TimeoutExpired:
        process.terminate()  # its clusters end in a recorded state, and Ansible with them
        out, err = process.communicate(timeout=100)
        raise AssertionError(f"no end after 250 s:\n{out}\n{err}") from None
    return FleetRun(process.returncode, json.loads(out) if out else {}, err)


def fleet(*words: str) -> FleetRun:
    """Run it to its end, with `-o json`."""
    return ended(start(*words, "-o", "json"))


def play(playbook: str, inventory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one of the playbooks by `ansible-playbook` alone."""
    return subprocess.run(
        ["ansible-playbook", f"playbooks/{playbook}.yaml", "-i", str(inventory), *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        timeout=250,
        check=False,
    )


def recap(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """`changed=…` by host, of the recap that Ansible prints."""
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.partition("PLAY RECAP")[2].splitlines()[1:]
    return {line.split()[0]: line.split()[3] for line in lines if line.strip()}


def write_inventory(
    path: Path,
    canary: Mapping[str, Mapping[str, Any]],
    production: Mapping[str, Mapping[str, Any]],
    **variables: Any,
) -> Path:
    """An inventory of local clusters; variables are those of all of them."""
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "kserve_release": SMALL_RELEASE,
    }
    groups = {"canary": canary, "production": production}
    children = {name: {"hosts": dict(hosts)} for name, hosts in groups.items()}
    tree = {"clusters": {"vars": {**common, **variables}, "children": children}}
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path

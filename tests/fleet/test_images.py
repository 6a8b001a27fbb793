"""Images loaded onto a machine beforehand: by a real containerd, in a scratch root."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from fleet_command import play
from image_source import archive, registry

IMPORTED, PULLED = "example.com/team/model:1", "example.org/team/pulled:1"
OTHER = "example.com/own:1"


@dataclass
class Machine:
    """A root with a containerd."""

    root: Path
    socket: Path

    def ctr(self, *words: str) -> str:
        """What containerd's own client says."""
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    @property
    def images(self) -> list[str]:
        """The images that are there."""
        return sorted(self.ctr("images", "list", "--quiet").split())

    def inventory(self, **variables: Any) -> Path:
        """It is the only machine."""
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "kserve_hosts_become": False,
            "kserve_hosts_root": str(self.root),
            "kserve_hosts_containerd": str(self.socket),
        }
        tree = {"nodes": {"hosts": {"machine": None}, "vars": {**common, **variables}}}
        path = self.root / "inventory.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return path


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine of the Debian family."""
    if not shutil.which("containerd") or not shutil.which("ctr") or os.geteuid() != 0:
        pytest.skip("needs root, and the programs containerd and ctr (Debian: containerd)")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\n", encoding="utf-8")
    socket = tmp_path / "containerd.sock"
    config = tmp_path / "containerd.toml"
    config.write_text(
        "version = 2\n"
        f'root = "{tmp_path}/lib"\nstate = "{tmp_path}/run"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\n  address = "{socket}"\n',
        encoding="utf-8",
    )
    with (tmp_path / "containerd.log").open("wb") as log:
        process = subprocess.Popen(
            ["containerd", "--config", str(config)], stdout=log, stderr=subprocess.STDOUT
        )
    made = Machine(tmp_path, socket)
    end = time.monotonic() + 30
    while not socket.exists():
        assert process.poll() is None, (tmp_path / "containerd.log").read_text()
        assert time.monotonic() < end, "containerd does not listen"
        time.sleep(0.05)
    made.ctr("version")
    yield made
    process.terminate()
    process.wait(30)


def test_images_are_imported_and_pulled_once_and_only_these_are_taken_away_again(
    machine: Machine, tmp_path: Path
) -> None:
    machine.ctr("images", "import", str(archive(tmp_path / "own.tar", OTHER)))
    packed = archive(tmp_path / "model.tar", IMPORTED)
    with registry("team/pulled", "1") as mirror:
        inventory = machine.inventory(
            kserve_hosts_images=[PULLED, OTHER],
            kserve_hosts_image_archives=[str(packed)],
            kserve_hosts_registry_mirrors={"example.org": mirror},
        )
        first = play("prepare-hosts", inventory)
        assert first.returncode == 0, first.stdout
        assert machine.images == sorted([IMPORTED, PULLED, OTHER])
        again = play("prepare-hosts", inventory)
        assert "changed=0" in again.stdout, again.stdout

    back = play("reset-hosts", inventory)

    assert back.returncode == 0, back.stdout
    assert machine.images == [OTHER], "it was there before"
    assert "changed=0" in play("reset-hosts", inventory).stdout


def test_what_is_no_archive_of_images_is_refused_with_its_name(
    machine: Machine, tmp_path: Path
) -> None:
    page = tmp_path / "page.tar"
    page.write_text("<html>", encoding="utf-8")
    done = play("prepare-hosts", machine.inventory(kserve_hosts_image_archives=[str(page)]))
    assert done.returncode != 0
    assert f"cannot read images from {page}: it is no tar archive" in done.stdout
    assert machine.images == []


def test_check_mode_says_what_it_would_load_and_loads_nothing(
    machine: Machine, tmp_path: Path
) -> None:
    packed = archive(tmp_path / "model.tar", IMPORTED)
    inventory = machine.inventory(kserve_hosts_image_archives=[str(packed)])
    done = play("prepare-hosts", inventory, "--check")
    assert done.returncode == 0, done.stdout
    assert machine.images == []
    assert not (tmp_path / "etc/kserve-installer").exists()

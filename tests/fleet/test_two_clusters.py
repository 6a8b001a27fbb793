"""Two real clusters through Ansible: installed, looked at, left alone, and taken away again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_command import BIN, SMALL_RELEASE, FleetRun, fleet, play, recap, write_inventory

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.core.objects import Ref
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

CONTROLLER = Ref("apps/v1", "Deployment", "cert-manager", "cert-manager")
DRIFTING = Ref("v1", "Service", "cert-manager", "cert-manager-webhook")
_WRITES = ("create", "update", "patch", "delete", "deletecollection")


@pytest.fixture(scope="module")
def sandboxes(sandbox_factory: Any) -> Iterator[tuple[SandboxInfo, SandboxInfo]]:
    """Two empty clusters, taken down with the module."""
    pair = (sandbox_factory(fresh=True), sandbox_factory(fresh=True))
    yield pair
    for info in pair:
        lifecycle.down(info.name)


@pytest.fixture(scope="module")
def inventory(
    sandboxes: tuple[SandboxInfo, SandboxInfo],
    shared: Path,
    small_catalog: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """One of them is the canary; the other's kubeconfig is in the inventory, encrypted."""
    folder = tmp_path_factory.mktemp("inventory")
    (folder / "password").write_text("correct horse", encoding="utf-8")
    one, two = sandboxes
    path = write_inventory(
        folder / "inventory",
        {"one": {"kserve_kubeconfig": str(one.kubeconfig)}},
        {"two": {}},
        kserve_mirror=str(shared / "upstream"),
        kserve_catalog=str(small_catalog),
    )
    encrypted = subprocess.run(
        [BIN / "ansible-vault", "encrypt_string", "--vault-password-file", folder / "password"],
        input=two.kubeconfig.read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (folder / "host_vars").mkdir()
    (folder / "host_vars" / "two.yml").write_text(f"kserve_kubeconfig_content: {encrypted}")
    return path


@pytest.fixture(scope="module")
def password(inventory: Path) -> Path:
    """The file with the password of the vault."""
    return inventory.parent / "password"


@pytest.fixture(scope="module")
def installed(inventory: Path, password: Path) -> FleetRun:
    """The first install on both."""
    return fleet("install", "-i", str(inventory), "--vault-password-file", str(password), "--yes")


def _connect(info: SandboxInfo) -> Cluster:
    return Cluster.connect(kubeconfig=str(info.kubeconfig))


def _writes(info: SandboxInfo) -> int:
    """Write requests of ours that the API server has logged."""
    assert info.audit_log is not None
    entries = map(json.loads, info.audit_log.read_text(encoding="utf-8").splitlines())
    return sum(
        1
        for entry in entries
        if entry["verb"] in _WRITES and entry.get("userAgent", "").startswith("kserve-installer/")
    )


def test_both_clusters_have_the_release_afterwards(
    installed: FleetRun, sandboxes: tuple[SandboxInfo, SandboxInfo]
) -> None:
    assert installed.code == 0, installed.stderr
    assert installed.outcomes == {"one": "done", "two": "done"}
    for info in sandboxes:
        cluster = _connect(info)
        assert ledgers.read(cluster).release == SMALL_RELEASE
        found = cluster.get(CONTROLLER)
        assert found is not None
        assert found["status"]["readyReplicas"] == 1


def test_the_record_says_what_was_done_on_each_cluster(installed: FleetRun) -> None:
    for name in ("one", "two"):
        cluster = installed.cluster(name)
        assert cluster["changes"]["created"] == 39
        assert cluster["details"]["healthy"] is True
        assert [part["version"] for part in cluster["details"]["components"]] == ["0.15.1"]
    kept = json.loads(Path(installed.record["folder"], "run.json").read_text(encoding="utf-8"))
    assert kept == installed.record


def test_the_log_of_a_cluster_holds_the_events_of_its_command(installed: FleetRun) -> None:
    lines = Path(installed.cluster("two")["log"]).read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]

    assert "component_finished" in {event.get("event") for event in events}


def test_no_credential_of_the_vault_is_in_the_run_folder(
    installed: FleetRun, sandboxes: tuple[SandboxInfo, SandboxInfo]
) -> None:
    import yaml

    user = yaml.safe_load(sandboxes[1].kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]
    secrets = [value for value in user.values() if isinstance(value, str) and len(value) > 16]
    assert secrets
    for file in Path(installed.record["folder"]).rglob("*"):
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        assert not any(secret in text for secret in secrets), file


@pytest.mark.usefixtures("installed")
def test_a_second_run_by_ansible_playbook_alone_changes_and_writes_nothing(
    inventory: Path, password: Path, sandboxes: tuple[SandboxInfo, SandboxInfo]
) -> None:
    before = [_writes(info) for info in sandboxes]

    done = play("install", inventory, "--vault-password-file", str(password))

    assert recap(done) == {"one": "changed=0", "two": "changed=0"}
    assert [_writes(info) for info in sandboxes] == before


@pytest.mark.usefixtures("installed")
def test_a_backup_is_a_file_for_each_cluster(
    inventory: Path, password: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    done = fleet("backup", "-i", str(inventory), "--vault-password-file", str(password))

    files = [Path(done.cluster(name)["details"]["file"]) for name in ("one", "two")]
    assert done.code == 0
    assert len({file.parent for file in files}) == 1
    assert all(file.is_relative_to(tmp_path) and file.stat().st_size for file in files)


@pytest.mark.usefixtures("installed")
def test_check_and_diff_show_a_drifted_field_and_leave_it(
    inventory: Path, password: Path, sandboxes: tuple[SandboxInfo, SandboxInfo]
) -> None:
    cluster = _connect(sandboxes[0])
    body = cluster.get(DRIFTING)
    assert body is not None
    body["metadata"]["labels"]["app"] = "somebody-elses"
    path = f"/api/v1/namespaces/{DRIFTING.namespace}/services/{DRIFTING.name}"
    cluster.request("PUT", path, body=body)
    words = ("--vault-password-file", str(password))

    done = play("install", inventory, "--check", "--diff", *words)

    assert recap(done) == {"one": "changed=1", "two": "changed=0"}
    assert '-metadata.labels.app: "somebody-elses"' in done.stdout
    found = cluster.get(DRIFTING)
    assert found is not None
    assert found["metadata"]["labels"]["app"] == "somebody-elses"
    planned = fleet("plan", "-i", str(inventory), "--diff", *words)
    assert planned.outcomes == {"one": "done", "two": "unchanged"}
    (shown,) = planned.cluster("one")["details"]["diff"]
    assert shown["before"] == 'metadata.labels.app: "somebody-elses"\n'
    assert recap(play("install", inventory, *words)) == {"one": "changed=1", "two": "changed=0"}
    found = cluster.get(DRIFTING)
    assert found is not None
    assert found["metadata"]["labels"]["app"] != "somebody-elses"


@pytest.mark.usefixtures("installed")
def test_one_cluster_under_two_names_is_refused_before_anything_is_written(
    sandboxes: tuple[SandboxInfo, SandboxInfo], small_catalog: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "kubeconfig"
    copy.write_text(sandboxes[0].kubeconfig.read_text(encoding="utf-8"), encoding="utf-8")
    twins = write_inventory(
        tmp_path / "inventory",
        {"one": {"kserve_kubeconfig": str(sandboxes[0].kubeconfig)}},
        {"same": {"kserve_kubeconfig": str(copy)}},
        kserve_catalog=str(small_catalog),
    )

    done = fleet("uninstall", "-i", str(twins), "--yes")

    assert done.code == 2
    place = f"{twins}:14: same: it is the same cluster as one"
    assert place in done.record["error"]["message"]
    assert ledgers.read(_connect(sandboxes[0])).release == SMALL_RELEASE


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("alone", [True, False], ids=["ansible-playbook", "fleet"])
def test_a_second_name_that_only_a_vault_knows_is_refused_too(
    sandboxes: tuple[SandboxInfo, SandboxInfo],
    inventory: Path,
    password: Path,
    small_catalog: Path,
    tmp_path: Path,
    alone: bool,
) -> None:
    twins = write_inventory(
        tmp_path / "inventory",
        {"open": {"kserve_kubeconfig": str(sandboxes[1].kubeconfig)}},
        {"two": {}},
        kserve_catalog=str(small_catalog),
    )
    (tmp_path / "host_vars").symlink_to(inventory.parent / "host_vars")
    words = ("--vault-password-file", str(password))

    if alone:
        played = play("uninstall", twins, *words)
        code, said = played.returncode, played.stdout
    else:
        done = fleet("uninstall", "-i", str(twins), "--yes", *words)
        code, said = done.code, done.cluster("two")["message"]

    assert code == 2
    assert "open and two are one cluster" in said
    assert ledgers.read(_connect(sandboxes[1])).release == SMALL_RELEASE


@pytest.mark.usefixtures("installed")
def test_nothing_begins_when_a_canary_cluster_fails(
    sandboxes: tuple[SandboxInfo, SandboxInfo], small_catalog: Path, tmp_path: Path
) -> None:
    config = sandboxes[0].kubeconfig.read_text(encoding="utf-8")
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(config.replace(sandboxes[0].server, "https://127.0.0.1:1"))
    broken = write_inventory(
        tmp_path / "inventory",
        {"gone": {"kserve_kubeconfig": str(nowhere)}},
        {"one": {"kserve_kubeconfig": str(sandboxes[0].kubeconfig)}},
        kserve_catalog=str(small_catalog),
    )

    done = fleet("uninstall", "-i", str(broken), "--yes")

    assert done.code == 3
    assert done.outcomes == {"gone": "failed", "one": "not-run"}
    assert "127.0.0.1:1" in done.cluster("gone")["message"]
    assert ledgers.read(_connect(sandboxes[0])).release == SMALL_RELEASE


@pytest.mark.usefixtures("installed")
def test_uninstall_leaves_neither_objects_nor_a_record(
    inventory: Path, password: Path, sandboxes: tuple[SandboxInfo, SandboxInfo]
) -> None:
    words = ("-i", str(inventory), "--vault-password-file", str(password), "--yes")

    done = fleet("uninstall", *words)

    assert done.outcomes == {"one": "done", "two": "done"}
    for info in sandboxes:
        cluster = _connect(info)
        assert ledgers.read(cluster).release == ""
        assert cluster.get(CONTROLLER) is None
    assert fleet("uninstall", *words).outcomes == {"one": "unchanged", "two": "unchanged"}

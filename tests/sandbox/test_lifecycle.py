from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml
from raw_api import RawApi

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError, Interrupted, UsageError
from installer.core.events import Event
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import Sandbox, SandboxInfo, SandboxOptions, down, status, up
from installer.sandbox.processes import ProcessId
from installer.sandbox.state import COMPONENTS, StateDirectory, state_root

pytestmark = pytest.mark.cluster

SandboxFactory = Callable[..., SandboxInfo]

# It starts fastest; what differs by version has its own tests.
QUICK = "1.34.4"


def identities(info: SandboxInfo) -> list[ProcessId]:
    found = [ProcessId.of(pid) for pid in info.pids.values()]
    return [each for each in found if each is not None]


def nothing_is_left_of(info: SandboxInfo, processes: list[ProcessId]) -> bool:
    assert len(processes) == 1 + len(COMPONENTS)
    ended = all(process.wait(10) for process in processes)
    return ended and not info.state_dir.exists() and not status(info.name)


@pytest.mark.parametrize("sandbox", ["1.20.2", "1.25.3", "1.34.4"], indirect=True)
def test_the_servers_are_real_and_of_the_version_asked_for(sandbox: SandboxInfo) -> None:
    api = RawApi(sandbox)
    assert api.get("/version")["gitVersion"].startswith(f"v{sandbox.kubernetes}")
    namespace = "/api/v1/namespaces/controllers-work"
    api.create("/api/v1/namespaces", {"metadata": {"name": "controllers-work"}})
    api.until(f"{namespace}/serviceaccounts", lambda found: "default" in found)
    api.until(f"{namespace}/configmaps", lambda found: "kube-root-ca.crt" in found)

    deployment = {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "example.org/web:1"}]},
            },
        },
    }
    deployments = "/apis/apps/v1/namespaces/controllers-work/deployments"
    api.create(deployments, deployment)
    api.until(f"{namespace}/pods", lambda found: len(found) == 2)

    api.delete(f"{deployments}/web")
    api.until("/apis/apps/v1/namespaces/controllers-work/replicasets", lambda found: not found)
    api.delete(namespace)
    api.until("/api/v1/namespaces", lambda found: "controllers-work" not in found)


@pytest.fixture(scope="module")
def undisturbed(sandbox_factory: SandboxFactory) -> Iterator[SandboxInfo]:
    """One whose servers no other module restarts."""
    yield sandbox_factory(name="undisturbed", fresh=True)
    down("undisturbed")


def test_up_tells_where_the_sandbox_is(undisturbed: SandboxInfo) -> None:
    told = json.loads(json.dumps(undisturbed.to_dict()))
    assert {"name", "kubeconfig", "server", "kubernetes", "gateway", "audit_log", "pids"} <= set(
        told
    )
    assert told["kubernetes"] == "1.20.2"
    assert set(told["pids"]) == {"daemon", *COMPONENTS}
    assert status(undisturbed.name) == [undisturbed]
    assert status("no-such-sandbox") == []
    kubeconfig = Path(told["kubeconfig"])
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert undisturbed.state_dir.stat().st_mode & 0o777 == 0o700
    config = yaml.safe_load(kubeconfig.read_text())
    assert config["current-context"] == f"sandbox-{undisturbed.name}"
    assert config["clusters"][0]["cluster"]["server"] == told["server"]


def test_a_second_up_leaves_the_running_sandbox_alone(undisturbed: SandboxInfo) -> None:
    again = up(SandboxOptions(name=undisturbed.name, kubernetes=f"v{undisturbed.kubernetes}"))
    assert again == undisturbed
    assert not again.started


def test_up_refuses_a_running_sandbox_of_another_version(undisturbed: SandboxInfo) -> None:
    with pytest.raises(UsageError, match=r"runs Kubernetes 1\.20\.2, not 1\.25\.3") as refused:
        up(SandboxOptions(name=undisturbed.name, kubernetes="1.25.3"))
    assert f"sandbox down --name {undisturbed.name}" in refused.value.remedy
    assert status(undisturbed.name) == [undisturbed]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (SandboxOptions(name="No Spaces"), "cannot be a sandbox's name"),
        (SandboxOptions(kubernetes="latest"), "'latest' is not a Kubernetes version"),
        (SandboxOptions(kubernetes="1.20"), "does not name one Kubernetes version"),
        (SandboxOptions(kubernetes="1.19.16"), "1.20 and later"),
        (SandboxOptions(nodes=0), "1 to 100 nodes"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_starts(
    options: SandboxOptions, sentence: str
) -> None:
    before = sorted(state_root().glob("*"))
    with pytest.raises(UsageError, match=sentence):
        up(options)
    assert sorted(state_root().glob("*")) == before


@pytest.mark.parametrize("name", ["..", "../other", "", "/tmp"])
def test_down_refuses_what_is_not_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a sandbox's name"):
        down(name)


def test_two_sandboxes_run_side_by_side_and_down_leaves_only_the_audit_log(
    sandbox: SandboxInfo, control_plane_folder: Path | None, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    options = SandboxOptions("other", QUICK, audit_log=log, control_plane=control_plane_folder)
    with Sandbox(options) as other:
        processes = identities(other)
        RawApi(other).create("/api/v1/namespaces", {"metadata": {"name": "only-here"}})
        names = RawApi(sandbox).get("/api/v1/namespaces")["items"]
        assert "only-here" not in [each["metadata"]["name"] for each in names]
    assert nothing_is_left_of(other, processes)
    assert log.stat().st_size > 0
    assert RawApi(sandbox).get("/version")
    assert down("other") is False


def test_a_killed_daemon_takes_its_servers_along_and_the_next_up_starts_anew(
    sandbox_factory: SandboxFactory,
) -> None:
    info = sandbox_factory(QUICK, fresh=True, name="crashed", tied=False)
    processes = identities(info)
    os.kill(info.pids["daemon"], signal.SIGKILL)
    assert all(process.wait(10) for process in processes)
    assert [each.status for each in status("crashed")] == ["stopped"]

    again = sandbox_factory(QUICK, fresh=True, name="crashed", audit_log=None)
    assert again.started
    assert set(again.pids) == {"daemon", *COMPONENTS}
    processes = identities(again)
    down("crashed")
    assert nothing_is_left_of(again, processes)


def test_an_up_that_is_killed_while_it_waits_leaves_nothing_running(
    control_plane_folder: Path | None,
) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from installer.sandbox.lifecycle import SandboxOptions, up\n"
        f"folder = {str(control_plane_folder)!r}\n"
        f"up(SandboxOptions('halfway', {QUICK!r}, control_plane=Path(folder)),\n"
        "   lambda event: print(event.name, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any(line == "waiting\n" for line in process.stdout)
        record = StateDirectory.named("halfway").read()
        process.kill()
    assert record is not None
    assert "etcd" in record.processes
    down("halfway")
    assert not any(each.alive for each in record.processes.values())
    assert not (state_root() / "halfway").exists()


def test_a_tied_sandbox_ends_with_the_process_that_started_it(
    control_plane_folder: Path | None,
) -> None:
    program = (
        "from pathlib import Path\n"
        "from installer.sandbox.lifecycle import SandboxOptions, up\n"
        f"folder = {str(control_plane_folder)!r}\n"
        f"up(SandboxOptions('tied', {QUICK!r}, control_plane=Path(folder), tied=True))\n"
        "import os; os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    record = StateDirectory.named("tied").read()
    assert record is not None
    assert all(each.wait(10) for each in record.processes.values())
    down("tied")


def test_an_interrupted_up_leaves_nothing(control_plane_folder: Path | None) -> None:
    cancel = Cancel()
    seen: list[ProcessId] = []

    def interrupt(event: Event) -> None:
        record = StateDirectory.named("interrupted").read()
        if event.name == "waiting" and record is not None:
            seen.extend(record.processes.values())
            cancel.stop()

    options = SandboxOptions("interrupted", QUICK, control_plane=control_plane_folder)
    with pytest.raises(Interrupted):
        up(options, interrupt, cancel)
    assert seen
    assert not any(process.alive for process in seen)
    assert not (state_root() / "interrupted").exists()


def test_a_restarted_api_server_has_the_same_address_and_data(
    sandbox_factory: SandboxFactory,
) -> None:
    info = sandbox_factory(QUICK)
    api = RawApi(info)
    api.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    lifecycle.restart(info.name, "kube-apiserver")
    assert api.get("/api/v1/namespaces/kept")["metadata"]["name"] == "kept"
    (after,) = status(info.name)
    assert (after.server, after.status) == (info.server, "running")
    assert after.pids["kube-apiserver"] != info.pids["kube-apiserver"]


def test_a_dead_api_server_is_noticed_and_started_again_only_when_asked(
    sandbox_factory: SandboxFactory,
) -> None:
    info = sandbox_factory(QUICK)
    lifecycle.stop_component(info.name, "kube-apiserver")
    (degraded,) = status(info.name)
    assert degraded.status == "degraded"
    assert "kube-apiserver was stopped" in degraded.problems
    with pytest.raises(requests.ConnectionError):
        RawApi(info).get("/version")

    after = up(SandboxOptions(name=info.name, kubernetes=QUICK))
    assert after.status == "running"
    assert "kube-apiserver was stopped" not in after.problems
    RawApi(info).get("/version")


def test_requests_hang_while_etcd_is_stopped_and_go_on_after(
    sandbox_factory: SandboxFactory,
) -> None:
    info = sandbox_factory(QUICK)
    api = RawApi(info)
    lifecycle.signal_component(info.name, "etcd", signal.SIGSTOP)
    try:
        with pytest.raises(requests.ReadTimeout):
            api.get("/api/v1/namespaces/default", timeout=1)
    finally:
        lifecycle.signal_component(info.name, "etcd", signal.SIGCONT)
    assert api.get("/api/v1/namespaces/default")


def test_every_request_is_in_the_audit_log(sandbox_factory: SandboxFactory) -> None:
    info = sandbox_factory(QUICK)
    assert info.audit_log is not None
    api = RawApi(info)
    wanted = [f"audited-{number}" for number in range(20)]
    for name in wanted:
        api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    # On one connection a request begins when the one before it has ended, its audit included.
    api.get("/version")
    events = [json.loads(line) for line in info.audit_log.read_text().splitlines()]
    created = [
        event["objectRef"]["name"]
        for event in events
        if event["verb"] == "create"
        and event["user"]["username"] == "sandbox-admin"
        and event["stage"] == "ResponseComplete"
        and event["objectRef"]["resource"] == "namespaces"
        and event["objectRef"]["name"] in wanted
    ]
    assert created == wanted


def test_a_server_that_cannot_start_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    etcd = shutil.which("etcd")
    if etcd is None:
        pytest.skip("etcd is not on PATH")
    for name in ("kube-apiserver", "kube-controller-manager"):
        script = tmp_path / name
        script.write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo Kubernetes v1.30.0 && exit\n'
            "echo the disk is on fire\nexit 3\n"
        )
        script.chmod(0o755)
    (tmp_path / "etcd").symlink_to(etcd)
    options = SandboxOptions(
        "broken", "1.30.0", control_plane=tmp_path, download=False, build=False
    )
    with pytest.raises(InstallerError) as failed:
        up(options)
    assert "kube-apiserver ended by itself: exit status 3" in failed.value.message
    assert "the disk is on fire" in failed.value.message
    assert not (state_root() / "broken").exists()


def test_an_audit_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    options = SandboxOptions("unlogged", audit_log=tmp_path / "absent" / "audit.jsonl")
    with pytest.raises(UsageError, match="No such file or directory"):
        up(options)
    assert not (state_root() / "unlogged").exists()

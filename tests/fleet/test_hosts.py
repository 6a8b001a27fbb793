"""What a machine's facts mean for it as a node. The module that reads them runs in molecule."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from installer.fleet.runner import playbook

_FILE = (
    playbook("install").parent
    / "collections/ansible_collections/kserve_installer/fleet/plugins/module_utils/hosts.py"
)
_FACTS: dict[str, Any] = {
    "release": {"ID": "ubuntu", "ID_LIKE": "debian", "PRETTY_NAME": "Ubuntu 22.04"},
    "kernel": "5.15.0",
    "cgroup": 2,
    "cpus": 4,
    "cpu_flags": ["avx", "avx2"],
    "memory": 16 * 1024**3,
    "images_at": "/var/lib/containerd",
    "disk": 50 * 1024**3,
    "sysctls": {"fs.inotify.max_user_instances": 512},
    "skew": 0.4,
    "containerd": "containerd github.com/containerd/containerd v1.7.2",
    "open_files": 1048576,
    "mirrors": ["gcr.io"],
    "config_path": True,
    "proxy": {},
    "registries": {"gcr.io": ""},
}
_WANTED: dict[str, Any] = {
    "sysctls": {"fs.inotify.max_user_instances": 512},
    "cpu_flags": [],
    "memory": 4 * 1024**3,
    "disk": 20 * 1024**3,
    "skew": 10.0,
    "mirrors": ["gcr.io"],
}


@pytest.fixture(scope="module")
def hosts() -> Any:
    """The module, which needs nothing of Ansible."""
    spec = importlib.util.spec_from_file_location("hosts", Path(_FILE))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _verdicts(hosts: Any, wanted: dict[str, Any] | None = None, **changed: Any) -> dict[str, str]:
    """Verdicts that are not ok, by check."""
    facts = {**copy.deepcopy(_FACTS), **changed}
    found = hosts.findings(facts, {**_WANTED, **(wanted or {})})
    return {f["check"]: f["verdict"] for f in found if f["verdict"] != "ok"}


def test_a_machine_that_has_everything_is_fit(hosts: Any) -> None:
    assert _verdicts(hosts) == {}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"release": {"ID": "alpine"}}, {"host-system": "skipped"}),
        ({"cgroup": None}, {"host-cgroup": "skipped"}),
        ({"memory": 1024**3}, {"host-memory": "failed"}),
        ({"disk": 1024**3}, {"host-disk": "failed"}),
        (
            {"sysctls": {"fs.inotify.max_user_instances": 128}},
            {"host-fs-inotify-max-user-instances": "failed"},
        ),
        ({"sysctls": {}}, {"host-fs-inotify-max-user-instances": "skipped"}),
        ({"skew": -42.0}, {"host-clock": "failed"}),
        ({"skew": None}, {"host-clock": "skipped"}),
        ({"containerd": ""}, {"host-runtime": "skipped"}),
        ({"open_files": 1024}, {"host-open-files": "warning"}),
        ({"open_files": None}, {"host-open-files": "skipped"}),
        ({"mirrors": []}, {"host-mirrors": "failed"}),
        ({"config_path": False}, {"host-mirrors": "warning"}),
        ({"proxy": {"HTTPS_PROXY": "http://p", "NO_PROXY": "a"}}, {"host-proxy": "warning"}),
        ({"proxy": {"HTTPS_PROXY": "http://p", "NO_PROXY": "a, .svc"}}, {}),
        ({"registries": {"gcr.io": "refused"}}, {"host-registry": "failed"}),
    ],
)
def test_what_is_wrong_is_found_alone(
    hosts: Any, changed: dict[str, Any], expected: dict[str, str]
) -> None:
    assert _verdicts(hosts, **changed) == expected


def test_a_cpu_flag_is_wanted_only_when_asked_for(hosts: Any) -> None:
    assert _verdicts(hosts, cpu_flags=[]) == {}
    assert _verdicts(hosts, {"cpu_flags": ["avx2"]}, cpu_flags=[]) == {"host-cpu": "failed"}


def test_every_finding_that_fails_says_what_to_do(hosts: Any) -> None:
    facts = {**_FACTS, "memory": 0, "disk": 0, "mirrors": [], "skew": 99.0, "sysctls": {}}

    for finding in hosts.findings(facts, _WANTED):
        assert finding["reason"]
        assert finding["remedy"] or finding["verdict"] != "failed"

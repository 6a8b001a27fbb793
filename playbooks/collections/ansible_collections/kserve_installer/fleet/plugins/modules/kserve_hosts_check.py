#!/usr/bin/python
"""Looks at a machine that is to be a node on which models run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kserve_hosts_check
short_description: Checks whether a machine is fit to be a node on which models run
version_added: 1.0.0
author: kserve-installer maintainers
description:
  - Reads the system, cgroup version, CPU, memory, disk, kernel limits, clock, containerd with its
    limit of open files, mirrors and proxy, and whether registries accept connections.
  - Writes nothing. Fails when a check fails.
options:
  sysctls:
    description: Kernel limits, and the least that each must be.
    type: dict
    default: {}
  cpu_flags:
    description: Flags that the CPU must have, as in C(/proc/cpuinfo).
    type: list
    elements: str
    default: []
  memory_gib:
    description: Memory that the machine must have.
    type: float
    default: 4.0
  disk_gib:
    description: Room that must be free where images are stored.
    type: float
    default: 20.0
  images_at:
    description: Where images are stored; of a folder that is not there the one above counts.
    type: path
    default: /var/lib/containerd
  registries:
    description: Registries or mirrors that must accept connections, as C(HOST) or C(HOST:PORT).
    type: list
    elements: str
    default: []
  mirrors:
    description: Registries for which containerd must have a mirror.
    type: list
    elements: str
    default: []
  clock:
    description: The time on the machine that asks, in seconds since the epoch.
    type: float
  skew:
    description: Seconds by which the clocks may differ. The way there takes part of them.
    type: float
    default: 10.0
  root:
    description: Folder in which the files of the machine are, C(/) unless it is an image of one.
    type: path
    default: /
attributes:
  check_mode:
    description: Reads only, in check mode as outside of it.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Look at a node
  kserve_installer.fleet.kserve_hosts_check:
    sysctls:
      fs.inotify.max_user_instances: 512
    registries: [gcr.io, "mirror.example.com:5000"]
"""

RETURN = r"""
findings:
  description: Every check with its verdict (ok, warning, failed, skipped), reason and remedy.
  returned: always
  type: list
  elements: dict
counts:
  description: Number of checks by verdict.
  returned: always
  type: dict
supported:
  description: Whether prepare-hosts knows this system.
  returned: always
  type: bool
exit_code:
  description: 0, or 3 when a check failed.
  returned: always
  type: int
"""

import os  # noqa: E402
import platform  # noqa: E402
import re  # noqa: E402
import shlex  # noqa: E402
import shutil  # noqa: E402
import socket  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from concurrent.futures import ThreadPoolExecutor, wait  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.kserve_installer.fleet.plugins.module_utils.hosts import (  # noqa: E402
    GIB,
    findings,
    supported,
)

_SECONDS = 5.0
"""For one registry to accept a connection, its name looked up included."""
_ENVIRONMENT = re.compile(r"^\s*Environment=(.*)$", re.MULTILINE)
_CONFIG_PATH = re.compile(r"^\s*config_path\s*=\s*[\"'][^\"']+[\"']", re.MULTILINE)


def main():
    """Read the machine, judge it."""
    module = AnsibleModule(
        argument_spec={
            "sysctls": {"type": "dict", "default": {}},
            "cpu_flags": {"type": "list", "elements": "str", "default": []},
            "memory_gib": {"type": "float", "default": 4.0},
            "disk_gib": {"type": "float", "default": 20.0},
            "images_at": {"type": "path", "default": "/var/lib/containerd"},
            "registries": {"type": "list", "elements": "str", "default": []},
            "mirrors": {"type": "list", "elements": "str", "default": []},
            "clock": {"type": "float"},
            "skew": {"type": "float", "default": 10.0},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    asked = module.params
    wanted = {
        "sysctls": {name: int(least) for name, least in asked["sysctls"].items()},
        "cpu_flags": asked["cpu_flags"],
        "memory": asked["memory_gib"] * GIB,
        "disk": asked["disk_gib"] * GIB,
        "skew": asked["skew"],
        "mirrors": asked["mirrors"],
    }
    facts = _facts(asked, wanted)
    found = findings(facts, wanted)
    bad = [finding for finding in found if finding["verdict"] == "failed"]
    verdicts = [finding["verdict"] for finding in found]
    result = {
        "counts": {name: verdicts.count(name) for name in ("ok", "warning", "failed", "skipped")},
        "findings": found,
        "supported": supported(facts["release"]),
    }
    if bad:
        parts = [f"{f['check']}: {f['reason']} ({f['remedy']})" for f in bad]
        module.fail_json(msg="; ".join(parts), exit_code=3, **result)
    module.exit_json(changed=False, exit_code=0, **result)


def _facts(asked, wanted):
    root = Path(asked["root"])
    release = dict(
        part.split("=", 1)
        for part in shlex.split(_text(root / "etc/os-release"), comments=True)
        if "=" in part
    )
    cpu = _text(Path("/proc/cpuinfo"))
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpu, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", _text(Path("/proc/meminfo")), re.MULTILINE)
    images_at = _there(root / asked["images_at"].lstrip("/"))
    containerd = root / "etc/containerd"
    clock = asked["clock"]
    return {
        "release": release,
        "kernel": platform.release(),
        "cgroup": _cgroup(),
        "cpus": os.cpu_count() or 0,
        "cpu_flags": flags[1].split() if flags else [],
        "memory": int(memory[1]) * 1024 if memory else 0,
        "images_at": str(images_at),
        "disk": shutil.disk_usage(images_at).free,
        "sysctls": {name: _sysctl(name) for name in wanted["sysctls"]},
        "skew": time.time() - clock if clock is not None else None,
        "containerd": _version("containerd"),
        "open_files": _open_files("containerd"),
        "mirrors": sorted(file.parent.name for file in containerd.glob("certs.d/*/hosts.toml")),
        "config_path": bool(_CONFIG_PATH.search(_text(containerd / "config.toml"))),
        "proxy": _proxy(root / "etc/systemd/system/containerd.service.d"),
        "registries": _registries(asked["registries"]),
    }


def _text(path):
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _there(path):
    while not path.exists():
        path = path.parent
    return path


def _cgroup():
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return 2
    return 1 if Path("/sys/fs/cgroup/memory").exists() else None


def _sysctl(name):
    text = _text(Path("/proc/sys") / name.replace(".", "/")).strip()
    return int(text) if text.isdecimal() else None


def _version(program):
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _open_files(program):
    """The soft limit of a running program; None when it does not run, or may not be looked at."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        if _text(comm).strip() == program:
            limits = _text(comm.with_name("limits"))
            soft = re.search(r"^Max open files\s+(\d+)", limits, re.MULTILINE)
            return int(soft[1]) if soft else None
    return None


def _proxy(folder):
    """Variables of containerd's unit; a later file wins, as for systemd."""
    found = {}
    for file in sorted(folder.glob("*.conf")):
        for line in _ENVIRONMENT.findall(_text(file)):
            for word in shlex.split(line):
                name, _, value = word.partition("=")
                found[name.upper()] = value
    return found


def _registries(names):
    """Why each cannot be reached; empty for those that can."""
    if not names:
        return {}
    pool = ThreadPoolExecutor(len(names))
    asked = {name: pool.submit(_connect, name) for name in names}
    # what has not ended is asked of no exception: before Python 3.11 it is none of TimeoutError
    ended, _late = wait(asked.values(), timeout=_SECONDS)
    pool.shutdown(wait=False)
    late = f"no answer within {_SECONDS:.0f} s"
    return {name: each.result() if each in ended else late for name, each in asked.items()}


def _connect(name):
    host, _, port = name.partition(":")
    try:
        with socket.create_connection((host, int(port or 443)), _SECONDS):
            return ""
    except socket.gaierror as problem:
        return f"its name is not found ({problem.strerror})"
    except OSError as problem:
        return problem.strerror or str(problem)


if __name__ == "__main__":
    main()

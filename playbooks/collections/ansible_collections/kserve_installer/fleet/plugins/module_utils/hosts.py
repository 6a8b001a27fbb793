"""What a machine has to have to be a node that models run on: facts into findings. Pure.

A finding is {check, verdict, reason, remedy}; verdict is ok, warning, failed or skipped.
"""

from __future__ import annotations

GIB = 1024**3
_DEBIAN = ("debian", "ubuntu")
_RED_HAT = ("rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn")
_PREPARE = "run the playbook prepare-hosts"
_OPEN_FILES = 65536
"""Files that a model server may need. Up to 1.7 containerd's unit set 1048576 or more; since
2.0 it sets nothing, and containers get systemd's 1024. Source: containerd/containerd, pull request
8924; 65536 is what Container-Optimized OS had, its issue 3201."""


def supported(release):
    """Whether prepare-hosts knows this system. release: the fields of os-release."""
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return any(name in _DEBIAN + _RED_HAT for name in names)


def findings(facts, wanted):
    """Every check, in the order in which they are shown. facts: as the module reads them."""
    return [
        _system(facts),
        _cgroup(facts),
        _cpu(facts, wanted),
        _memory(facts, wanted),
        _disk(facts, wanted),
        *(_sysctl(facts, name, least) for name, least in sorted(wanted["sysctls"].items())),
        _clock(facts, wanted),
        _runtime(facts),
        _open_files(facts),
        _mirrors(facts, wanted),
        _proxy(facts),
        *(_registry(name, problem) for name, problem in facts["registries"].items()),
    ]


def _finding(check, verdict, reason, remedy=""):
    return {"check": check, "verdict": verdict, "reason": reason, "remedy": remedy}


def _system(facts):
    release = facts["release"]
    name = release.get("PRETTY_NAME") or release.get("ID") or "an unknown system"
    said = f"{name}, Linux {facts['kernel']}"
    if supported(release):
        return _finding("host-system", "ok", said)
    remedy = "prepare it as its own documentation says; prepare-hosts skips it"
    return _finding("host-system", "skipped", f"{said}: not of the Debian or RHEL family", remedy)


def _cgroup(facts):
    version = facts["cgroup"]
    if version is None:
        return _finding("host-cgroup", "skipped", "no cgroup file system is mounted")
    return _finding("host-cgroup", "ok", f"cgroup version {version}")


def _cpu(facts, wanted):
    missing = [flag for flag in wanted["cpu_flags"] if flag not in facts["cpu_flags"]]
    if missing:
        reason = f"the CPU has no {', '.join(missing)}"
        remedy = "run models that need it on other nodes, e.g. by a node selector"
        return _finding("host-cpu", "failed", reason, remedy)
    avx2 = "with" if "avx2" in facts["cpu_flags"] else "without"
    return _finding("host-cpu", "ok", f"{facts['cpus']} CPUs {avx2} AVX2")


def _memory(facts, wanted):
    return _at_least(
        "host-memory", "of memory", facts["memory"], wanted["memory"], "give the machine more"
    )


def _disk(facts, wanted):
    what = f"free where images are stored ({facts['images_at']})"
    return _at_least("host-disk", what, facts["disk"], wanted["disk"], "make room there")


def _at_least(check, what, there, least, remedy):
    said = f"{there / GIB:.1f} GiB {what}"
    if there < least:
        return _finding(check, "failed", f"{said}, {least / GIB:.1f} GiB are wanted", remedy)
    return _finding(check, "ok", said)


def _sysctl(facts, name, least):
    check, there = f"host-{name.replace('.', '-').replace('_', '-')}", facts["sysctls"].get(name)
    if there is None:
        return _finding(check, "skipped", f"{name} cannot be read")
    if there < least:
        return _finding(check, "failed", f"{name} is {there}, {least} is wanted", _PREPARE)
    return _finding(check, "ok", f"{name} is {there}")


def _clock(facts, wanted):
    skew = facts["skew"]
    if skew is None:
        return _finding("host-clock", "skipped", "no other clock was given to compare with")
    if abs(skew) > wanted["skew"]:
        way = "ahead of" if skew > 0 else "behind"
        reason = f"the clock is {abs(skew):.0f} s {way} that of the machine that asks"
        return _finding("host-clock", "failed", reason, "synchronise clocks, e.g. by chrony")
    return _finding("host-clock", "ok", f"the clock is right to {wanted['skew']:.0f} s")


def _runtime(facts):
    if not facts["containerd"]:
        reason = "there is no containerd; other runtimes are not looked at"
        return _finding("host-runtime", "skipped", reason)
    return _finding("host-runtime", "ok", facts["containerd"])


def _open_files(facts):
    """What containerd may open at a time, since containers inherit it."""
    limit = facts["open_files"]
    if limit is None:
        return _finding("host-open-files", "skipped", "containerd does not run, or is not visible")
    if limit < _OPEN_FILES:
        reason = f"containers may have {limit} files open, as containerd, which starts them"
        remedy = f"set LimitNOFILE={_OPEN_FILES}:524288 in a drop-in of containerd.service"
        return _finding("host-open-files", "warning", reason, remedy)
    return _finding("host-open-files", "ok", f"containers may have {limit} files open")


def _mirrors(facts, wanted):
    missing = [name for name in wanted["mirrors"] if name not in facts["mirrors"]]
    if missing:
        reason = f"containerd has no mirror for {', '.join(missing)}"
        return _finding("host-mirrors", "failed", reason, _PREPARE)
    if facts["mirrors"] and not facts["config_path"]:
        reason = "containerd's configuration names no config_path, so mirrors are not looked for"
        # Source: containerd/containerd docs/hosts.md
        remedy = 'set config_path = "/etc/containerd/certs.d" of its registry in config.toml'
        return _finding("host-mirrors", "warning", reason, remedy)
    return _finding("host-mirrors", "ok", f"mirrors of {', '.join(facts['mirrors']) or 'nothing'}")


def _proxy(facts):
    proxy = facts["proxy"]
    if not proxy.get("HTTPS_PROXY") and not proxy.get("HTTP_PROXY"):
        return _finding("host-proxy", "ok", "containerd uses no proxy")
    exempt = [part.strip() for part in proxy.get("NO_PROXY", "").split(",")]
    if ".svc" not in exempt:
        reason = "containerd's proxy is used for names of the cluster too: NO_PROXY has no .svc"
        return _finding("host-proxy", "warning", reason, "add .svc and the Pod and Service ranges")
    return _finding("host-proxy", "ok", "containerd uses a proxy, but not inside the cluster")


def _registry(name, problem):
    if problem:
        remedy = "open the way there, or name a mirror in kserve_hosts_registry_mirrors"
        return _finding("host-registry", "failed", f"{name} cannot be reached: {problem}", remedy)
    return _finding("host-registry", "ok", f"{name} accepts connections")

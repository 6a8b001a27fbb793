"""Events of Ansible's tasks into the state of each cluster. Pure: no clock, no files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from installer.core.errors import ExitCode
from installer.core.masking import masked
from installer.fleet.model import (
    DONE,
    FAILED,
    INTERRUPTED,
    NOT_RUN,
    UNCHANGED,
    UNREACHABLE,
    ClusterRun,
)
from installer.fleet.runner import TaskEvent

_MODULES = {
    "backup": "kserve_backup",
    "preflight": "kserve_preflight",
    "verify": "kserve_verify",
    "status": "kserve_facts",
}
_CONTINUES = "stopped on the way; a later run continues there"
_NO_VAULT = "no vault secrets found"
"""Ansible's own words: ansible-core, parsing/vault."""
_VAULT_REMEDY = "Name the file of the vault's password with --vault-password-file."
_PREFIX = "Task failed: "
"""What ansible-core puts before some messages since 2.19."""
_OF_NODES = "kserve_hosts_check"
_COUNTS = ("created", "changed_objects", "deleted")
_DETAILS = (
    "components",
    "counts",
    "diff",
    "differs",
    "error",
    "file",
    "findings",
    "healthy",
    "kubernetes",
    "objects",
    "sha256",
    "unchanged",
    "writes",
)


class Recorder:
    """What becomes of each cluster; `on` takes the events in the order in which they come.

    nodes: those of the names that are machines.
    """

    def __init__(self, command: str, names: Iterable[str], nodes: Collection[str] = ()):
        self._module = _MODULES.get(command, "kserve_stack")
        self._nodes = nodes
        self.clusters = {name: ClusterRun(name) for name in names}
        self.working: dict[str, float] = {}

    def on(self, event: TaskEvent, now: float) -> bool:
        """Take one in; now: seconds. True when a cluster began or ended."""
        cluster = self.clusters.get(event.host)
        if cluster is None:
            return False
        ours = event.module == (_OF_NODES if event.host in self._nodes else self._module)
        if event.what == "started":
            return self._began(cluster, now) if ours else False
        if event.what == "unreachable":
            return self._ended(cluster, now, UNREACHABLE, ExitCode.FAILED, _message(event.result))
        if event.what == "failed" and not event.tolerated:
            return self._failed(cluster, now, event.result, ours)
        if ours and event.what == "ok":
            return self._worked(cluster, now, event.result)
        return False

    def interrupted(self, now: float) -> None:
        """The run was ended from outside: what was at work did not end by itself."""
        for name in list(self.working):
            self._ended(self.clusters[name], now, INTERRUPTED, ExitCode.INTERRUPTED, _CONTINUES)

    def _began(self, cluster: ClusterRun, now: float) -> bool:
        self.working[cluster.name] = now
        return True

    def _worked(self, cluster: ClusterRun, now: float, result: Mapping[str, Any]) -> bool:
        found = dict(result.get("ansible_facts", {}).get("kserve_installed") or result)
        self._take(cluster, found)
        cluster.changes = {
            name.removesuffix("_objects"): int(found.get(name) or 0) for name in _COUNTS
        }
        unchanged = found.get("outcome") == "unchanged"
        code = int(result.get("exit_code") or 0)
        return self._ended(cluster, now, UNCHANGED if unchanged else DONE, code, "")

    def _failed(
        self, cluster: ClusterRun, now: float, result: Mapping[str, Any], ours: bool
    ) -> bool:
        """A failure of any other task is one of the inventory: its variables, or its names."""
        # a module that crashed gives no code of its own
        code = int(result.get("exit_code") or (ExitCode.FAILED if ours else ExitCode.USAGE))
        self._take(cluster, result)
        outcome = result.get("outcome")
        if outcome == NOT_RUN:
            self.working.pop(cluster.name, None)
            return False
        if code == ExitCode.INTERRUPTED:
            return self._ended(cluster, now, INTERRUPTED, code, _CONTINUES)
        return self._ended(cluster, now, FAILED, code, _message(result))

    def _take(self, cluster: ClusterRun, found: Mapping[str, Any]) -> None:
        cluster.release = str(found.get("release") or cluster.release)
        cluster.details = {name: found[name] for name in _DETAILS if name in found}

    def _ended(self, cluster: ClusterRun, now: float, outcome: str, code: int, said: str) -> bool:
        began = self.working.pop(cluster.name, now)
        cluster.seconds = now - began
        cluster.outcome, cluster.code, cluster.message = outcome, code, said
        return True


def _message(result: Mapping[str, Any]) -> str:
    told = str(result.get("msg") or "it failed without a message").removeprefix(_PREFIX)
    said = masked(" ".join(told.split()))
    return f"{said} {_VAULT_REMEDY}" if _NO_VAULT in said else said

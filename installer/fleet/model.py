"""What is asked of a fleet, and what becomes of each of its clusters. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer.core.errors import ExitCode

WRITING = ("install", "upgrade", "uninstall")
"""Commands whose playbooks change clusters; the rest only look, or remove what they made."""

CLUSTERS, NODES = "clusters", "nodes"
"""Groups of the inventory: clusters, and machines at which preflight looks too. Other groups are
not this command's."""

LOCAL = ("local", "ansible.builtin.local")
"""Values of `ansible_connection` by which a host is this machine."""

DONE, UNCHANGED, FAILED, UNREACHABLE, NOT_RUN, INTERRUPTED = (
    "done",
    "unchanged",
    "failed",
    "unreachable",
    "not-run",
    "interrupted",
)
WELL = (DONE, UNCHANGED)
"""Outcomes that --resume leaves alone."""

_WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.FAILED,
    ExitCode.NOT_READY,
    ExitCode.CHECKS_FAILED,
    ExitCode.USAGE,
    ExitCode.DIFFERENCES,
)


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """One run over an inventory.

    inventory: files or folders, as Ansible takes them. limit: a pattern of Ansible's, empty for
    all. serial: how many clusters at a time, a number or a share of all as `25%`. canary: group
    that comes first. max_fail: per cent of a batch that may fail before no other batch begins.
    resume: only what the newest run of the same command on the same inventory left undone.
    vault_password_file: as Ansible has it, None when the environment says it.
    """

    command: str
    inventory: tuple[Path, ...]
    limit: str = ""
    serial: str = "100%"
    canary: str = "canary"
    max_fail: int = 0
    check: bool = False
    diff: bool = False
    resume: bool = False
    vault_password_file: Path | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ClusterRun:
    """One cluster of a run. code: exit code of its command; seconds: from its begin to its end.

    release, changes and details are what its command returned; message says why it failed.
    """

    name: str
    outcome: str = NOT_RUN
    code: int = ExitCode.DONE
    seconds: float = 0.0
    message: str = ""
    release: str = ""
    changes: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    log: str = ""
    earlier: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "exit_code": int(self.code),
            "release": self.release,
            "seconds": round(self.seconds, 1),
            "message": self.message,
            "changes": self.changes,
            "log": self.log,
            "earlier": self.earlier,
            "details": self.details,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ClusterRun:
        """Of what `to_dict` wrote; raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            name=str(data["name"]),
            outcome=str(data["outcome"]),
            code=int(data["exit_code"]),
            seconds=float(data["seconds"]),
            message=str(data["message"]),
            release=str(data["release"]),
            changes={str(key): int(value) for key, value in dict(data["changes"]).items()},
            details=dict(data["details"]),
            log=str(data["log"]),
            earlier=bool(data["earlier"]),
        )


def worst(codes: list[int]) -> int:
    """The exit code of a run: the worst of its clusters'.

    Worst first: 130 interrupted, 1 failed, 4 not ready, 3 checks failed, 2 usage, 5 differences.
    """
    for code in _WORST_FIRST:
        if code in codes:
            return code
    return next((ExitCode.FAILED for code in codes if code), ExitCode.DONE)

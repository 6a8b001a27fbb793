"""Fresh sandboxes, all of one kind, and what lies beside the checkout."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from installer.cluster.client import Cluster
from installer.sandbox.lifecycle import SandboxInfo, SandboxOptions, down, up

KUBERNETES = "1.20.2"
_BESIDE = Path(__file__).resolve().parents[2] / "shared"
_QUIET = 0.1
"""Cores that a sandbox at rest may use."""
_PATIENCE = 60.0
_numbers = itertools.count()


def beside(name: str) -> Path | None:
    """A folder of the collection beside the checkout, when it is there."""
    folder = _BESIDE / name
    return folder if folder.is_dir() else None


@dataclass(frozen=True, slots=True)
class Place:
    """A sandbox that one contender has for itself."""

    info: SandboxInfo
    audit_log: Path

    @property
    def kubeconfig(self) -> str:
        """Its kubeconfig file."""
        return str(self.info.kubeconfig)

    def cluster(self) -> Cluster:
        """A new connection."""
        return Cluster.connect(kubeconfig=self.kubeconfig)

    def settle(self) -> None:
        """Return when the sandbox's processes have nothing left to do."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            before = _used(self.info.pids)
            time.sleep(1.0)
            if _used(self.info.pids) - before < _QUIET:
                return
        print("  (the sandbox did not come to rest; measured anyway)")


@contextlib.contextmanager
def place(folder: Path, control_plane: Path | None) -> Iterator[Place]:
    """A sandbox without simulated delays, audited, at rest; gone at the end."""
    name = f"bench-{os.getpid()}-{next(_numbers)}"
    audit_log = folder / f"{name}.jsonl"
    options = SandboxOptions(
        name=name,
        kubernetes=KUBERNETES,
        audit_log=audit_log,
        control_plane=control_plane,
        instant=True,
        tied=True,
    )
    try:
        made = Place(up(options), audit_log)
        made.settle()
        yield made
    finally:
        down(name)


def _used(pids: Mapping[str, int]) -> float:
    """Seconds of processor time that these processes have used."""
    ticks = 0
    for pid in pids.values():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")

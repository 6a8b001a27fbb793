"""Which process holds the lock, so that another of the same machine can tell whether it lives."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock. boot and started say which process the pid means."""

    user: str
    host: str
    pid: int
    boot: str
    started: str
    run: str
    command: str

    @classmethod
    def this_process(cls, run: str, command: str) -> Holder:
        """The holder that this process would be."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a user id without a name, as in containers
            user = str(os.getuid())
        pid = os.getpid()
        return cls(user, socket.gethostname(), pid, _boot(), _started(pid), run, command)

    def is_dead_here(self) -> bool:
        """True when it was a process that this one could see, since the last boot, and is gone."""
        if self.host != socket.gethostname() or not self.boot:
            return False
        return self.boot == _boot() and _started(self.pid) != self.started

    def is_alive_here(self) -> bool:
        """True when it is a process that this one can see."""
        here = self.host == socket.gethostname() and self.boot and self.boot == _boot()
        return bool(here) and _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid}, {self.command})"


def _boot() -> str:
    """Where process ids mean what they mean here: this boot, and this container's namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot, empty when there is no such process.

    Source: proc(5), /proc/PID/stat, field 22; fields are counted after the last `)`.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""

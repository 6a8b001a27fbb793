"""Processes of a sandbox: started so that they die with the daemon, and never mistaken.

A process is recorded as pid plus start time plus boot, so that a pid which the kernel has given
to something else since is never signalled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Runs before the server in the same process: asks the kernel to kill it when the daemon's main
# thread ends, whatever ends it. A wrapper, since a preexec function is unsafe beside threads.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]): sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, for good: start is in clock ticks since boot (proc(5), field 22)."""

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The identity of a running process; None when there is none, or only a zombie."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # The command name may hold spaces and brackets; the rest follows the last bracket.
        fields = text.rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), _boot())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProcessId:
        """The inverse of `to_dict`."""
        return cls(int(data["pid"]), int(data["start"]), str(data["boot"]))

    def to_dict(self) -> dict[str, Any]:
        """{pid, start, boot}."""
        return {"pid": self.pid, "start": self.start, "boot": self.boot}

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessId.of(self.pid) == self

    def signal(self, number: int) -> bool:
        """Send a signal; False when the process is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            # The handle pins the process; only then is its identity compared.
            if not self.alive:
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process; False when it still runs after that many seconds."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start(
    command: Sequence[str], *, directory: Path, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a server that dies with the calling thread's process; output is appended to `log`.

    Call it from the main thread: the kernel watches the thread that forked, not the process.
    """
    wrapper = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*wrapper, *command],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def tail(log: Path, lines: int = 12, width: int = 400) -> str:
    """The last lines of a log, for error messages; empty when there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 65536))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(line[:width] for line in text.splitlines()[-lines:])

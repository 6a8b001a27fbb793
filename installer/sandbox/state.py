"""Where a sandbox lives on disk, who may touch it, and what is running for it.

    <state>/sandbox/<name>/         mode 0700
        state.json                  the record below, replaced atomically
        kubeconfig, script.json     for the user
        pki/, config/, etcd-data/   for the servers
        *.log                       one per server, and the daemon's own
        control.sock, egress.sock   unless the path is too long for a socket

`<state>` is the platform's state directory for kserve-installer, or $KSERVE_INSTALLER_STATE.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.state_folder import state_folder
from installer.sandbox.processes import ProcessId

APP = "kserve-installer"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager")

# sockaddr_un holds 108 bytes with the final zero; leave room for the longest socket name.
_SOCKETS_PREFIX = "kserve-sandbox-"
_LONGEST_SOCKET_DIRECTORY = 107 - len("/control.sock")


def state_root() -> Path:
    """The directory of all sandboxes."""
    return state_folder() / "sandbox"


def cache_root() -> Path:
    """The cache directory of kserve-installer."""
    return Path(
        os.environ.get("KSERVE_INSTALLER_CACHE") or platformdirs.user_cache_dir(APP)
    ).absolute()


@dataclass(frozen=True, slots=True)
class Record:
    """What state.json holds.

    phase: `starting`, `running`, `stopping` or `failed` (with `error`).
    sockets: directory of the Unix sockets; the state directory unless its path is too long.
    tied: the daemon ends when the process that called `up` ends.
    processes: identity by component, the daemon's as `daemon`.
    problems: what went wrong with a running sandbox, one sentence by component.
    shape: its nodes one by one, in the form of `installer.sandbox.shape`; empty for equal ones.
    """

    name: str
    kubernetes: str
    nodes: int
    server_port: int
    gateway_port: int
    sockets: str
    audit_log: str | None = None
    instant: bool = False
    aggregator_routing: bool = False
    binaries: Mapping[str, str] = field(default_factory=dict)
    tied: bool = False
    timeout: float = 120.0
    phase: str = "starting"
    error: str = ""
    processes: Mapping[str, ProcessId] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    shape: Sequence[Mapping[str, Any]] = ()

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self.server_port}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        data = {each.name: getattr(self, each.name) for each in fields(self)}
        data["processes"] = {name: each.to_dict() for name, each in self.processes.items()}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """The inverse of `to_dict`."""
        known = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        found = data.get("processes", {})
        known["processes"] = {name: ProcessId.from_dict(each) for name, each in found.items()}
        return cls(**known)


class StateDirectory:
    """One sandbox's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.kubeconfig = path / "kubeconfig"
        self.script = path / "script.json"
        self.pki = path / "pki"
        self.config = path / "config"

    @classmethod
    def named(cls, name: str) -> StateDirectory:
        """The directory of the sandbox of that name, there or not."""
        return cls(state_root() / name)

    def log(self, component: str) -> Path:
        """Log file of a component, `daemon` included."""
        return self.path / f"{component}.log"

    def read(self) -> Record | None:
        """The record; None when the sandbox does not exist or nothing readable was recorded."""
        try:
            return Record.from_dict(json.loads((self.path / "state.json").read_bytes()))
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    def write(self, record: Record) -> None:
        """Replace the record atomically."""
        temporary = self.path / f".state.json.{os.getpid()}"
        temporary.write_text(json.dumps(record.to_dict(), indent=2), encoding="utf-8")
        temporary.replace(self.path / "state.json")

    def update(self, **changes: Any) -> Record:
        """Change fields of the record and write it."""
        record = self.read()
        if record is None:
            raise InstallerError(f"the sandbox {self.name} has lost its state.json")
        record = replace(record, **changes)
        self.write(record)
        return record

    def socket_directory(self) -> Path:
        """The state directory, or a new short one when sockets in it would have too long a path."""
        if len(os.fsencode(self.path)) <= _LONGEST_SOCKET_DIRECTORY:
            return self.path
        return Path(tempfile.mkdtemp(prefix=_SOCKETS_PREFIX, dir=_short_directory()))

    @contextlib.contextmanager
    def locked(self, cancel: Cancel) -> Iterator[None]:
        """Hold the sandbox against other `up` and `down`; makes the directory if it is absent.

        The lock is the kernel's, on the directory itself: it ends with its holder, whatever
        happens, and leaves no file.
        """
        handle = self._lock(cancel)
        try:
            yield
        finally:
            os.close(handle)

    def _lock(self, cancel: Cancel) -> int:
        while True:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            try:
                handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            try:
                while not _try_lock(handle):
                    cancel.sleep(0.05, f"waiting for another command to let go of {self.path}")
                # The holder before us may have removed the directory while we waited.
                if self.path.exists() and os.path.samestat(os.fstat(handle), self.path.stat()):
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def clear(self) -> None:
        """Delete every file of the sandbox, but keep the (locked) directory itself."""
        record = self.read()
        if record is not None and Path(record.sockets) != self.path:
            shutil.rmtree(record.sockets, ignore_errors=True)
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def remove(self) -> None:
        """Delete the sandbox's files, its directory, and the directories above when empty."""
        self.clear()
        self.path.rmdir()
        for parent in (self.path.parent, self.path.parent.parent):
            with contextlib.suppress(OSError):
                parent.rmdir()


def _short_directory() -> str | None:
    """Where a socket's path stays short; TMPDIR may be as long as the path that did not fit.

    None, tempfile's own choice, where nothing is better.
    """
    room = _LONGEST_SOCKET_DIRECTORY - len(_SOCKETS_PREFIX) - 9  # a slash, and mkdtemp's letters
    for place in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/var/tmp"):
        if place and len(os.fsencode(place)) <= room and os.access(place, os.W_OK | os.X_OK):
            return place
    return None


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def existing() -> list[StateDirectory]:
    """Every sandbox that has a directory, by name."""
    root = state_root()
    if not root.is_dir():
        return []
    return [StateDirectory(path) for path in sorted(root.iterdir()) if path.is_dir()]


def stop_processes(record: Record, grace: float = 0.0) -> list[str]:
    """End every recorded process that still runs, the daemon first; returns the components.

    grace: seconds the daemon gets to end its servers itself.
    """
    stopped = []
    ordered = sorted(record.processes.items(), key=lambda item: item[0] != "daemon")
    for component, process in ordered:
        if not process.alive:
            continue
        stopped.append(component)
        if component == "daemon" and grace and process.signal(15) and process.wait(grace):
            continue
        process.signal(9)
    for process in record.processes.values():
        if not process.wait(10):
            raise InstallerError(
                f"process {process.pid} of the sandbox {record.name} does not end",
                remedy="it may hang in a disk operation; try again later",
            )
    return stopped

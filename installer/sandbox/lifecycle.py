"""Sandboxes: start, stop, look at, and break on purpose.

`up`, `down` and `status` are the commands; `restart`, `stop_component`, `start_component` and
`signal_component` inject faults; `Sandbox` is `up` and `down` as a context manager.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError, UsageError
from installer.core.events import Emit, Event, silent
from installer.sandbox import binaries, configuration, control, launch, script
from installer.sandbox.options import SandboxInfo, SandboxOptions, check_name
from installer.sandbox.shape import NodeShape, nodes_of
from installer.sandbox.state import (
    COMPONENTS,
    Record,
    StateDirectory,
    existing,
    stop_processes,
)

__all__ = [
    "Sandbox",
    "SandboxInfo",
    "SandboxOptions",
    "down",
    "restart",
    "signal_component",
    "start_component",
    "status",
    "stop_component",
    "up",
]

_PORT_ATTEMPTS = 3
_PORT_TAKEN = "address already in use"


def up(options: SandboxOptions, emit: Emit = silent, cancel: Cancel | None = None) -> SandboxInfo:
    """Start a sandbox and wait until it is ready; one that runs already is left alone.

    Raises UsageError when a sandbox of that name runs another Kubernetes version, has other nodes
    or writes another audit log, InstallerError when it cannot start; nothing is left behind then.
    """
    cancel = cancel or Cancel()
    version = str(options.check())
    directory = StateDirectory.named(options.name)
    with directory.locked(cancel):
        running = _running(directory)
        if running is not None:
            _refuse_other(running, options, version)
            _start_missing(running)
            return _info(directory, directory.read() or running)
        _clear(directory, emit)
        try:
            return _start(directory, options, version, emit, cancel)
        except BaseException:
            _remove(directory)
            raise


def down(name: str = "default", cancel: Cancel | None = None) -> bool:
    """Stop a sandbox and delete its files; False when there was none. An audit log stays."""
    check_name(name)
    directory = StateDirectory.named(name)
    if not directory.path.is_dir():
        return False
    with directory.locked(cancel or Cancel()):
        _remove(directory)
    return True


def status(name: str | None = None) -> list[SandboxInfo]:
    """Every sandbox, or the one of that name if it exists; what crashes have left is `stopped`."""
    found = []
    for directory in existing():
        record = directory.read()
        if record is not None and name in (None, directory.name):
            found.append(_info(directory, record))
    return found


def restart(name: str, component: str = "kube-apiserver", *, timeout: float = 60.0) -> None:
    """Kill (SIGKILL) a server and start it again with the same port and data; waits until ready."""
    _ask(name, "restart", component, timeout, signal=signal.SIGKILL, grace=5.0)


def stop_component(
    name: str, component: str, *, signum: int = signal.SIGKILL, grace: float = 10.0
) -> None:
    """End a server with a signal, with SIGKILL after `grace` seconds; it stays ended."""
    _ask(name, "stop", component, grace + 5, signal=signum, grace=grace)


def start_component(name: str, component: str, *, timeout: float = 60.0) -> None:
    """Start a server that was stopped or has died; waits until the API server is ready."""
    _ask(name, "start", component, timeout)


def signal_component(name: str, component: str, signum: int) -> None:
    """Send a signal, such as SIGSTOP and SIGCONT, to a server."""
    _ask(name, "signal", component, 10.0, signal=signum)


class Sandbox:
    """A sandbox for the length of a `with` block, tied to this process.

    `with Sandbox(options) as info: …`
    """

    def __init__(self, options: SandboxOptions, emit: Emit = silent) -> None:
        self._options = replace(options, tied=True)
        self._emit = emit

    def __enter__(self) -> SandboxInfo:
        return up(self._options, self._emit)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        down(self._options.name)


def _running(directory: StateDirectory) -> Record | None:
    """The record of a sandbox whose daemon runs and has become ready."""
    record = directory.read()
    if record is None or record.phase != "running":
        return None
    daemon = record.processes.get("daemon")
    return record if daemon is not None and daemon.alive else None


def _refuse_other(record: Record, options: SandboxOptions, version: str) -> None:
    remedy = f"`kserve-installer sandbox down --name {record.name}` first, or take another --name"
    if record.kubernetes != version:
        raise UsageError(
            f"the sandbox {record.name} runs Kubernetes {record.kubernetes}, not {version}",
            kind="other-version",
            object=record.name,
            remedy=remedy,
        )
    if options.shape and list(options.shape) != list(_shape(record)):
        raise UsageError(
            f"the sandbox {record.name} runs already, with other nodes",
            kind="other-shape",
            object=record.name,
            remedy=remedy,
        )
    if options.audit_log and str(options.audit_log.absolute()) != record.audit_log:
        raise UsageError(
            f"the sandbox {record.name} runs already and writes "
            + (f"its audit log to {record.audit_log}" if record.audit_log else "no audit log"),
            kind="other-audit-log",
            object=record.name,
            remedy=remedy,
        )


def _shape(record: Record) -> tuple[NodeShape, ...]:
    return nodes_of({"nodes": list(record.shape)}) if record.shape else ()


def _start_missing(record: Record) -> None:
    for component in COMPONENTS:
        process = record.processes.get(component)
        if process is None or not process.alive:
            start_component(record.name, component)


def _clear(directory: StateDirectory, emit: Emit) -> None:
    """End and delete what a crash has left, files and processes."""
    record = directory.read()
    if record is None:
        return
    stopped = stop_processes(record)
    directory.clear()
    emit(
        Event(
            "warning",
            {
                "message": f"the sandbox {record.name} had not ended properly; cleared away "
                + (", ".join(stopped) if stopped else "its files"),
                "object": record.name,
                "remedy": "",
            },
        )
    )


def _remove(directory: StateDirectory) -> None:
    record = directory.read()
    if record is not None:
        stop_processes(record, grace=5)
    directory.remove()
    launch.forget(directory)


def _start(
    directory: StateDirectory, options: SandboxOptions, version: str, emit: Emit, cancel: Cancel
) -> SandboxInfo:
    given = _check_files(options)
    wanted = binaries.BinaryOptions(options.control_plane, options.download, options.build)
    found = binaries.find(version, wanted, emit, cancel)
    begun = time.monotonic()
    emit(Event("stage_started", {**launch.STAGE, "objects": len(COMPONENTS)}))
    for attempt in range(_PORT_ATTEMPTS):
        record = _new_record(directory, options, version, found)
        directory.write(record)
        if given is not None:
            script.write(directory.script, given)
        configuration.write(directory, record)
        try:
            launch.run(directory, record, emit, cancel)
            break
        except InstallerError as error:
            # A port was free when we looked and taken when the server listened.
            if attempt + 1 == _PORT_ATTEMPTS or _PORT_TAKEN not in error.message:
                raise
            directory.clear()
    seconds = round(time.monotonic() - begun, 3)
    timing = {"seconds": seconds, "apply_seconds": 0.0, "wait_seconds": seconds}
    emit(Event("stage_finished", {**launch.STAGE, **timing}))
    return _info(directory, directory.update(), started=True)


def _check_files(options: SandboxOptions) -> script.Script | None:
    """Read and try what the user gave, before anything starts."""
    given = None if options.script is None else script.read(options.script)
    if options.audit_log is not None:
        try:
            options.audit_log.open("ab").close()
        except OSError as error:
            raise UsageError(
                f"the audit log {options.audit_log} cannot be written: {error.strerror}",
                kind="audit-log",
                object=str(options.audit_log),
            ) from error
    return given


def _new_record(
    directory: StateDirectory, options: SandboxOptions, version: str, found: Mapping[str, Path]
) -> Record:
    server_port, gateway_port = _free_ports(2)
    return Record(
        name=options.name,
        kubernetes=version,
        nodes=len(options.shape) or options.nodes,
        shape=[node.to_dict() for node in options.shape],
        server_port=server_port,
        gateway_port=gateway_port,
        sockets=str(directory.socket_directory()),
        audit_log=str(options.audit_log.absolute()) if options.audit_log else None,
        instant=options.instant,
        aggregator_routing=options.aggregator_routing,
        binaries={component: str(path) for component, path in found.items()},
        tied=options.tied,
        timeout=options.timeout,
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _ask(name: str, action: str, component: str, timeout: float, **more: float) -> None:
    check_name(name)
    record = StateDirectory.named(name).read()
    if record is None:
        raise UsageError(f"there is no sandbox {name}", kind="no-sandbox", object=name)
    request = {"do": action, "component": component, "timeout": timeout, **more}
    control.ask(Path(record.sockets), request, timeout + 10)


def _info(directory: StateDirectory, record: Record, *, started: bool = False) -> SandboxInfo:
    pids = {name: each.pid for name, each in record.processes.items() if each.alive}
    return SandboxInfo(
        name=record.name,
        kubeconfig=directory.kubeconfig,
        server=record.server,
        kubernetes=record.kubernetes,
        gateway=f"127.0.0.1:{record.gateway_port}",
        audit_log=Path(record.audit_log) if record.audit_log else None,
        pids=pids,
        nodes=record.nodes,
        status=_status(record, pids),
        state_dir=directory.path,
        script=directory.script,
        problems=tuple(text for text in record.problems.values() if text),
        started=started,
    )


def _status(record: Record, pids: Mapping[str, int]) -> str:
    if "daemon" not in pids:
        return "stopped"
    if record.phase != "running":
        return "starting"
    return "running" if all(component in pids for component in COMPONENTS) else "degraded"

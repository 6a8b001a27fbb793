"""Starts the daemon of a sandbox and follows it until the sandbox is ready."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import installer
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.events import Emit, Event
from installer.sandbox import processes
from installer.sandbox.processes import ProcessId
from installer.sandbox.state import COMPONENTS, Record, StateDirectory

STAGE = {"component": "sandbox", "stage": "control-plane"}
"""What events about a starting sandbox name as component and stage."""

_DAEMON = "installer.sandbox.daemon"


def run(directory: StateDirectory, record: Record, emit: Emit, cancel: Cancel) -> None:
    """Start the daemon and wait until it says that the sandbox is ready."""
    news, pipe = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, news)
        try:
            daemon = _spawn(directory, pipe)
        finally:
            os.close(pipe)
        try:
            identity = ProcessId.of(daemon.pid)
            if identity is not None:
                directory.write(replace(record, processes={"daemon": identity}))
            _follow(daemon, news, directory, emit, cancel)
        except BaseException:
            daemon.terminate()
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
            raise
        # Kept: the daemon so that it is reaped when it ends before this process does, and its pipe
        # because a tied daemon ends when that is closed.
        _daemons[directory.path] = daemon, stack.pop_all()


_daemons: dict[Path, tuple[subprocess.Popen[bytes], contextlib.ExitStack]] = {}


def _spawn(directory: StateDirectory, pipe: int) -> subprocess.Popen[bytes]:
    package = Path(installer.__file__).parent.parent
    paths = [str(package), os.environ.get("PYTHONPATH", "")]
    with directory.log("daemon").open("ab") as log:
        return subprocess.Popen(
            # -P: nothing in the working directory may stand in for a module.
            [sys.executable, "-P", "-m", _DAEMON, str(directory.path), str(pipe)],
            cwd=directory.path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[pipe],
            start_new_session=True,
        )


def _follow(
    daemon: subprocess.Popen[bytes],
    news: int,
    directory: StateDirectory,
    emit: Emit,
    cancel: Cancel,
) -> None:
    assert daemon.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        daemon.stdin.write(b"begin\n")
        daemon.stdin.close()
    for line in _lines(news, cancel):
        told = json.loads(line)
        if "ready" in told:
            return
        if "failed" in told:
            raise InstallerError(told["failed"], kind="sandbox-failed", object=directory.name)
        emit(_waiting(told["waiting"]))
    log = processes.tail(directory.log("daemon"))
    raise InstallerError(f"the sandbox's daemon ended; the end of its log:\n{log}")


def _lines(news: int, cancel: Cancel) -> Iterator[bytes]:
    """Lines from a pipe until its other end is closed."""
    rest = b""
    while True:
        while not select.select([news], [], [], 0.05)[0]:
            cancel.check("waiting until the sandbox is up")
        chunk = os.read(news, 65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _waiting(waiting: Mapping[str, str]) -> Event:
    pending = [
        {"object": component, "state": "progressing", "reason": reason}
        for component, reason in waiting.items()
    ]
    counts = {"pending": len(pending), "total": len(COMPONENTS)}
    return Event("waiting", {**STAGE, "for": pending, **counts})


def forget(directory: StateDirectory) -> None:
    """Reap the daemon of a sandbox that has ended, if this process had started it."""
    if directory.path in _daemons:
        daemon, stack = _daemons.pop(directory.path)
        stack.close()
        daemon.wait()

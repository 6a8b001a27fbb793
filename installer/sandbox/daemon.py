"""The daemon of one sandbox: owns its servers and simulators, and takes them along when it ends.

Started by `installer.sandbox.lifecycle.up` as `python -m installer.sandbox.daemon DIRECTORY FD`.
It begins when it reads a line on standard input: by then its identity is recorded, so that it can
be found whatever happens. Until everything is ready it tells what it waits for through the pipe
FD, one JSON object a line: {"waiting": {component: reason}}, then {"ready": true} or {"failed":
sentence}. When nobody reads the pipe any more, whoever ran `up` is gone and the daemon ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from installer.core.errors import InstallerError, UsageError
from installer.sandbox import processes
from installer.sandbox.control import ControlServer
from installer.sandbox.control_plane import commands, environment
from installer.sandbox.probe import Probe
from installer.sandbox.processes import ProcessId
from installer.sandbox.simulation import Simulation
from installer.sandbox.state import COMPONENTS, StateDirectory

_POLL = 0.02
# It gives up when /healthz is not content within 10 s, which a busy machine may need.
_CONTROLLER_MANAGER_CHANCES = 4
_LOG = logging.getLogger("daemon")


class Failed(Exception):
    """The sandbox cannot become ready; the text is for the user."""


class Daemon:
    """The servers of one sandbox; every method runs in the main thread (see processes.start)."""

    def __init__(self, directory: StateDirectory) -> None:
        self.directory = directory
        self.record = directory.update()
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        self.commands = commands(directory, self.record)
        self.probe = Probe(directory, self.record)
        self.simulation = Simulation(directory, self.record)
        self.stopping = False

    # Starting and ending servers

    def start(self, *components: str) -> None:
        """Start servers that do not run."""
        for component in components:
            self.servers[component] = processes.start(
                self.commands[component],
                directory=self.directory.path,
                log=self.directory.log(component),
                environment=environment(self.directory),
            )
        self._save(clear=components)

    def stop(self, component: str, number: int, grace: float) -> None:
        """End a server with a signal, with SIGKILL after `grace` seconds."""
        server = self.servers.get(component)
        if server is None:
            return
        server.send_signal(number)
        try:
            server.wait(grace)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        del self.servers[component]
        self._save(problems={component: f"{component} was stopped"})

    def end(self) -> None:
        """End everything at once: the data are thrown away, so nothing needs to be tidy."""
        self.simulation.stop()
        for server in self.servers.values():
            server.kill()
        for server in self.servers.values():
            server.wait()
        self.servers.clear()

    # Becoming ready

    def become_ready(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        """Start everything and wait for it; raises Failed."""
        deadline = time.monotonic() + self.record.timeout
        self.start("etcd", "kube-apiserver")
        told: dict[str, str] = {}
        last_told = 0.0
        chances = _CONTROLLER_MANAGER_CHANCES
        while waiting := self._waiting():
            for died in self._reap():
                chances -= 1
                if died != "kube-controller-manager" or chances == 0:
                    raise Failed(self._death(died))
            if self.stopping:
                raise Failed("the sandbox was told to stop while it started")
            if time.monotonic() > deadline:
                raise Failed(self._too_late(waiting, self.record.timeout))
            if waiting != told or time.monotonic() - last_told > 1:
                tell({"waiting": waiting})
                told, last_told = waiting, time.monotonic()
            time.sleep(_POLL)

    def _waiting(self) -> dict[str, str]:
        """What is not ready, with the reason; starts what can start now."""
        if "kube-controller-manager" not in self.servers and self.probe.serving():
            self.start("kube-controller-manager")
        reason = self.probe.api_server()
        if reason:
            return {"kube-apiserver": reason}
        self.simulation.start()
        waiting = {}
        if reason := self.probe.controller_manager():
            waiting["kube-controller-manager"] = reason
        nodes = self.probe.nodes() if self.simulation.running else self.record.nodes
        if nodes < self.record.nodes:
            waiting["nodes"] = f"{nodes} of {self.record.nodes} registered"
        return waiting

    def wait_for_api_server(self, timeout: float) -> None:
        """Wait until the API server is ready again; raises InstallerError."""
        deadline = time.monotonic() + timeout
        while reason := self.probe.api_server():
            died = self._reap()
            if "kube-apiserver" in died:
                raise InstallerError(self._death("kube-apiserver"))
            if time.monotonic() > deadline:
                raise InstallerError(self._too_late({"kube-apiserver": reason}, timeout))
            time.sleep(_POLL)

    # Running

    def serve(self, control: ControlServer, pipe: int) -> None:
        """Answer requests and notice deaths until told to stop, or until a tied owner is gone."""
        owner = select.poll()
        if self.record.tied:
            owner.register(pipe, 0)
        while not self.stopping and not owner.poll(0):
            with contextlib.suppress(queue.Empty):
                control.requests.get(timeout=0.2).answer(self._do)
            if self.directory.read() is None:
                _LOG.warning("the state directory is gone; ending")
                return
            self._reap()

    def _do(self, request: Mapping[str, Any]) -> Any:
        action = request.get("do")
        if action == "shutdown":
            self.stopping = True
            return True
        component = str(request.get("component"))
        if component not in COMPONENTS:
            raise UsageError(f"{component!r} is not one of {', '.join(COMPONENTS)}")
        if action in ("stop", "restart"):
            self.stop(component, int(request["signal"]), float(request["grace"]))
        if action in ("start", "restart"):
            return self._start_and_wait(component, float(request["timeout"]))
        if action == "signal":
            server = self.servers.get(component)
            if server is None:
                raise InstallerError(f"{component} does not run", kind="not-running")
            server.send_signal(int(request["signal"]))
        return True

    def _start_and_wait(self, component: str, timeout: float) -> bool:
        if component in self.servers:
            return False
        self.start(component)
        if component != "kube-controller-manager" and "kube-apiserver" in self.servers:
            self.wait_for_api_server(timeout)
        return True

    def _reap(self) -> list[str]:
        """Notice servers that ended by themselves."""
        died = [name for name, server in self.servers.items() if server.poll() is not None]
        problems = {}
        if self.simulation.problem != self.record.problems.get("simulators", ""):
            problems["simulators"] = self.simulation.problem
        for component in died:
            code = self.servers.pop(component).returncode
            problems[component] = f"{component} ended by itself: {_how(code)}"
            _LOG.warning("%s", problems[component])
        if problems:
            self._save(problems=problems)
        return died

    def _save(self, clear: tuple[str, ...] = (), problems: Mapping[str, str] | None = None) -> None:
        identities = {"daemon": self.record.processes["daemon"]}
        for component, server in self.servers.items():
            if identity := ProcessId.of(server.pid):
                identities[component] = identity
        kept = {name: text for name, text in self.record.problems.items() if name not in clear}
        self.record = self.directory.update(
            processes=identities, problems={**kept, **(problems or {})}
        )

    def _death(self, component: str) -> str:
        return _with_log(
            f"{self.record.problems[component]} while the sandbox {self.record.name} started",
            self.directory.log(component),
        )

    def _too_late(self, waiting: Mapping[str, str], timeout: float) -> str:
        component, reason = next(iter(waiting.items()))
        log = self.directory.log(component if component in COMPONENTS else "daemon")
        text = f"{component} {reason} after {timeout:.0f} s"
        return _with_log(text, log)


def _with_log(text: str, log: Path) -> str:
    last = processes.tail(log)
    return f"{text}; the end of its log:\n{last}" if last else text


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def main(arguments: list[str]) -> int:
    """Run the daemon until it is told to stop."""
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level="INFO")
    directory, pipe = StateDirectory(Path(arguments[0])), int(arguments[1])

    def tell(news: Mapping[str, Any]) -> None:
        os.write(pipe, json.dumps(news).encode() + b"\n")

    if not sys.stdin.readline():
        return 1
    daemon = Daemon(directory)

    def on_signal(*_: object) -> None:
        daemon.stopping = True

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        control = ControlServer(Path(daemon.record.sockets))
        daemon.become_ready(tell)
        daemon.record = directory.update(phase="running")
        tell({"ready": True})
        daemon.serve(control, pipe)
    except Failed as error:
        directory.update(phase="failed", error=str(error))
        tell({"failed": str(error)})
        return 1
    except BrokenPipeError:
        _LOG.warning("whoever started the sandbox is gone; ending")
        return 1
    finally:
        daemon.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

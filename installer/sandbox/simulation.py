"""Runs the simulators in a thread of the daemon."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
from pathlib import Path

from installer.core.cancel import Cancel
from installer.core.errors import Interrupted
from installer.sandbox.context import SimulatorContext
from installer.sandbox.shape import nodes_of
from installer.sandbox.state import Record, StateDirectory

_MODULE = "installer.sandbox.simulators"
_LOG = logging.getLogger("simulation")


class Simulation:
    """Nodes, webhooks and controllers of one sandbox: simulated, beside the real control plane."""

    def __init__(self, directory: StateDirectory, record: Record) -> None:
        self._context = SimulatorContext(
            name=record.name,
            kubeconfig=directory.kubeconfig,
            server=record.server,
            kubernetes=record.kubernetes,
            nodes=record.nodes,
            egress_socket=Path(record.sockets) / "egress.sock",
            ca_cert=directory.pki / "ca.crt",
            ca_key=directory.pki / "ca.key",
            script=directory.script,
            gateway_port=record.gateway_port,
            instant=record.instant,
            aggregator_routing=record.aggregator_routing,
            shape=nodes_of({"nodes": list(record.shape)}) if record.shape else (),
        )
        self.problem = ""
        """Why they do not run, one sentence; empty while they do. Written by their thread."""
        self._cancel = Cancel()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the simulators run."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start them, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="simulators", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask them to end and give them a second to do so."""
        self._cancel.stop()
        if self._thread is not None:
            self._thread.join(1)

    def _run(self) -> None:
        try:
            if importlib.util.find_spec(_MODULE) is None:
                self.problem = "no simulators: nodes, pods and webhooks do nothing"
                return
            importlib.import_module(_MODULE).run(self._context, self._cancel)
        except Interrupted:
            pass
        except Exception as error:
            _LOG.exception("the simulators ended")
            self.problem = f"the simulators ended: {type(error).__name__}: {error}"

"""What the simulators are told about the sandbox they run in.

The daemon builds one `SimulatorContext` when the control plane is ready and calls
`installer.sandbox.simulators.run(context, cancel)` in a thread. `run` returns when `cancel` is
stopped; an exception that leaves it is written to the daemon's log and shown by `status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from installer.sandbox.shape import NodeShape


@dataclass(frozen=True, slots=True)
class SimulatorContext:
    """One running sandbox, as the simulators see it.

    name: the sandbox's name (`--name`).
    kubeconfig: file with cluster-admin credentials (client certificate, group system:masters).
    server: URL of the API server, `https://127.0.0.1:<port>`.
    kubernetes: its version without `v`, such as `1.20.2`.
    nodes: how many nodes to simulate.
    egress_socket: Unix socket that the API server dials for every connection into the cluster
        (webhooks, conversion): it sends `CONNECT <clusterIP or pod IP>:<port> HTTP/1.1`. Nothing
        listens there until the simulators do; the API server then sees "connection refused".
    ca_cert, ca_key: PEM files of the sandbox's own certificate authority.
    script: the behaviour script (see `installer.sandbox.script`); may be absent.
    gateway_port: free port on 127.0.0.1 kept for the gateway that routes by Host header.
    instant: True when delays are to be zero unless the script says otherwise.
    aggregator_routing: True when the API server resolves Services to pod addresses itself
        (`--enable-aggregator-routing`); False when it dials cluster IPs.
    shape: the nodes one by one; empty for `nodes` equal ones.
    """

    name: str
    kubeconfig: Path
    server: str
    kubernetes: str
    nodes: int
    egress_socket: Path
    ca_cert: Path
    ca_key: Path
    script: Path
    gateway_port: int
    instant: bool
    aggregator_routing: bool = False
    shape: tuple[NodeShape, ...] = ()

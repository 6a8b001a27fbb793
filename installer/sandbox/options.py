"""What a sandbox is asked to be, and what a running one tells about itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer.core.errors import UsageError
from installer.core.kubernetes_version import KubernetesVersion
from installer.sandbox.shape import NodeShape

DEFAULT_KUBERNETES = "1.20.2"
OLDEST_KUBERNETES = KubernetesVersion(1, 20)

_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")


def check_name(name: str) -> None:
    """Refuse what cannot be a sandbox's name, and so a directory's, with a UsageError."""
    if not _NAME.match(name):
        raise UsageError(
            f"{name!r} cannot be a sandbox's name: lower-case letters, digits and dashes, "
            "at most 40, beginning and ending with a letter or digit",
            kind="invalid-name",
        )


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What `sandbox up` asks for.

    name: 1 to 40 lower-case letters, digits and dashes; several sandboxes run side by side.
    kubernetes: version such as `1.20.2`, with or without `v`.
    nodes: simulated nodes, 1 to 100.
    shape: the nodes one by one, instead of `nodes` equal ones; see `installer.sandbox.shape`.
    audit_log: file to which the API server appends one JSON line per request; it is the user's
        and outlives the sandbox.
    control_plane: folder with binaries, see `installer.sandbox.binaries`.
    instant: simulated delays are zero unless the script says otherwise.
    aggregator_routing: the API server resolves Services to pod addresses itself, as the recorded
        cluster did, instead of dialling cluster IPs (Kubernetes' default).
    script: a behaviour script to start with, copied into the state directory.
    tied: the sandbox ends with the process that called `up`, however that ends.
    timeout: seconds until the control plane must be ready; finding the binaries is not counted.
    download, build: whether binaries may be downloaded, and built with `go`.
    """

    name: str = "default"
    kubernetes: str = DEFAULT_KUBERNETES
    nodes: int = 1
    audit_log: Path | None = None
    control_plane: Path | None = None
    instant: bool = False
    aggregator_routing: bool = False
    script: Path | None = None
    tied: bool = False
    timeout: float = 120.0
    download: bool = True
    build: bool = True
    shape: tuple[NodeShape, ...] = ()

    def check(self) -> KubernetesVersion:
        """Refuse what cannot work with a UsageError; returns the version asked for."""
        check_name(self.name)
        if not 1 <= self.nodes <= 100:
            raise UsageError(
                f"a sandbox has 1 to 100 nodes, not {self.nodes}", kind="invalid-nodes"
            )
        try:
            version = KubernetesVersion.parse(self.kubernetes)
        except ValueError as error:
            raise UsageError(str(error), kind="invalid-version") from error
        if self.kubernetes.count(".") < 2:
            raise UsageError(
                f"{self.kubernetes!r} does not name one Kubernetes version",
                kind="invalid-version",
                remedy="give all three numbers, such as 1.20.2",
            )
        if version < OLDEST_KUBERNETES:
            raise UsageError(
                f"the sandbox runs Kubernetes {OLDEST_KUBERNETES.major}.{OLDEST_KUBERNETES.minor} "
                f"and later, not {version}",
                kind="invalid-version",
            )
        return version


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """A sandbox as `up` and `status` report it.

    kubeconfig: file with the context `sandbox-<name>`, cluster-admin.
    gateway: `127.0.0.1:<port>` where the simulated ingress gateway answers.
    pids: process id by component (`daemon`, `etcd`, `kube-apiserver`, `kube-controller-manager`);
        components that do not run are missing.
    status: `starting`, `running`, `degraded` (a component does not run) or `stopped` (what a crash
        has left; the next `up` or `down` clears it away).
    problems: one sentence each; empty when all is well.
    """

    name: str
    kubeconfig: Path
    server: str
    kubernetes: str
    gateway: str
    audit_log: Path | None
    pids: Mapping[str, int]
    nodes: int
    status: str
    state_dir: Path
    script: Path
    problems: tuple[str, ...] = ()
    started: bool = field(default=False, compare=False)
    """Whether this call of `up` started it (False: it was running already)."""

    @property
    def context(self) -> str:
        """Name of the kubeconfig's context."""
        return f"sandbox-{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `sandbox up|status -o json`."""
        return {
            "name": self.name,
            "kubeconfig": str(self.kubeconfig),
            "context": self.context,
            "server": self.server,
            "kubernetes": self.kubernetes,
            "gateway": self.gateway,
            "audit_log": str(self.audit_log) if self.audit_log else None,
            "pids": dict(self.pids),
            "nodes": self.nodes,
            "status": self.status,
            "problems": list(self.problems),
        }

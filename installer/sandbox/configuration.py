"""Files that the servers of a sandbox read: certificates, kubeconfigs, egress and audit."""

from __future__ import annotations

import json
from pathlib import Path

from installer.sandbox import pki
from installer.sandbox.state import Record, StateDirectory


def write(directory: StateDirectory, record: Record) -> None:
    """Write certificates, kubeconfigs, egress and audit configuration."""
    pki.create(directory.pki)
    directory.config.mkdir(mode=0o700, exist_ok=True)
    pki.write_kubeconfig(
        directory.kubeconfig,
        context=f"sandbox-{record.name}",
        server=record.server,
        pki=directory.pki,
        user="admin",
    )
    pki.write_kubeconfig(
        directory.config / "kube-controller-manager.kubeconfig",
        context="kube-controller-manager",
        server=record.server,
        pki=directory.pki,
        user="kube-controller-manager",
    )
    _write_json(directory.config / "egress.json", _egress(record))
    if record.audit_log:
        _write_json(directory.config / "audit.json", _AUDIT_POLICY)


_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def _egress(record: Record) -> dict[str, object]:
    # v1beta1 is read by every version from 1.20 to 1.34.
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [
            {
                "name": "cluster",
                "connection": {
                    "proxyProtocol": "HTTPConnect",
                    "transport": {"uds": {"udsName": str(Path(record.sockets) / "egress.sock")}},
                },
            }
        ],
    }


def _write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=2), encoding="utf-8")

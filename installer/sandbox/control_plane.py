"""How etcd, the API server and the controller-manager are started, by Kubernetes version.

All of them listen on 127.0.0.1 or on Unix sockets only. Flags were tried on 1.20.2, 1.25.3 and
1.34.4; etcd 3.4 and later.
"""

from __future__ import annotations

from installer.core.kubernetes_version import KubernetesVersion
from installer.sandbox.state import Record, StateDirectory

SERVICE_CIDR = "10.96.0.0/12"

# A Unix socket in the state directory, which other users cannot enter, instead of a port which
# they could read every Secret from. etcd wants "host:port" in the URL and makes it the file's name,
# relative to the working directory, so its path cannot get too long either.
_ETCD = "unix://etcd:0"

# Controllers that have nothing to do here: there is no cloud and no volume, and the kubelets are
# simulated: with nodelifecycle a laptop's sleep would evict every pod.
_DISABLED_CONTROLLERS = ("nodeipam", "nodelifecycle", "attachdetach")


def environment(directory: StateDirectory) -> dict[str, str]:
    """The servers' environment: nothing of the user's, above all no proxy settings."""
    return {"HOME": str(directory.path), "PATH": "/usr/bin:/bin", "TMPDIR": str(directory.path)}


def commands(directory: StateDirectory, record: Record) -> dict[str, list[str]]:
    """The command line of each component."""
    return {
        "etcd": [record.binaries["etcd"], *_etcd_flags()],
        "kube-apiserver": [
            record.binaries["kube-apiserver"],
            *_api_server_flags(directory, record),
        ],
        "kube-controller-manager": [
            record.binaries["kube-controller-manager"],
            *_controller_manager_flags(directory, record),
        ],
    }


def _etcd_flags() -> list[str]:
    return [
        "--name=sandbox",
        "--data-dir=etcd-data",
        f"--listen-client-urls={_ETCD}",
        "--advertise-client-urls=http://localhost:2379",
        "--listen-peer-urls=unix://etcd-peer:0",
        "--initial-advertise-peer-urls=http://localhost:2380",
        "--initial-cluster=sandbox=http://localhost:2380",
        # The data need not outlive a power cut, and waiting for the disk dominates small writes.
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
    ]


def _api_server_flags(directory: StateDirectory, record: Record) -> list[str]:
    certificates = directory.pki
    flags = [
        f"--etcd-servers={_ETCD}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={record.server_port}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        # Otherwise it publishes 127.0.0.1 as endpoint of a Service, which validation refuses.
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={certificates / 'kube-apiserver.crt'}",
        f"--tls-private-key-file={certificates / 'kube-apiserver.key'}",
        f"--client-ca-file={certificates / 'ca.crt'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={certificates / 'service-accounts.key'}",
        f"--service-account-signing-key-file={certificates / 'service-accounts.key'}",
        f"--requestheader-client-ca-file={certificates / 'ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificates / 'front-proxy.crt'}",
        f"--proxy-client-key-file={certificates / 'front-proxy.key'}",
        f"--egress-selector-config-file={directory.config / 'egress.json'}",
        f"--enable-aggregator-routing={str(record.aggregator_routing).lower()}",
        "--profiling=false",
    ]
    if record.audit_log:
        flags += [
            f"--audit-log-path={record.audit_log}",
            f"--audit-policy-file={directory.config / 'audit.json'}",
            # Megabytes; a log that is rotated in the middle of a count would be a wrong count.
            "--audit-log-maxsize=100000",
        ]
    return flags


def _controller_manager_flags(directory: StateDirectory, record: Record) -> list[str]:
    certificates = directory.pki
    disabled = ",".join(f"-{name}" for name in _DISABLED_CONTROLLERS)
    flags = [
        f"--kubeconfig={directory.config / 'kube-controller-manager.kubeconfig'}",
        "--secure-port=0",
        "--leader-elect=false",
        f"--controllers=*,{disabled}",
        f"--service-account-private-key-file={certificates / 'service-accounts.key'}",
        f"--root-ca-file={certificates / 'ca.crt'}",
        f"--cluster-signing-cert-file={certificates / 'ca.crt'}",
        f"--cluster-signing-key-file={certificates / 'ca.key'}",
        # The default of 20 requests a second makes a rollout of 50 Deployments take half a minute.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]
    if KubernetesVersion.parse(record.kubernetes) < KubernetesVersion(1, 24):
        # The insecure port was on by default, and the flag is gone since 1.24.
        flags.append("--port=0")
    return flags

"""ServiceAccounts of a sandbox with rights of their own, and kubeconfigs for them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from installer.cluster.client import Cluster
from installer.sandbox.lifecycle import SandboxInfo

_PATIENCE = 20.0


def account(cluster: Cluster, sandbox: SandboxInfo, name: str, folder: Path) -> Path:
    """A kubeconfig of a new ServiceAccount in `default`; it has no rights yet."""
    metadata = {"name": name, "namespace": "default"}
    cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    answer = cluster.request(
        "POST",
        f"/api/v1/namespaces/default/serviceaccounts/{name}/token",
        body={
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        },
    )
    config = yaml.safe_load(Path(sandbox.kubeconfig).read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    path = folder / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def give(cluster: Cluster, documents: Iterable[dict[str, Any]]) -> None:
    """Apply roles and bindings as an administrator."""
    for document in documents:
        cluster.apply(document, force=True)


def allow(cluster: Cluster, name: str, rules: Sequence[dict[str, Any]]) -> None:
    """Give a ServiceAccount of `default` these rules in every namespace."""
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "metadata": {"name": name}}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    given = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    bound = {**role, "kind": "ClusterRoleBinding", "roleRef": given, "subjects": [subject]}
    give(cluster, [{**role, "kind": "ClusterRole", "rules": list(rules)}, bound])


def until(holds: Callable[[], bool]) -> None:
    """Ask again until it holds: the API server's authorizer follows roles a little later."""
    ends = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < ends, "it never came to hold"
        threading.Event().wait(0.05)


def command(*words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """The real command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "installer.cli.main", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def refused_writes(audit_log: Path) -> list[str]:
    """Requests for which the account had no right, but for reads and dry runs of checks.

    A denial by a webhook has the same code; only the authorizer's own word tells them apart.
    """
    refused = []
    for line in audit_log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        ours = event["user"]["username"] == "system:serviceaccount:default:installer"
        if (
            ours
            and event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
            and event["verb"] not in ("get", "list", "watch")
            and "dryRun" not in event["requestURI"]
        ):
            refused.append(f"{event['verb']} {event['requestURI']}")
    return refused

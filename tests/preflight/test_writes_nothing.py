"""Whatever the checks look at: the API server's audit log knows of no write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accounts import command
from audit import audited_writes

from installer.cluster.client import Cluster
from installer.sandbox import lifecycle

RELEASE = "kfserving-0.5.1"


@pytest.mark.cluster
def test_preflight_of_one_release_and_of_all_writes_nothing(
    sandbox_factory: Any, shared: Path
) -> None:
    sandbox = sandbox_factory("1.20.2", fresh=True)
    admin = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    # where a namespace of the release is there already, its objects and pods are tried
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "knative-serving"}})
    before = audited_writes(sandbox.audit_log)
    flags = ["--kubeconfig", str(sandbox.kubeconfig), "--mirror", str(shared / "upstream")]
    assert command("preflight", RELEASE, *flags).returncode == 0
    assert command("preflight", "kserve-0.20.0", *flags).returncode == 3
    assert command("preflight", "--all-releases", *flags).returncode == 0
    assert audited_writes(sandbox.audit_log) == before
    asked = [line for line in sandbox.audit_log.read_text().splitlines() if "dryRun=All" in line]
    assert any("/namespaces/knative-serving/pods?" in line for line in asked)
    assert any("/deployments/" in line for line in asked)
    lifecycle.down(sandbox.name)

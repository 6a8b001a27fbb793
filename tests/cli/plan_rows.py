"""Plans made of values, for what is shown of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from installer.catalog.load import load_release
from installer.cluster.client import Identity
from installer.cluster.ledger import Ledger
from installer.core.kubernetes_version import KubernetesVersion
from installer.core.objects import Ref
from installer.operations.choice import InstallOptions
from installer.operations.plan_components import ComponentRow
from installer.operations.planning import ObjectRow, Plan
from installer.operations.prepare import Prepared
from installer.plan.diff import compare
from installer.plan.footprint import Footprint, Image

RELEASE = "kfserving-0.5.1"


def config(name: str = "c", **data: str) -> dict[str, Any]:
    """A ConfigMap in namespace n."""
    metadata = {"name": name, "namespace": "n"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def row(action: str, name: str, before: Any = None, after: Any = None, **fields: Any) -> ObjectRow:
    """A row for ConfigMap n/NAME."""
    changes = compare(before, after) if before and after else []
    return ObjectRow(
        action,
        Ref("v1", "ConfigMap", "n", name),
        "istio",
        "setup",
        before=before,
        after=after,
        changes=changes,
        writers=[""] * len(changes),
        **fields,
    )


def plan(rows: Sequence[ObjectRow], state: str = "installed") -> Plan:
    """A plan of RELEASE with these rows."""
    identity = Identity(
        "kind-dev", "https://127.0.0.1:6443", KubernetesVersion(1, 20, 2), "v1.20.2", 3
    )
    release = load_release(RELEASE).releases[RELEASE]
    ledger = Ledger(release=RELEASE, state=state)
    prepared = Prepared(InstallOptions(RELEASE), identity, release, [], [], [], ledger)
    return Plan(
        prepared,
        [ComponentRow("istio", "1.6.2", "ours", "1.6.2", "same version, 1 object differs")],
        rows,
        Footprint(1500, 2**30, 3, 1, (Image("a:1", 1), Image("b:2", 0))),
    )

"""The ledger: what we installed and own, kept in the cluster itself.

One ConfigMap for the stack and one per component, in namespace `kserve-installer`. References
are written before their objects are applied, so that a killed run leaves nothing unowned;
fingerprints are settled after each stage. What is in them: `records`, and how: `ledger_documents`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from installer.cluster.client import Cluster
from installer.cluster.ledger_documents import (
    Damaged,
    Newer,
    record_of,
    record_text,
    stack_of,
    stack_text,
)
from installer.cluster.records import ComponentRecord, Cursor, Ledger, Run, Upgrade
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref, dig
from installer.plan.drift import MANAGER

__all__ = ["ComponentRecord", "Cursor", "Ledger", "Run", "Upgrade"]

NAMESPACE = "kserve-installer"
HOME = Ref("v1", "Namespace", "", NAMESPACE)
STACK = "ledger"
PREFIX = "ledger-"
_KEY = "ledger.json"
_LABELS = {"app.kubernetes.io/managed-by": MANAGER}
_Value = TypeVar("_Value")


def read(cluster: Cluster) -> Ledger:
    """The ledger of a cluster; an empty one when there is none.

    Raises InstallerError, kind `ledger`, for a document that cannot be read.
    """
    found = cluster.list("v1", "ConfigMap", NAMESPACE, label_selector=_selector()).items
    by_name = {str(dig(item, "metadata", "name")): item for item in found}
    components = {
        name.removeprefix(PREFIX): _parsed(item, partial(record_of, name=name.removeprefix(PREFIX)))
        for name, item in sorted(by_name.items())
        if name.startswith(PREFIX)
    }
    stack = by_name.get(STACK)
    ledger = Ledger() if stack is None else _parsed(stack, stack_of)
    return replace(ledger, components=components, names=ledger.names or tuple(components))


def _parsed(item: Object, parse: Callable[[object], _Value]) -> _Value:
    where = f"ConfigMap {NAMESPACE}/{dig(item, 'metadata', 'name')}"
    try:
        return parse(dig(item, "data", _KEY))
    except Newer as form:
        raise InstallerError(
            f"the ledger was written by a newer kserve-installer (format {form})",
            kind="ledger",
            object=where,
            remedy="use that version, or a later one",
        ) from form
    except Damaged as broken:
        raise InstallerError(
            f"the ledger cannot be read: {broken}",
            kind="ledger",
            object=where,
            remedy="restore it from a backup, or delete it and run install again: "
            "objects that exist are then taken over",
        ) from broken


def write_stack(cluster: Cluster, ledger: Ledger) -> None:
    """Write the stack's part: release, state, components by name, run history."""
    cluster.apply(_config_map(STACK, stack_text(ledger)), force=True)


def write_component(cluster: Cluster, record: ComponentRecord) -> None:
    """Write one component's part; components are written independently of each other."""
    cluster.apply(_config_map(PREFIX + record.name, record_text(record)), force=True)


def forget_component(cluster: Cluster, name: str) -> None:
    """Remove a component's part, after everything in it is gone."""
    cluster.delete(Ref("v1", "ConfigMap", NAMESPACE, PREFIX + name))


def create_home(cluster: Cluster) -> None:
    """Create the namespace of ledger and lock."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": _LABELS},
        },
        force=True,
    )


def is_our_home(namespace: Object) -> bool:
    """Whether the namespace of ledger and lock was made by us, and not by somebody before."""
    return all(dig(namespace, "metadata", "labels", key) == value for key, value in _LABELS.items())


def _selector() -> str:
    return ",".join(f"{key}={value}" for key, value in _LABELS.items())


def _config_map(name: str, text: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": _LABELS},
        "data": {_KEY: text},
    }

"""Edits of ConfigMaps that come between an upgrade's decision and its apply, minutes later."""

from __future__ import annotations

from collections.abc import Sequence

from installer.cluster.client import Cluster
from installer.core.errors import InstallerError
from installer.core.objects import dig
from installer.operations.prepare import PlannedComponent
from installer.plan.wanted import Wanted


def check_not_edited(cluster: Cluster, part: PlannedComponent, due: Sequence[Wanted]) -> None:
    """Raise InstallerError, kind `edited`, when somebody has changed one of these ConfigMaps since
    its edits were merged: the apply takes its fields from everybody, and would take that back."""
    for item in due:
        if item.ref.kind != "ConfigMap" or item.ref.name not in part.component.config_maps:
            continue
        known = part.live.get(item.ref.identity)
        found = cluster.get(item.ref) if known is not None else None
        if found is not None and _version(found) != _version(known):
            raise InstallerError(
                f"{item.ref} was edited while the upgrade was under way; nothing of that was "
                "overwritten",
                kind="edited",
                object=str(item.ref),
                remedy="run the same command again: it merges the edit and goes on",
            )


def _version(obj: object) -> object:
    return dig(obj, "metadata", "resourceVersion")

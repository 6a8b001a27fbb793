"""Is what was installed before still ready?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from installer.cluster.client import Cluster
from installer.cluster.readiness import readiness
from installer.core.cancel import Cancel
from installer.core.events import Emit
from installer.core.objects import Ref
from installer.operations.live import METADATA_KINDS
from installer.operations.prepare import PlannedComponent, Prepared

if TYPE_CHECKING:
    from installer.cluster.pending import Pending


def await_health(cluster: Cluster, prepared: Prepared, emit: Emit, cancel: Cancel) -> None:
    """Return once everything of an unchanged install is ready; at once when it is already."""
    for part in prepared.planned:
        if any(not _is_ready(part, ref) for ref in _judged(part)):
            _await(cluster, part, emit, cancel)


def _judged(part: PlannedComponent) -> Sequence[Ref]:
    return [
        item.ref
        for item in part.wanted
        if not item.create_only and item.ref.kind not in METADATA_KINDS
    ]


def _is_ready(part: PlannedComponent, ref: Ref) -> bool:
    return readiness(part.live.get(ref.identity)).ready


def _await(cluster: Cluster, part: PlannedComponent, emit: Emit, cancel: Cancel) -> None:
    from installer.cluster.wait import wait_ready
    from installer.operations.gates import waiting

    name = part.component.name

    def progress(pending: Sequence[Pending], total: int) -> None:
        emit(waiting(name, "workloads", pending, total))

    wait_ready(cluster, _judged(part), deadline=cancel.left(), cancel=cancel, progress=progress)

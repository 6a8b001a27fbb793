"""Components that somebody else manages, in a run that finds nothing to write.

A run that writes has been through every check (`preflight.check_first`); this one looks at least at
what it cannot see from its own objects.
"""

from __future__ import annotations

from installer.cluster.client import Cluster
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.operations.preflight import target_of
from installer.operations.prepare import Prepared
from installer.preflight.existing_external import EXTERNAL_CHECKS
from installer.preflight.world import World


def check_external(cluster: Cluster, prepared: Prepared, emit: Emit) -> None:
    """Raise ChecksFailed unless every external component is there, healthy, serves the kinds that
    our objects use, and answers; what is only worth a look becomes `warning` events."""
    world = World(cluster, prepared.identity, prepared.ledger, target_of(prepared))
    for check in EXTERNAL_CHECKS:
        for detail in check.look(world):
            if detail.verdict == "failed":
                raise ChecksFailed(
                    detail.reason, kind=check.id, object=detail.object, remedy=detail.remedy
                )
            if detail.verdict in ("warning", "unknown"):
                told = {"message": detail.reason, "object": detail.object, "remedy": detail.remedy}
                emit(Event("warning", told))

"""Waiting until CustomResourceDefinitions are established, also past a restart of the API server.

An API server that is restarted between accepting a CRD's names and establishing it leaves the CRD
there until something updates it: its handler only queues a CRD for establishing on update events
(apiextensions-apiserver, `customresource_handler.go`; its informers' resync does it after 5
minutes; seen on 1.20.2). So a wait that stands still touches what hangs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.pending import Pending, Progress, ignore
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.objects import Ref, conditions

STILL = 15.0
"""Seconds without one more CRD established after which those that hang are touched."""
PATIENCE = 15.0
"""Seconds for a touch."""
_TOUCH = "kserve-installer/touched"


def wait_established(
    cluster: Cluster,
    refs: Sequence[Ref],
    *,
    deadline: float,
    cancel: Cancel,
    progress: Progress = ignore,
) -> None:
    """Like `wait_ready` for CRDs. deadline: seconds from now."""
    began = time.monotonic()
    ends = began + deadline
    left = len(refs)
    seen = left
    marked: set[Ref] = set()

    def count(pending: list[Pending], total: int) -> None:
        nonlocal seen
        seen = len(pending)
        progress(pending, total)

    while True:
        slice_ = min(STILL, max(0.0, ends - time.monotonic()))
        try:
            wait_ready(
                cluster,
                refs,
                deadline=slice_,
                cancel=cancel,
                progress=count,
                waited=time.monotonic() - began,
            )
            break
        except NotReady as slow:
            if slow.kind != "not-ready" or time.monotonic() >= ends:
                raise
        if seen >= left:
            marked |= touch_hanging(cluster, refs, cancel)
        left = seen
    for ref in marked:
        _touch(cluster, ref, None)


def touch_hanging(cluster: Cluster, refs: Sequence[Ref], cancel: Cancel) -> set[Ref]:
    """Update each CRD whose names are accepted and that is not established, and take it back.

    Returns those on which a touch may have been left.
    """
    left: set[Ref] = set()
    brief = cluster.under(cancel, patience=PATIENCE)
    for ref in refs:
        found = cluster.get(ref)
        have = conditions(found) if found else {}
        accepted = have.get("NamesAccepted", {}).get("status") == "True"
        hangs = accepted and have.get("Established", {}).get("status") != "True"
        if hangs and not (_touch(brief, ref, "true") and _touch(brief, ref, None)):
            left.add(ref)
    return left


def _touch(cluster: Cluster, ref: Ref, value: str | None) -> bool:
    """Whether the server took it. One that is only slow may be busy with just this CRD, which is no
    reason to end the wait for it."""
    try:
        cluster.patch(ref, {"metadata": {"annotations": {_TOUCH: value}}})
    except ApiError as error:
        if not error.failure.transient:
            raise
        return False
    return True

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
from installer.cluster.wait import Pending, Progress, ignore, wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.objects import Ref, conditions

STILL = 15.0
"""Seconds without one more CRD established after which those that hang are touched."""
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
            return
        except NotReady as slow:
            if slow.kind != "not-ready" or time.monotonic() >= ends:
                raise
        if seen >= left:
            _touch_hanging(cluster, refs)
        left = seen


def _touch_hanging(cluster: Cluster, refs: Sequence[Ref]) -> None:
    """Update each CRD whose names are accepted and that is not established, and take it back."""
    for ref in refs:
        found = cluster.get(ref)
        have = conditions(found) if found else {}
        accepted = have.get("NamesAccepted", {}).get("status") == "True"
        if accepted and have.get("Established", {}).get("status") != "True":
            for value in ("true", None):
                cluster.patch(ref, {"metadata": {"annotations": {_TOUCH: value}}})

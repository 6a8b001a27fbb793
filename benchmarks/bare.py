"""The floor: the same bodies as concurrent PATCH requests and nothing else."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from places import Place
from stack import Applied, Stack

THREADS = 16


def first(place: Place, stack: Stack) -> Applied:
    """Apply to an empty cluster.

    Nothing but requests is done while a group's clock runs: bodies and the addresses of their
    kinds are there before.
    """
    cluster = place.cluster()
    groups, span, begun = [], 0.0, time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        for group in stack.groups:
            versions = {body["apiVersion"] for body in group.bodies}
            cluster.refresh_discovery().prefetch(versions)
            started = time.monotonic()
            list(pool.map(cluster.apply, group.bodies))
            groups.append(time.monotonic() - started)
            span = time.monotonic() - begun
            stack.await_gates(place, group)
    cluster.close()
    return Applied(groups, span, time.monotonic() - begun)

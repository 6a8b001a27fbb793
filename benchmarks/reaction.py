"""How soon a wait ends after the event that decides it."""

from __future__ import annotations

import random
import signal
import threading
import time

from places import Place

from installer.cluster.client import Cluster
from installer.cluster.pending import Pending
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Object, ref_of
from installer.sandbox.lifecycle import stop_component

_STATUS = {
    "observedGeneration": 1,
    "replicas": 1,
    "updatedReplicas": 1,
    "readyReplicas": 1,
    "availableReplicas": 1,
    "conditions": [{"type": "Available", "status": "True"}],
}


def measure(place: Place, times: int) -> list[float]:
    """Seconds from just before a Deployment's deciding status is sent to the end of its wait.

    The sandbox's controller manager is ended first, so that nobody but us writes the status.
    """
    stop_component(place.info.name, "kube-controller-manager", signum=signal.SIGTERM)
    cluster = place.cluster()
    found = [_once(cluster, f"measured-{number}") for number in range(times)]
    cluster.close()
    return found


def _once(cluster: Cluster, name: str) -> float:
    ref = ref_of(cluster.create(_deployment(name)))
    listed = threading.Event()
    ended: list[float] = []

    def progress(_pending: list[Pending], _total: int) -> None:
        listed.set()

    def wait() -> None:
        wait_ready(cluster, [ref], deadline=60.0, cancel=Cancel(), progress=progress)
        ended.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    listed.wait(30.0)
    time.sleep(random.uniform(0.3, 0.5))  # its watches are open; no phase of its loop is favoured
    sent = time.monotonic()
    cluster.patch(ref, {"status": _STATUS}, subresource="status")
    thread.join()
    cluster.delete(ref)
    if not ended:
        raise SystemExit(f"the wait for {ref} failed")
    return ended[0] - sent


def _deployment(name: str) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "example.invalid/main"}]},
            },
        },
    }

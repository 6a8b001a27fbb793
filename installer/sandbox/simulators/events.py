"""Kubernetes events as kubelet, scheduler and controllers write them; never in anyone's way."""

from __future__ import annotations

import queue
import threading
import time

from installer.core.objects import Object
from installer.sandbox.simulators.api import Api, Refused, Unreachable, path_of
from installer.sandbox.simulators.world import now


class Events:
    """Writes events from a thread of its own, so that no simulator waits for one."""

    def __init__(self, api: Api):
        self._api = api
        self._queue: queue.SimpleQueue[Object | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is queued."""
        self._queue.put(None)

    def about(
        self, obj: Object, kind: str, reason: str, message: str, *, source: str, host: str = ""
    ) -> None:
        """Queue one event: `kind` is Normal or Warning, `source` the component that reports it."""
        metadata, stamp = obj["metadata"], now()
        namespace = metadata.get("namespace", "default")
        body: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{time.time_ns():x}",
                "namespace": namespace,
            },
            "involvedObject": {
                "apiVersion": obj.get("apiVersion", "v1"),
                "kind": obj.get("kind", "Pod"),
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": source} | ({"host": host} if host else {}),
        }
        self._queue.put(body)

    def _run(self) -> None:
        while body := self._queue.get():
            path = path_of("v1", "events", body["metadata"]["namespace"])
            try:
                self._api.request("POST", path, body=body, manager=body["source"]["component"])
            except (Refused, Unreachable):
                # Events are best effort for real components too (a namespace being deleted, …).
                continue

"""The part of `verify` that waits for an InferenceService, and says which link keeps it."""

from __future__ import annotations

import time
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.readiness import readiness
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, NotReady
from installer.core.events import Emit, Event
from installer.core.objects import Ref, conditions
from installer.serving import path
from installer.serving.hops import Hop, hop
from installer.serving.inference_service import InferenceService, of_object
from installer.serving.reading import read_scene

LOOK_SECONDS = 2.0
"""How often the way to the model is looked at while the InferenceService is not ready."""
PATIENCE = 120.0
"""Seconds for which one link may be broken before it is believed to stay so."""
_FINAL = ("ProgressDeadlineExceeded", "ContainerMissing", "FailedCreate", "NoService")
"""Reasons of broken links that do not pass by themselves."""


class Broken(ChecksFailed):
    """An InferenceService does not serve; `hop` is the first broken link."""

    def __init__(self, hop: Hop) -> None:
        super().__init__(
            hop.says if hop.kind == "request" else f"{hop.object} {hop.says}",
            kind=hop.kind,
            object=hop.object,
            remedy=hop.remedy,
        )
        self.hop = hop


def await_ready(cluster: Cluster, ref: Ref, emit: Emit, cancel: Cancel) -> InferenceService:
    """Return an InferenceService once it is ready.

    Raises Broken with the link that is to blame, even where its conditions never say that it has
    failed; NotReady with what it waits for when the time of `cancel` is over.
    """
    waiting = _Waiting(cluster, ref, emit, cancel)
    while True:
        service, version = waiting.read()
        if readiness(service.obj).ready:
            waiting.ready()
            return service
        waiting.look(service)
        if cancel.left() < LOOK_SECONDS:
            raise waiting.too_late()
        waiting.until_changed(version)


class _Waiting:
    def __init__(self, cluster: Cluster, ref: Ref, emit: Emit, cancel: Cancel) -> None:
        self._cluster = cluster
        self._ref = ref
        self._emit = emit
        self._cancel = cancel
        self._began = time.monotonic()
        self._broken: tuple[str, float] = ("", 0.0)
        self._last = hop("host", ref, "starting", "is not ready yet")
        emit(Event("component_started", {"component": "sample", "version": ""}))
        emit(_stage_event("stage_started", objects=1))

    def read(self) -> tuple[InferenceService, str]:
        found = self._cluster.get(self._ref)
        if found is None:
            said = "was deleted while it was waited for"
            raise Broken(hop("host", self._ref, "broken", said, reason="Deleted"))
        return of_object(found), str(found["metadata"]["resourceVersion"])

    def look(self, service: InferenceService) -> None:
        """Tell what it waits for; raise Broken once that will not come."""
        judged = path.outside(read_scene(self._cluster, service))
        blamed = judged.first_unwell
        if blamed is not None:
            self._last = blamed
        self._tell(service)
        broken = judged.first_broken
        verdict = readiness(service.obj)
        if broken is None:
            self._broken = ("", 0.0)
            if verdict.state == "failed":
                said = verdict.message or verdict.reason
                raise Broken(hop("host", self._ref, "broken", said, reason=verdict.reason))
            return
        if self._broken[0] != f"{broken.object} {broken.reason}":
            self._broken = (f"{broken.object} {broken.reason}", time.monotonic())
        lasts = time.monotonic() - self._broken[1] > PATIENCE
        if verdict.state == "failed" or broken.reason in _FINAL or lasts:
            raise Broken(broken)

    def until_changed(self, version: str) -> None:
        """Until the InferenceService changes, or it is time to look again."""
        try:
            for _ in self._cluster.watch(
                self._ref.api_version,
                self._ref.kind,
                self._ref.namespace,
                resource_version=version,
                field_selector=f"metadata.name={self._ref.name}",
                timeout=LOOK_SECONDS,
            ):
                return
        except ApiError as error:
            if error.failure.kind not in ("gone", "unreachable"):
                raise
            self._cancel.sleep(LOOK_SECONDS, f"waiting for news of {self._ref}")

    def ready(self) -> None:
        seconds = round(time.monotonic() - self._began, 3)
        self._emit(
            _stage_event("stage_finished", seconds=seconds, apply_seconds=0.0, wait_seconds=seconds)
        )
        fields = {"component": "sample", "version": "", "seconds": seconds}
        self._emit(Event("component_finished", fields))

    def too_late(self) -> NotReady:
        last = self._last
        return NotReady(
            f"{self._ref} is not ready in time: {last.object} {last.says}",
            kind="not-ready",
            object=last.object,
            remedy=last.remedy or "give it more time with --timeout",
        )

    def _tell(self, service: InferenceService) -> None:
        have = conditions(service.obj)
        open_ones = [c for c in have.values() if c.get("status") != "True"]
        items = [
            {"object": self._last.object, "state": self._last.verdict, "reason": self._last.says}
        ]
        items += [
            {
                "object": f"condition {c['type']}",
                "state": str(c.get("status")),
                "reason": str(c.get("message") or c.get("reason") or ""),
            }
            for c in open_ones
        ]
        self._emit(
            _stage_event("waiting", **{"for": items}, pending=len(open_ones), total=len(have))
        )


def _stage_event(name: str, **fields: Any) -> Event:
    return Event(name, {"component": "sample", "stage": "ready", **fields})

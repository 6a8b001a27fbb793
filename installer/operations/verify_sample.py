"""The part of `verify` that has an InferenceService answer: made, awaited, asked, judged."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.readiness import readiness
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, NotReady
from installer.core.events import Emit, Event
from installer.core.objects import Ref, conditions
from installer.operations.asking import NOT_HERE, Asking, Door, Elsewhere, by_some_way, entries
from installer.serving import path
from installer.serving.ask import Reply
from installer.serving.hops import Hop, hop
from installer.serving.inference_service import InferenceService, of_object
from installer.serving.reading import read_scene
from installer.serving.replies import meaning
from installer.serving.samples import difference

LOOK_SECONDS = 2.0
"""How often the way to the model is looked at while the InferenceService is not ready."""
PATIENCE = 120.0
"""Seconds for which one link may be broken before it is believed to stay so."""
SETTLE = 30.0
"""Seconds after Ready in which a gateway may not have its routes yet."""
SETTLE_ELSEWHERE = 8.0
"""The same, as long as there is another way into the cluster that was not tried yet."""
_AGAIN = 1.0
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


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a model. body: None asks for its state instead of a prediction.

    expected: the exact answer, decoded; None compares form and number of predictions.
    """

    body: bytes | None
    expected: Any = None

    def shown(self) -> str:
        """The body for a curl line: itself when it is short and text."""
        if self.body is None:
            return ""
        text = self.body.decode("utf-8", "replace")
        return text if len(text) < 800 else "@input.json"


@dataclass(frozen=True, slots=True)
class Answered:
    """A prediction that came back. via: how it got in; tries: requests sent; curl: lines."""

    reply: Reply
    via: str
    reasons: Sequence[str]
    tries: int
    curl: Sequence[str]


def predict(
    cluster: Cluster,
    service: InferenceService,
    question: Question,
    asking: Asking,
    emit: Emit,
    cancel: Cancel,
) -> Answered:
    """Ask through the ingress until it answers, for as long as routes may take to get there.

    Raises Broken with the first broken link: of the objects, else the request itself.
    """
    asker = _Asker(cluster, service, question, emit, cancel)

    def work(opened: Door, last: bool) -> Answered:
        reply = asker.ask(opened, SETTLE if last else SETTLE_ELSEWHERE)
        if asker.is_answer(reply):
            entry = opened.entry
            curl = opened.curl(service.host, _path(service, question), question.shown())
            via = f"{entry.via} {entry.address}"
            return Answered(reply, via, entry.reasons, asker.tries, curl)
        meant = meaning(reply, service.host)
        if meant.reason in NOT_HERE and not last:
            raise Elsewhere(meant.says)
        raise Broken(asker.to_blame(reply))

    return by_some_way(cluster, entries(cluster, service, asking), asking, cancel, work)


class _Asker:
    """Asks until there is an answer, or none can come any more."""

    def __init__(
        self,
        cluster: Cluster,
        service: InferenceService,
        question: Question,
        emit: Emit,
        cancel: Cancel,
    ) -> None:
        self.tries = 0
        self._cluster = cluster
        self._service = service
        self._question = question
        self._emit = emit
        self._cancel = cancel

    def is_answer(self, reply: Reply) -> bool:
        """Whether it is what was asked for: of its state any word of the model."""
        meant = meaning(reply, self._service.host)
        return meant.ok or (self._question.body is None and meant.origin == "model")

    def ask(self, opened: Door, settle: float) -> Reply:
        """The answer, or what came instead of one for `settle` seconds.

        Raises Broken as soon as an object on the way is found broken.
        """
        end, service = time.monotonic() + settle, self._service
        while True:
            self.tries += 1
            target = _path(service, self._question)
            reply = opened.send(service.host, target, self._question.body)
            meant = meaning(reply, service.host)
            if self.is_answer(reply) or meant.reason not in (*NOT_HERE, "NoUpstream"):
                return reply
            blamed = path.outside(read_scene(self._cluster, service)).first_broken
            if blamed is not None:
                raise Broken(blamed)
            if time.monotonic() > end:
                return reply
            self._emit(_waits_for_route(service, opened, meant.says))
            self._cancel.sleep(_AGAIN, f"asking {service.host}")

    def to_blame(self, reply: Reply) -> Hop:
        """A broken link of the objects, else what the answer says."""
        meant = meaning(reply, self._service.host)
        broken = path.outside(read_scene(self._cluster, self._service)).first_broken
        if broken is not None and meant.origin != "model":
            return broken
        host = self._service.host
        return Hop("request", host, "broken", meant.says, meant.reason, meant.remedy)


def _path(service: InferenceService, question: Question) -> str:
    return service.predict_path if question.body is not None else service.state_path


def _waits_for_route(service: InferenceService, opened: Door, says: str) -> Event:
    about = f"{service.host} by {opened.entry.via} {opened.entry.address}"
    items = [{"object": about, "state": "starting", "reason": says}]
    fields = {"component": "sample", "stage": "prediction", "for": items}
    return Event("waiting", {**fields, "pending": 1, "total": 1})


def compare(question: Question, answered: Answered) -> str:
    """How the answer differs from what must come back; empty when it does not."""
    if question.body is None:
        return ""
    try:
        return difference(question.body, answered.reply, question.expected)
    except ValueError:
        return ""  # what was sent is no JSON: there is nothing to compare with
    except (TypeError, KeyError):
        return f"the answer has another form: {json.dumps(answered.reply.text[:200])}"

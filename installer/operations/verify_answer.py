"""The part of `verify` that has a model answer: asked through the ingress, and judged."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.events import Emit, Event
from installer.operations.asking import NOT_HERE, Asking, Door, Elsewhere, by_some_way, entries
from installer.operations.verify_ready import Broken
from installer.serving import path
from installer.serving.ask import Reply
from installer.serving.hops import Hop
from installer.serving.inference_service import InferenceService
from installer.serving.reading import read_scene
from installer.serving.replies import meaning
from installer.serving.samples import difference

SETTLE = 30.0
"""Seconds after Ready in which a gateway may not have its routes yet."""
SETTLE_ELSEWHERE = 8.0
"""The same, as long as there is another way into the cluster that was not tried yet."""
_AGAIN = 1.0


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

"""Proves one webhook at a time: sends probes and judges the answers.

A webhook counts as answering after three successes in a row. What the API server says of itself
(it is busy, or away) interrupts the row and does not end it. Webhooks that the same request
proves share its answers: a mutating and a validating webhook of one kind cost three requests,
not six.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from installer.cluster.candidates import Bodies, Candidates, Target
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError, Failure
from installer.cluster.probes import Answer, Probe, Proof, Specs, judge
from installer.core.objects import Object

IN_A_ROW = 3
SETTLE = 0.1
"""Seconds between the first and the last of the successes, when none came from the webhook itself:
an API server that has not seen the configuration yet lets everything pass."""
FIRST_PAUSE, LAST_PAUSE = 0.05, 1.0
_BLOCKED_TRIES = 30
_REQUEST_SECONDS = 45.0
"""More than the 30 s that an API server waits for a webhook at most."""
_PARALLEL = 8


class Senders:
    """Sends probes, each only once for all that want its answer, a few at a time."""

    def __init__(self, cluster: Cluster, specs: Specs, on_stored: Callable[[Object], None]) -> None:
        self.bodies = Bodies(cluster, specs)
        self._cluster = cluster
        self._on_stored = on_stored
        self._guard = threading.Lock()
        self._channels: dict[bytes, _Channel] = {}
        self._slots = threading.Semaphore(_PARALLEL)
        self._held_until = 0.0

    @property
    def held(self) -> float:
        """Seconds for which the API server has asked to be left alone, 0 when it has not."""
        return max(0.0, self._held_until - time.monotonic())

    def channel(self, probe: Probe) -> _Channel:
        """The shared answers of a probe."""
        with self._guard:
            return self._channels.setdefault(probe.key, _Channel(self, probe))

    def send(self, probe: Probe) -> Answer:
        """Send once."""
        with self._slots:
            try:
                body = self._cluster.request(
                    probe.method,
                    probe.path,
                    query=dict(probe.query),
                    body=probe.body,
                    content_type=probe.content_type,
                    deadline=_REQUEST_SECONDS,
                    retry=False,
                    about="webhook probe",
                )
            except ApiError as error:
                if error.failure.retry_after:
                    until = time.monotonic() + error.failure.retry_after
                    self._held_until = max(self._held_until, until)
                return Answer(None, error.failure)
        if probe.must_fail:
            self._on_stored(body)
        return Answer(body, None)


class _Channel:
    """The answers to one probe in order; who asks for one that is not there yet sends."""

    def __init__(self, senders: Senders, probe: Probe) -> None:
        self._senders = senders
        self._probe = probe
        self._lock = threading.Lock()
        self._answers: list[Answer] = []

    def now(self) -> int:
        """Index of the next answer."""
        return len(self._answers)

    def answer(self, index: int) -> Answer:
        with self._lock:
            if len(self._answers) <= index:
                self._answers.append(self._senders.send(self._probe))
            return self._answers[index]


class Prover:
    """Proves one target; `run` is for a thread of its own and ends early after `stop`."""

    def __init__(
        self,
        cluster: Cluster,
        senders: Senders,
        target: Target,
        report: Callable[[Prover, str, Failure | Exception | None], None],
    ) -> None:
        self.target = target
        self._senders = senders
        self._report = report
        self._stopped = threading.Event()
        self._dry_run_refused = False
        self._unheard: Answer | None = None
        self._candidates = Candidates(
            cluster, senders.bodies, target, lambda: self._dry_run_refused
        )

    def stop(self) -> None:
        """Send nothing more; returns at once."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """True once `stop` was called."""
        return self._stopped.is_set()

    @property
    def why(self) -> str:
        """Why no request could tell, as a clause."""
        if self._unheard is None:
            return "nothing that its rules and selectors match can be sent here"
        failure = self._unheard.failure
        if self._may_be_passed_over:
            return "requests pass without it when it fails (failurePolicy Ignore)"
        if failure is None:
            return "no object is stored that would have to be converted"
        return f"a request that should reach it ended before, or elsewhere: {failure.cause}"

    def run(self) -> None:
        """Report `answered`, or `unproven` when no request can tell, or `broken` with what made it
        impossible to go on. Meanwhile `failing` when it was called in vain, and `waiting` when
        something else stood in the way."""
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                for probe in self._candidates.probes():
                    if self._stopped.is_set():
                        return
                    if self._prove(probe):
                        self._report(self, "answered", None)
                        return
                self._report(self, "unproven", None)
                return
            except ApiError as error:  # choosing probes reads the cluster
                self._report(self, "waiting", error.failure)
                self._stopped.wait(pause)
                pause = min(LAST_PAUSE, pause * 2)
            except Exception as error:  # raised where reports are read, not lost in a thread
                self._report(self, "broken", error)
                return

    def _judged(self, answer: Answer) -> Proof:
        """What an answer proves; of a webhook that is passed over when it fails only its own."""
        proof = judge(self.target.phase, self.target.name, answer)
        return "unproven" if proof == "weak" and self._may_be_passed_over else proof

    @property
    def _may_be_passed_over(self) -> bool:
        return self.target.entry.get("failurePolicy") == "Ignore"

    def _prove(self, probe: Probe) -> bool:
        """True when proven, False when this probe cannot tell (or we were stopped)."""
        channel = self._senders.channel(probe)
        index, pause, blocked = channel.now(), FIRST_PAUSE, 0
        row, began = 0, 0.0
        while not self._stopped.wait(self._senders.held):
            answer = channel.answer(index)
            index += 1
            proof = self._judged(answer)
            if proof in ("strong", "weak"):
                began = began if row else time.monotonic()
                row += 1
                pause = FIRST_PAUSE
                if row >= IN_A_ROW and (proof == "strong" or time.monotonic() - began >= SETTLE):
                    return True
                if proof == "weak":
                    self._stopped.wait(SETTLE / 2)
                continue
            row = row if proof == "silent" else 0
            failure = answer.failure
            if failure is not None and failure.kind == "dry-run-unsupported":
                self._dry_run_refused = True
            blocked = blocked + 1 if proof != "failing" and not _passing(failure) else 0
            if proof == "unproven" or blocked >= _BLOCKED_TRIES:
                self._unheard = answer
                return False
            self._report(self, "failing" if proof == "failing" else "waiting", failure)
            self._stopped.wait(pause * random.uniform(0.5, 1.0))  # not in step with what flaps
            pause = min(LAST_PAUSE, pause * 2)
        return False


def _passing(failure: Failure | None) -> bool:
    """Failures that pass by themselves are waited for as long as it takes."""
    return failure is not None and failure.transient

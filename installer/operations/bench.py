"""`bench`: a load on an InferenceService, what its pods did meanwhile, and what to think of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InstallerError, UsageError
from installer.load.generator import Result, Watchers, run
from installer.load.recorder import Row, Sample
from installer.operations.asking import NOT_HERE, Asking, Door, Elsewhere, by_some_way, entries
from installer.operations.autoscaling import AutoscalingReport, autoscaling
from installer.operations.bench_request import Sending, Wanted, given, load_text
from installer.serving import inference_service
from installer.serving.autoscaling import Setting
from installer.serving.bench.findings import Finding, findings
from installer.serving.bench.panic import seconds_of
from installer.serving.bench.pods import State
from installer.serving.bench.recording import Recording
from installer.serving.bench.report import Report
from installer.serving.bench.verdict import Observed, at_rest, load_end, verdict
from installer.serving.inference_service import InferenceService
from installer.serving.ingress import Entry
from installer.serving.replies import Meaning, meaning

_MARGIN = 60.0
"""Seconds beyond what Knative's rules allow that a scale-down may take."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Who is told while it runs. says: a sentence. second: each row, with the pods there are."""

    says: Callable[[str], None] = lambda _: None
    second: Callable[[Row, State], None] = lambda _row, _state: None
    sample: Callable[[Sample], None] | None = None


@dataclass(slots=True)
class _Bench:
    cluster: Cluster
    service: InferenceService
    wanted: Wanted
    asking: Asking
    cancel: Cancel
    progress: Progress
    unseen: list[str] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)

    def run(self) -> Report:
        scaling = self._scaling()
        with Recording(self.cluster, self.service) as recording:

            def work(opened: Door, last: bool) -> tuple[Result, str]:
                meant = self._probed(opened, recording)
                if meant is not None and meant.reason in NOT_HERE and not last:
                    raise Elsewhere(meant.says)
                self._must_serve(meant)
                return self._loaded(opened, recording), self._request.where(opened)

            result, where = by_some_way(self.cluster, self._ways(), self.asking, self.cancel, work)
            minimum = _minimum(scaling)
            waited = self._waited(recording, result, scaling, minimum)
            until = perf_counter() - result.zero
            states = recording.states
            unseen = [f"{kind}: {why}" for kind, why in sorted(recording.unseen.items())]
        observed = Observed(
            self.wanted.load,
            result,
            states,
            scaling.settings if scaling else None,
            minimum,
            until,
            waited,
            self.wanted.limits,
        )
        found = verdict(observed)
        return Report(
            self.cluster.context,
            self.service.name,
            scaling.revision if scaling else "",
            where,
            self._request.line,
            observed,
            found,
            (*self.remarks, *findings(found, observed)),
            (*self.unseen, *unseen),
            self.cancel.stopped,
        )

    def _scaling(self) -> AutoscalingReport | None:
        try:
            found = autoscaling(self.cluster, self.service.name)
        except InstallerError as error:
            if error.kind not in ("not-autoscaled", "forbidden"):
                raise
            self.unseen.append(f"autoscaling settings: {error.message}")
            return None
        self.remarks += [Finding("warn", text) for text in found.warnings]
        return found

    # the way in

    def _ways(self) -> list[Entry]:
        if not self.wanted.address:
            return entries(self.cluster, self.service, self.asking)
        return [given(self.cluster, self.service, self.asking, self.wanted)]

    @property
    def _request(self) -> Sending:
        return Sending(self.service, self.wanted)

    def _probed(self, opened: Door, recording: Recording) -> Meaning | None:
        """What one question for the model's state is answered with; None where it would wake what
        is scaled to zero, which the load is to do."""
        if recording.now.ready == 0:
            return None
        reply = opened.send(self._request.host, self.service.state_path)
        return meaning(reply, self._request.host)

    def _must_serve(self, meant: Meaning | None) -> None:
        if meant is None:
            self.progress.says("no pod is there: the load's first requests are a cold start")
            return
        if meant.origin != "model":
            raise ChecksFailed(
                f"the model is not reached: {meant.says}",
                kind="not-reached",
                object=self.service.name,
                remedy=f"{meant.remedy or 'see where the request ends'}; "
                f"kserve-installer trace {self.service.name} shows each link",
            )
        if not meant.ok:
            said = f"before the load, asked for its state, the model was reached and {meant.says}"
            self.remarks.append(Finding("warn", said))

    # the load

    def _loaded(self, opened: Door, recording: Recording) -> Result:
        load, request = self.wanted.load, self._request
        self.progress.says(f"sending {load_text(load)} to {request.where(opened)}")
        target = request.target(opened)
        watchers = Watchers(
            stop=lambda: self.cancel.stopped,
            row=lambda row: self.progress.second(row, recording.now),
            sample=self.progress.sample,
            began=recording.begins,
        )
        try:
            return run(target, load, watchers)
        except ValueError as error:
            raise UsageError(f"the request cannot be sent: {error}", kind="usage") from error
        except socket.gaierror as error:
            raise InstallerError(
                f"{target.address} does not resolve: {error.strerror}",
                kind="name",
                object=target.address,
            ) from error

    # afterwards

    def _waited(
        self,
        recording: Recording,
        result: Result,
        scaling: AutoscalingReport | None,
        minimum: int | None,
    ) -> bool:
        """Wait until pods are back at the minimum. False where that was not to be seen."""
        seen = recording.now
        blind = seen.made is None and seen.wanted is None
        if not self.wanted.wait_down or minimum is None or blind:
            return False
        limit = self.wanted.down_limit
        if limit is None:
            limit = down_limit(scaling.settings if scaling else {})
        end = perf_counter() + limit
        if not at_rest(seen, minimum):
            self.progress.says(
                f"the load is over; waiting until pods are back at {minimum} "
                f"(at most {limit:.0f} s; --no-wait-down does not wait)"
            )
        told = None
        while not self.cancel.stopped:
            seen, now = recording.now, perf_counter()
            if told != (seen.wanted, seen.made):
                told = (seen.wanted, seen.made)
                self.progress.says(_pods_text(seen, now - result.zero - load_end(result.rows)))
            if at_rest(seen, minimum) or now >= end:
                return True
            recording.wait(min(0.5, end - now))
        return False


def bench(
    cluster: Cluster,
    text: str,
    wanted: Wanted,
    asking: Asking,
    cancel: Cancel,
    progress: Progress | None = None,
) -> Report:
    """Load `[NAMESPACE/]NAME` and report. Writes nothing to the cluster.

    A stop of `cancel` while the load runs, or after it, ends with the report so far. Raises what
    `inference_service.find` raises; ChecksFailed, kind `foreign-address` or `not-reached`, and
    InstallerError, kind `no-host` or `grpc`, before anything is sent.
    """
    service = inference_service.find(cluster, text)
    if service.protocol == "grpc":
        raise InstallerError(
            f"{service.ref} speaks gRPC, which needs HTTP/2: this sends HTTP/1.1 only",
            kind="grpc",
            object=service.name,
            remedy="load it with a gRPC client such as ghz",
        )
    if not service.host and not wanted.host:
        gone = bool(service.obj["metadata"].get("deletionTimestamp"))
        raise InstallerError(
            f"{service.ref} {'is being deleted' if gone else 'has no address yet'}",
            kind="no-host",
            object=service.name,
            remedy=f"kserve-installer trace {service.name} says what it waits for",
        )
    return _Bench(cluster, service, wanted, asking, cancel, progress or Progress()).run()


def _minimum(scaling: AutoscalingReport | None) -> int | None:
    """Pods at rest: the lower end, or one where Knative may not go to zero."""
    if scaling is None:
        return None
    least = int(scaling.settings["min scale"].number)
    to_zero = scaling.settings.get("scale to zero")
    if least or to_zero is None or to_zero.value.lower() == "true":
        return least
    return 1


def down_limit(settings: Mapping[str, Setting]) -> float:
    """How long a scale-down may take by Knative's rules, with a margin: the stable window during
    which panic lasts, the window itself, the grace before zero, the retention and the delay."""
    window = seconds_of(settings, "window", 60.0)
    more = ("scale to zero grace", "retention", "scale down delay")
    return 2 * window + sum(seconds_of(settings, name, 0.0) for name in more) + _MARGIN


def _pods_text(seen: State, after: float) -> str:
    wanted = "?" if seen.wanted is None else str(seen.wanted)
    made = "?" if seen.made is None else str(seen.made)
    return f"{max(0.0, after):.0f} s after the load: {wanted} wanted, {made} there"

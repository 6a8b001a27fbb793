"""Waiting until objects are ready: list and watch, ended by the event that decides.

Pods and Warning events of the workloads waited for are followed too, so that an image that
cannot be pulled, a crash loop or a quota ends the wait long before any deadline, with the first
cause in the error.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from installer.cluster.causes import Cause, first_cause, newest_replica_set, refusal
from installer.cluster.client import Cluster
from installer.cluster.feeds import Broken, Change, Feed, Message, Reset, arrived
from installer.cluster.pending import Pending, Progress, Report, ignore, named
from installer.cluster.readiness import Readiness
from installer.cluster.suspicion import (
    WORKLOADS,
    Owner,
    Patience,
    PodSeen,
    Seen,
    Suspicion,
    Verdict,
    Warned,
    is_refusal,
    owner_of,
    see,
    see_pod,
    see_warning,
)
from installer.cluster.topics import Topic, belongs, pods_in, topics_of, warnings_in
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.objects import Ref, dig

_TICK = 0.1
_PARALLEL = 8


def wait_ready(
    cluster: Cluster,
    refs: Iterable[Ref],
    *,
    deadline: float,
    cancel: Cancel,
    progress: Progress = ignore,
    patience: Patience | None = None,
    waited: float = 0.0,
) -> None:
    """Return as soon as every object is ready. deadline: seconds from now.

    waited: seconds that the caller has waited for the same before, for the message.

    Raises NotReady when an object failed or the time is over, with the first cause; ApiError when
    the cluster cannot be read; what `cancel` carries, within a second.
    """
    wait = _Wait(cluster, list(dict.fromkeys(refs)), patience or Patience(), progress)
    try:
        wait.run(deadline, cancel, waited)
    finally:
        wait.stop()


_STATES = ("failed", "terminating", "progressing", "unknown", "absent", "ready")
_ABSENT = Seen(Readiness("absent", "NotFound", "does not exist yet"))


class _Wait:
    def __init__(
        self, cluster: Cluster, refs: list[Ref], patience: Patience, progress: Progress
    ) -> None:
        self._cluster = cluster
        self._seen: dict[Ref, Seen] = dict.fromkeys(refs, _ABSENT)
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._feeds: list[Feed[Any]] = []
        self._around: set[Topic] = set()
        self._pods: dict[Ref, PodSeen] = {}
        self._warnings: dict[Ref, Warned] = {}
        self._suspicion = Suspicion(patience)
        self._old_templates: set[tuple[Owner, str]] = set()
        self._report = Report(progress, len(refs))

    def run(self, deadline: float, cancel: Cancel, waited: float) -> None:
        end = time.monotonic() + deadline
        if not self._seen:
            return
        self._list_all(cancel)
        self._report.show(self._pending())
        if self._done():
            return
        self._watch_what_is_pending(cancel)
        while not self._done():
            pending = self._pending()
            cancel.check(f"waiting for {named(pending)}")
            self._raise_if_failed(cancel)
            now = time.monotonic()
            if now >= end:
                raise self._too_late(waited + deadline)
            self._report.show(pending)
            for message in arrived(self._messages, min(_TICK, end - now)):
                self._apply(message)
        self._report.finish()

    def stop(self) -> None:
        for feed in self._feeds:
            feed.stop()

    def _list_all(self, cancel: Cancel) -> None:
        self._feeds = [
            Feed(self._cluster, topic, see, self._messages) for topic in topics_of(self._seen)
        ]
        for feed, facts in zip(self._feeds, self._in_parallel(self._feeds), strict=True):
            self._apply(Reset(feed.topic, facts))
        cancel.check(self._doing())

    def _watch_what_is_pending(self, cancel: Cancel) -> None:
        """Topics whose objects are all ready are not watched; their state is what was listed."""
        pending = [item.ref for item in self._pending()]
        watched = [feed for feed in self._feeds if any(belongs(ref, feed.topic) for ref in pending)]
        self._feeds = watched
        for feed in watched:
            feed.start()
        namespaces = sorted(
            {item.ref.namespace for item in self._pending() if item.ref.kind in WORKLOADS}
        )
        around: list[Feed[Any]] = []
        for namespace in namespaces:
            around.append(Feed(self._cluster, pods_in(namespace), see_pod, self._messages))
            around.append(Feed(self._cluster, warnings_in(namespace), see_warning, self._messages))
        self._around = {feed.topic for feed in around}
        for feed, facts in zip(around, self._in_parallel(around), strict=True):
            self._apply(Reset(feed.topic, facts))
            self._feeds.append(feed)
            feed.start()
        cancel.check(self._doing())

    def _in_parallel(self, feeds: Sequence[Feed[Any]]) -> list[dict[Ref, Any]]:
        if len(feeds) == 1:
            return [feeds[0].list()]
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="list") as pool:
            return list(pool.map(lambda feed: feed.list(), feeds))

    def _apply(self, message: Message) -> None:
        if isinstance(message, Broken):
            raise message.error
        store = self._store(message.topic)
        if isinstance(message, Change):
            if message.fact is None:
                store.pop(message.ref, None)
            else:
                store[message.ref] = message.fact
        else:
            for ref in [ref for ref in store if belongs(ref, message.topic)]:
                del store[ref]
            if store is not self._warnings:  # events of the past may be about what is over
                store.update(message.facts)
        if store is not self._pods and store is not self._warnings:
            self._settle(store)

    def _store(self, topic: Topic) -> dict[Ref, Any]:
        if topic in self._around:
            return self._pods if topic.kind == "Pod" else self._warnings
        return {ref: seen for ref, seen in self._seen.items() if seen is not _ABSENT}

    def _settle(self, store: Mapping[Ref, Seen]) -> None:
        for ref in self._seen:
            self._seen[ref] = store.get(ref, _ABSENT)

    def _done(self) -> bool:
        return all(seen.readiness.ready for seen in self._seen.values())

    def _pending(self) -> list[Pending]:
        told = self._details()
        found = [
            Pending(ref, _with_detail(seen.readiness, told.get(owner_of(ref), "")))
            for ref, seen in self._seen.items()
            if not seen.readiness.ready
        ]
        return sorted(found, key=lambda p: (_STATES.index(p.readiness.state), p.ref))

    def _details(self) -> dict[Owner, str]:
        """What pods show and what was warned of them, by workload; pods tell more."""
        owners = {owner_of(ref): pod.owner for ref, pod in self._pods.items() if not pod.ended}
        told = {
            owners[warned.about]: f"{warned.reason}: {warned.message}"
            for warned in sorted(self._warnings.values(), key=lambda warned: warned.when)
            if warned.about in owners and warned.reason != "Unhealthy"
        }
        shown = {pod.owner: pod.fault.message for pod in self._pods.values() if pod.fault}
        return {**told, **shown}

    def _raise_if_failed(self, cancel: Cancel) -> None:
        for ref, seen in self._seen.items():
            if seen.readiness.state == "failed" and not is_refusal(seen.readiness):
                cancel.check(self._doing())
                cause = first_cause(self._cluster, ref)
                text = seen.readiness.message or seen.readiness.reason
                raise _not_ready(ref, cause or Cause("failed", text))
        waiting = {owner_of(r): s for r, s in self._seen.items() if not s.readiness.ready}
        pods = [p for p in self._pods.values() if (p.owner, p.template) not in self._old_templates]
        for verdict in self._suspicion.judge(
            time.monotonic(), waiting, pods, self._warnings.values()
        ):
            ref = next(ref for ref in self._seen if owner_of(ref) == verdict.owner)
            if self._is_of_old_template(ref, verdict):
                continue
            raise _not_ready(ref, self._cause(ref, verdict))

    def _is_of_old_template(self, ref: Ref, verdict: Verdict) -> bool:
        """Pods of a template that is being replaced may be as broken as they like."""
        if ref.kind != "Deployment" or not verdict.template:
            return False
        newest = newest_replica_set(self._cluster, ref)
        label = dig(newest or {}, "metadata", "labels", "pod-template-hash")
        if label is None or label == verdict.template:
            return False
        self._old_templates.add((verdict.owner, verdict.template))
        return True

    def _cause(self, ref: Ref, verdict: Verdict) -> Cause:
        if verdict.trouble == "refused":
            return refusal(ref, verdict.message)
        found = first_cause(self._cluster, ref)
        return found if found and found.kind != "not-ready" else Cause("failed", verdict.message)

    def _doing(self) -> str:
        return f"waiting for {named(self._pending())}"

    def _too_late(self, deadline: float) -> NotReady:
        pending = self._pending()
        first = pending[0]
        cause = first_cause(self._cluster, first.ref)
        text = f"not ready after {deadline:.0f} s: {named(pending)}"
        if cause is not None and cause.message not in text:
            text += f". Of {first.ref}: {cause.message}"
        return NotReady(
            text,
            kind=cause.kind if cause else "not-ready",
            object=str(first.ref),
            remedy=(cause.remedy if cause else "") or "give it more time with --timeout",
        )


def _with_detail(verdict: Readiness, detail: str) -> Readiness:
    if not detail or detail in verdict.message:
        return verdict
    message = f"{verdict.message}; {detail}" if verdict.message else detail
    return replace(verdict, message=message)


def _not_ready(ref: Ref, cause: Cause) -> NotReady:
    return NotReady(
        f"{ref}: {cause.message}", kind=cause.kind, object=str(ref), remedy=cause.remedy
    )

"""A kind of object, listed and then watched in a thread of its own, as a stream of changes.

The watch starts at the list's resource version, so nothing between the two is missed. It goes on
after the server's own timeout and lists anew when its place in history is gone (410) or the API
server cannot be reached; pauses grow while nothing comes in between. Objects are reduced to what
the reader needs inside the thread: some are megabytes large, and only one is held at a time.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.session import retrying
from installer.cluster.topics import Topic
from installer.cluster.watching import PAGE, RESTARTS
from installer.core.objects import Object, Ref, dig, ref_of

T = TypeVar("T")

WATCH_SECONDS = 30.0
"""How long one watch request lasts: also how long an abandoned one can linger."""
_PAGES = {"CustomResourceDefinition": 2}
"""Objects per request where `PAGE` are too many to hold: KServe's definitions have several
megabytes each, ten times that once decoded."""
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One object changed; `fact` is None when it was deleted."""

    topic: Topic
    ref: Ref
    fact: T | None


@dataclass(frozen=True, slots=True)
class Reset(Generic[T]):
    """Everything of a topic, after it had to be listed anew: what is not in it is gone."""

    topic: Topic
    facts: Mapping[Ref, T]


@dataclass(frozen=True, slots=True)
class Broken:
    """A topic cannot be followed: no rights, or the run was cancelled."""

    topic: Topic
    error: Exception


Message = Change[Any] | Reset[Any] | Broken


def arrived(messages: queue.SimpleQueue[T], seconds: float) -> Iterator[T]:
    """What has arrived; waits until something does, at most so long."""
    try:
        yield messages.get(timeout=max(0.0, seconds))
        while True:
            yield messages.get_nowait()
    except queue.Empty:
        return


class Feed(Generic[T]):
    """Follows one topic. `digest` makes a fact of an object; it runs in the feed's thread."""

    def __init__(
        self,
        cluster: Cluster,
        topic: Topic,
        digest: Callable[[Object], T],
        out: queue.SimpleQueue[Message],
    ) -> None:
        self.topic = topic
        self._cluster = cluster
        self._digest = digest
        self._out = out
        self._version = ""
        self._attempt = 0
        self._stopped = threading.Event()
        self._guard = threading.Lock()

    def list(self) -> dict[Ref, T]:
        """List now, in the caller's thread; `start` continues from here. A kind that is not
        served has no objects. What is lost between two pages is listed anew."""
        restarts = 0
        while True:
            try:
                return self._list(whole=restarts == RESTARTS)
            except ApiError as error:
                self._version = ""
                if error.failure.kind in ("no-match", "not-found"):
                    self._cluster.discovery().forget([self.topic.api_version])
                    return {}
                if error.failure.kind != "gone" or restarts == RESTARTS:
                    raise
                restarts += 1
                self._tell(f"list of {self.topic.kind}", error.message, restarts, 0.0)

    def _list(self, whole: bool) -> dict[Ref, T]:
        """Page by page, so that only one page of whole objects is held, unless `whole`."""
        topic, facts, token = self.topic, {}, ""
        path = self._cluster.resource(topic.api_version, topic.kind).path(topic.namespace)
        query = {} if whole else {"limit": str(_PAGES.get(topic.kind, PAGE))}
        if topic.fields:
            query["fieldSelector"] = topic.fields
        while True:
            asked = {**query, "continue": token} if token else query
            page = self._cluster.request("GET", path, query=asked, about=f"list of {topic.kind}")
            for item in page.get("items") or []:
                item["apiVersion"], item["kind"] = topic.api_version, topic.kind
                facts[ref_of(item)] = self._digest(item)
            token = dig(page, "metadata", "continue", default="")
            if not token:
                self._version = str(dig(page, "metadata", "resourceVersion", default=""))
                return facts

    def start(self) -> None:
        """Watch from the last list on, in a thread that ends some time after `stop`."""
        threading.Thread(target=self._run, name=f"watch {self.topic.kind}", daemon=True).start()

    def stop(self) -> None:
        """Send nothing more; returns at once."""
        with self._guard:  # what is being told is told before the caller says its last
            self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if not self._listed():
                    facts = self.list()
                    self._send(Reset(self.topic, facts))
                    if not self._listed():  # its kind is not served yet
                        self._stopped.wait(1.0)
                        continue
                self._follow()
            except ApiError as error:
                self._version = ""
                if error.failure.kind != "gone" and not error.failure.transient:
                    self._send(Broken(self.topic, error))
                    return
                self._pause(error.message, error.failure.retry_after)
            except Exception as error:  # raised where the feed is read, not lost in a thread
                self._send(Broken(self.topic, error))
                return

    def _listed(self) -> bool:
        return bool(self._version)

    def _follow(self) -> None:
        topic, began = self.topic, time.monotonic()
        for kind, item in self._cluster.watch(
            topic.api_version,
            topic.kind,
            topic.namespace,
            resource_version=self._version,
            field_selector=topic.fields,
            timeout=WATCH_SECONDS,
        ):
            if self._stopped.is_set():
                return
            self._attempt = 0
            self._version = dig(item, "metadata", "resourceVersion", default=self._version)
            if kind in ("ADDED", "MODIFIED"):
                self._send(Change(topic, ref_of(item), self._digest(item)))
            elif kind == "DELETED":
                self._send(Change(topic, ref_of(item), None))

        if time.monotonic() - began < WATCH_SECONDS / 2:
            self._pause("the server ended the watch early")

    def _pause(self, cause: str, asked: float | None = None) -> None:
        """Wait a little longer each time that nothing came in between. asked: by the server."""
        self._attempt += 1
        grown = min(_LAST_PAUSE, _FIRST_PAUSE * 2 ** min(self._attempt - 1, 10))
        delay = asked or grown
        self._tell(f"watch of {self.topic.kind}", cause, self._attempt, delay)
        self._stopped.wait(delay)

    def _tell(self, about: str, cause: str, attempt: int, delay: float) -> None:
        with self._guard:
            if not self._stopped.is_set():
                self._cluster.emit(retrying(about, cause, attempt, delay))

    def _send(self, message: Message) -> None:
        if not self._stopped.is_set():
            self._out.put(message)

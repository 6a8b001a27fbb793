"""Requests to one API server: encoded, counted, judged, and tried again while that can help."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from installer.cluster.access import Access
from installer.cluster.errors import ApiError, Failure, classify
from installer.cluster.no_answer import classify_exception
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.events import Emit, Event
from installer.core.objects import dig

_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews")
_PLAIN_TEXT = ("/livez", "/readyz", "/healthz")


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it goes over the wire.

    target: path and query. counts: it may change something. versioned: it names a version or uid
    that must still be the newest. nameless: the server makes up the name, so that a repetition
    makes another object. wait: seconds without a byte of answer that it may take.
    """

    method: str
    path: str
    target: str
    body: bytes | None
    headers: Mapping[str, str]
    counts: bool
    versioned: bool
    nameless: bool
    wait: float
    about: str

    @classmethod
    def of(
        cls,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "",
        wait: float,
        about: str = "",
    ) -> Call:
        """Encode a request; body is anything that JSON can hold."""
        query = query or {}
        headers = {"Content-Type": content_type} if body is not None else {}
        if accept:
            headers["Accept"] = accept
        data = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        harmless = "dryRun" in query or path.rpartition("/")[2] in _REVIEWS
        return cls(
            method=method,
            path=path,
            target=f"{path}?{urlencode(query)}" if query else path,
            body=data,
            headers=headers,
            counts=method not in ("GET", "HEAD") and not harmless,
            versioned=_is_versioned(body),
            nameless=method == "POST" and bool(dig(body, "metadata", "generateName")),
            wait=wait,
            about=about or path,
        )

    def may_repeat_after(self, failure: Failure) -> bool:
        """True when the same request can succeed later without harm."""
        if failure.kind == "conflict" and self.versioned:
            return False
        if self.nameless and (not failure.code or failure.kind in ("timeout", "etcd")):
            return False  # it may have been done
        return failure.transient


def _is_versioned(body: Any) -> bool:
    """Whether a write is of one version of an object, in a body or in a JSON patch."""
    if isinstance(body, list):
        return any(dig(step, "path") == "/metadata/resourceVersion" for step in body)
    return bool(dig(body, "metadata", "resourceVersion") or dig(body, "preconditions"))


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. attempts: how often the call was sent, 1 when nothing failed; sent:
    the server's Date header, empty without one."""

    code: int
    body: Any
    attempts: int = 1
    sent: str = ""

    @property
    def date(self) -> datetime | None:
        """The time by the server's clock when it answered."""
        try:
            found = parsedate_to_datetime(self.sent)
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)  # RFC 9110: always in UTC


class _Counter:
    """A total that several threads add to."""

    def __init__(self) -> None:
        self.total = 0
        self._guard = threading.Lock()

    def add(self, number: int) -> None:
        with self._guard:
            self.total += number


class Session:
    """Sends calls with the credentials of `access`, renewed when these run out. Thread-safe."""

    def __init__(self, access: Access, cancel: Cancel, emit: Emit) -> None:
        from installer.cluster.transport import Transport  # urllib3 costs 0.1 s: only when used

        self.access = access
        self.cancel = cancel
        self._sent = _Counter()
        self._emit = emit
        self._guard = threading.Lock()
        self._open_transport = Transport
        self._transport = Transport(access, cancel)

    @property
    def writes(self) -> int:
        """Write requests sent so far, by this session and those made `with_cancel`.

        A create that was refused because the object is there already wrote nothing.
        """
        return self._sent.total

    def with_cancel(self, cancel: Cancel) -> Session:
        """Another session of the same access that only another token stops."""
        other = Session(self.access, cancel, self._emit)
        other._sent = self._sent
        return other

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def run(self, call: Call, *, retry_for: float) -> Answer:
        """The answer. Raises ApiError, or what `cancel` was stopped with.

        Passing failures are tried again for `retry_for` seconds, each with an event `retrying`.
        """
        started, attempt, renewed = time.monotonic(), 0, False
        while True:
            attempt += 1
            access = self.access
            result = self._attempt(call)
            if isinstance(result, Answer):
                return replace(result, attempts=attempt) if attempt > 1 else result
            failure = result
            if failure.kind == "unauthorized" and access.renew and not renewed:
                self._renew(access)
                renewed = True
                continue
            delay, spent = _delay(attempt, failure), time.monotonic() - started
            if not call.may_repeat_after(failure) or spent + delay > retry_for:
                raise ApiError(self._explained(failure, spent, attempt), call.about)
            cause = self._explained(failure).cause
            if delay > self.cancel.left():
                raise self.cancel.too_late(f"{call.about}: {cause}")
            self._emit(retrying(call.about, cause, attempt, delay))
            self.cancel.sleep(delay, f"{call.about}: {cause}")

    def open(self, call: Call) -> Any:
        """Send a call once and return the response with its body unread."""
        self.cancel.check(call.about)
        if call.counts:
            self._sent.add(1)
        try:
            return self._transport.send(
                call.method, call.target, call.body, call.headers, call.wait
            )
        except self._transport.NOT_SENT:
            if call.counts:
                self._sent.add(-1)
            raise

    def stream(self, call: Call) -> Any:
        """Like `open`, but once more with fresh credentials when these have run out."""
        access = self.access
        response = self.open(call)
        if response.status != 401 or access.renew is None:
            return response
        response.close()
        self._renew(access)
        return self.open(call)

    def _attempt(self, call: Call) -> Answer | Failure:
        try:
            response = self.open(call)
            data = response.read()
            response.release_conn()
        except InstallerError:
            raise
        except Exception as error:  # urllib3, ssl and socket raise many kinds; all are judged
            # a socket that was shut down is no failure of the server
            self.cancel.check(f"{call.about}: no answer yet from {self.access.server}")
            return classify_exception(error)
        if response.status >= 300:
            failure = classify(response.status, data, response.headers)
            if call.counts and failure.kind == "already-exists":
                self._sent.add(-1)
            return failure
        if call.path in _PLAIN_TEXT:
            return Answer(response.status, data.decode("utf-8", "replace"))
        try:
            return Answer(response.status, json.loads(data), sent=response.headers.get("Date", ""))
        except ValueError:
            return _no_api(response.status)

    def _renew(self, stale: Access) -> None:
        """Fresh credentials after a 401, once for all threads that met it."""
        with self._guard:
            if self.access is stale and stale.renew is not None:
                fresh = stale.renew(self.cancel)
                self._transport = self._open_transport(fresh, self.cancel)
                self.access = fresh

    def _explained(self, failure: Failure, spent: float = 0.0, attempt: int = 1) -> Failure:
        """The failure with what only we know: the server, and for how long it was tried."""
        if failure.kind == "unauthorized":
            return replace(failure, cause=self.access.why_unauthorized(failure.cause))
        if failure.code:
            return failure
        tried = f" (tried for {spent:.0f} s)" if attempt > 1 or spent >= 1 else ""
        cause = f"no answer from the API server {self.access.server}{tried}: {failure.cause}"
        return replace(failure, cause=cause)


def _delay(attempt: int, failure: Failure) -> float:
    """Seconds until the next try: 0.1 to 5, doubling, spread by a quarter; or as asked for.

    A server that asks for none at all gets our own pause: it would be asked without end.
    """
    if failure.retry_after:
        return failure.retry_after
    return float(min(5.0, 0.1 * 2 ** min(attempt - 1, 10)) * random.uniform(0.75, 1.25))


def retrying(about: str, cause: str, attempt: int, delay: float) -> Event:
    """The event that tells of a passing failure. attempt: which one failed; delay: seconds."""
    fields = {"object": about, "cause": cause, "attempt": attempt, "delay": round(delay, 3)}
    return Event("retrying", fields)


def _no_api(code: int) -> Failure:
    return Failure(
        "server-error",
        False,
        "the answer is not that of a Kubernetes API server",
        "check the server address in the kubeconfig",
        code=code,
    )

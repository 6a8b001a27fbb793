"""One request at a time over one connection that is kept while both sides want that."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, cast

import httptools

from installer.load.recorder import Recorder, Sample
from installer.load.request import Target


@dataclass(slots=True)
class Shared:
    """What all slots of a run share.

    zero: when the load began, on perf_counter's clock. place: resolved (address, port); named: how
    long resolving took, told with the first connection. ours: takes an error of this program.
    """

    loop: asyncio.AbstractEventLoop
    recorder: Recorder
    target: Target
    zero: float
    data: bytes
    place: tuple[str, int]
    tls: ssl.SSLContext | None
    keep_alive: bool
    ours: Callable[[Exception], None]
    named: float = 0.0


class Freed(Protocol):
    """Called when a slot's request has come to an end, good or bad."""

    def __call__(self, slot: Slot, *, good: bool) -> None: ...


class Slot(asyncio.Protocol):
    """Sends when told to; one request is on its way at most. Times are perf_counter's."""

    def __init__(self, shared: Shared, freed: Freed) -> None:
        self.busy = False
        self.intended = 0.0
        self.number = 0
        self._shared = shared
        self._freed = freed
        self._head_only = shared.target.method == "HEAD"
        self._transport: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._parser: Any = None
        self._fresh = True
        self._sent = self._began = self._written = self._first = 0.0
        self._dialled = self._named = 0.0
        self._size = 0
        self._complete = self._keeps = False
        self._status = 0

    def start(self, now: float, intended: float) -> None:
        """Send a request, over a new connection where there is none."""
        self.busy, self.intended, self._sent = True, intended, now
        self._size, self._first, self._complete = 0, 0.0, False
        self._dialled = self._named = 0.0
        self._shared.recorder.sending(now)
        if self._transport is not None:
            self._fresh = False
            self._write()
        else:
            self._dial()

    def expire(self, now: float, timeout: float) -> None:
        """End a request that takes longer than `timeout` seconds."""
        if self.busy and now - self._sent > timeout:
            self._fail("timeout", now)

    def close(self) -> None:
        """Give up what is on its way, and the connection."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()

    # the connection

    def _dial(self) -> None:
        self._fresh = True
        self._dialling = self._shared.loop.create_task(self._connect(perf_counter()))

    async def _connect(self, began: float) -> None:
        shared = self._shared
        name = shared.target.host.partition(":")[0] if shared.tls is not None else None
        try:
            await shared.loop.create_connection(
                lambda: self, *shared.place, ssl=shared.tls, server_hostname=name
            )
        except asyncio.CancelledError:
            raise
        except Exception as error:  # sockets and ssl raise many kinds; all are told by their kind
            self._dialling = None
            self._fail(kind_of(error), perf_counter())
            return
        self._dialling = None
        self._named, shared.named = shared.named, 0.0
        self._dialled = perf_counter() - began + self._named
        if self.busy:
            self._write()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is there."""
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, _: Exception | None) -> None:
        """asyncio: the connection has ended."""
        if self._transport is None:
            return  # we have closed it
        self._transport = None
        if not self.busy:
            return
        if not self._fresh and not self._first:
            self._dial()  # the other side closed an idle connection just as we used it again
            return
        self._fail("reset", perf_counter())

    def _write(self) -> None:
        transport = self._transport
        if transport is None:  # lost between the dialling and now
            self._fail("reset", perf_counter())
            return
        began = perf_counter()
        transport.write(self._shared.data)
        self._began, self._written = began, perf_counter()

    # the answer

    def data_received(self, data: bytes) -> None:
        """asyncio: a part of an answer."""
        if not self._first:
            self._first = perf_counter()
        try:
            self._parser.feed_data(data)
        except Exception:  # httptools raises several kinds for what is not HTTP/1.1
            self.close()
            if self.busy:
                self._fail("protocol", perf_counter())
            return
        if self._complete:
            try:
                self._answered()
            except Exception as error:  # whoever takes samples; the loop would take it for ours
                self._shared.ours(error)

    def on_headers_complete(self) -> None:
        """httptools: an answer to HEAD ends here."""
        if self._head_only:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._size += len(body)

    def on_message_complete(self) -> None:
        """httptools: all of it; interim answers (103) are not the answer."""
        # afterwards the parser is at the beginning of the next answer and knows neither
        self._status = self._parser.get_status_code()
        self._keeps = self._parser.should_keep_alive()
        self._complete = self._status >= 200

    def _answered(self) -> None:
        end = perf_counter()
        shared = self._shared
        if not self.busy:
            self.close()  # an answer that nobody asked for
            return
        sample = Sample(
            end - self.intended,
            self._dialled,
            self._named,
            self._written - self._began,
            self._first - self._written,
            end - self._first,
            self._status,
            self.intended - shared.zero,
        )
        self.busy = False
        shared.recorder.landed(end)
        shared.recorder.answered(sample, self._size, end, end - self._sent)
        if self._head_only:
            self._parser = httptools.HttpResponseParser(self)
        if not shared.keep_alive or not self._keeps:
            self.close()
        self._freed(self, good=True)

    def _fail(self, kind: str, now: float) -> None:
        shared = self._shared
        self.close()
        if not self.busy:
            return
        self.busy = False
        shared.recorder.landed(now)
        shared.recorder.failed(kind, self.intended - shared.zero, now - self.intended, now)
        self._freed(self, good=False)


_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "name"),
    (ssl.SSLCertVerificationError, "certificate"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "timeout"),
    (ConnectionError, "reset"),
    (OSError, "unreachable"),
)


def kind_of(error: BaseException) -> str:
    """One word for why a connection failed; those of `serving.ask`."""
    return next((word for kind, word in _KINDS if isinstance(error, kind)), "protocol")

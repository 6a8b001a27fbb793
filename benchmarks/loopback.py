"""A small HTTP server on 127.0.0.1 for load generators: PORT [STALL PERIOD].

With STALL and PERIOD (seconds) it answers nothing for the first STALL seconds of each PERIOD, and
everything that has come in meanwhile at their end.
"""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_BACKLOG = 4096
"""A stall fills it with new connections; one that overflows would add TCP's own second."""


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER * data.count(b"\r\n\r\n"))  # type: ignore[attr-defined]


async def _serve(port: int, stall: float, period: float) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(_Server, "127.0.0.1", port, backlog=_BACKLOG)
    print("ready", flush=True)
    begin = time.monotonic()
    while True:
        if not stall:
            await asyncio.sleep(3600)
            continue
        time.sleep(max(0.0, begin + stall - time.monotonic()))  # the whole loop stands still
        begin += period
        await asyncio.sleep(max(0.0, begin - time.monotonic()))


if __name__ == "__main__":
    words = [float(word) for word in sys.argv[2:4]] or [0.0, 0.0]
    uvloop.run(_serve(int(sys.argv[1]), *words))

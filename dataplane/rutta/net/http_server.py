"""An HTTP/1.1 server (RFC 9112) on httptools: what the http listener and the health page stand on.

A handler gets whole requests and returns an answer at once, or an awaitable of one. Requests that a client sends ahead
are answered in order. All connections read into one buffer; limits and time-outs are kept by one timer for all.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from rutta.net.acceptor import Acceptor
from rutta.net.http_connection import Connection
from rutta.net.http_message import Request, Response
from rutta.net.tls import Certificate

Handler = Callable[[Request], Response | Awaitable[Response]]
Check = Callable[[Request], Response | None]
"""Looks at a request before its body is read; an answer refuses it, and its body is not kept."""

READ_BUFFER: Final = 256 * 1024
SWEEP: Final = 0.5  # seconds between looks for what takes too long
LAST_CALL: Final = 5.0  # seconds that half a request has left to arrive when the server stops


class Limits(Struct, frozen=True, kw_only=True):
    """What a client may take: bytes, seconds, numbers."""

    body: int = 16 * 2**20
    bodies: int = 256 * 2**20  # all bodies in memory together
    head: int = 32 * 1024
    headers: int = 100
    target: int = 8 * 1024
    head_timeout: float = 10.0
    body_timeout: float = 60.0
    idle_timeout: float = 75.0
    connections: int = 10_000


class HttpServer:
    """Serves HTTP on sockets that listen; owns them and its connections."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        handle: Handler,
        *,
        name: str,
        check: Check | None = None,
        limits: Limits | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        """``name`` is what log lines call it. Made on the loop that will serve."""
        self.loop = asyncio.get_running_loop()
        self.handle = handle
        self.check: Check = check or (lambda _request: None)
        self.limits = limits or Limits()
        self.view = memoryview(bytearray(READ_BUFFER))
        self.connections: set[Connection] = set()
        self.held = 0  # bytes of bodies in memory
        self.stopping = False
        self.requests = 0
        self.timeouts = 0
        self.acceptor = Acceptor(
            sockets,
            lambda: Connection(self),
            listener=name,
            limit=self.limits.connections,
            certificate=certificate,
        )
        self._empty = asyncio.Event()
        self._sweep_at: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept connections."""
        self.acceptor.start()
        self._sweep()

    async def finish(self) -> None:
        """Accept nothing new; return when every request that has begun has its answer."""
        self.acceptor.stop()
        self.stopping = True
        for connection in list(self.connections):
            connection.leave()
        end = self.loop.call_later(LAST_CALL, self._give_up)
        try:
            while self.acceptor.open:
                self._empty.clear()
                await self._empty.wait()
        finally:
            end.cancel()

    async def close(self) -> None:
        """End everything at once."""
        if self._sweep_at is not None:
            self._sweep_at.cancel()
        self.acceptor.close()
        await self.acceptor.closed()
        for connection in list(self.connections):
            await connection.abort()

    def status(self) -> dict[str, Any]:
        """Count connections and requests, for ``/status``."""
        return {**self.acceptor.status(), "requests": self.requests, "timeouts": self.timeouts, "bodyBytes": self.held}

    def charge(self, request: Request, size: int) -> None:
        """Count bytes that a handler made of a body as held, until the request has its answer."""
        request.held += size
        self.held += size

    def joined(self, connection: Connection) -> None:
        """A connection is open."""
        self.connections.add(connection)
        if self.stopping:
            connection.leave()

    def gone(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        self.acceptor.gone(connection)
        self._empty.set()

    def _give_up(self) -> None:
        """Who has not sent its request by now is not answered; who waits for an answer gets it."""
        self.acceptor.close()
        for connection in list(self.connections):
            connection.give_up()
        self._empty.set()

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self.connections):
            self.timeouts += connection.sweep(now)
        self._sweep_at = self.loop.call_later(SWEEP, self._sweep)

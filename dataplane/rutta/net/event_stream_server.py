"""Serves a history of events to clients over HTTP/1.1, each until it goes: what the target ``sse`` stands on.

A client that does not read is not written to, and holds nobody up; it is left when the history no longer has what it
would have to read next, or when it has read nothing for a while.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import httptools

from rutta.net import http_message
from rutta.net.acceptor import Acceptor
from rutta.net.event_stream import CHUNK, GREETING, HEARTBEAT, History
from rutta.net.http_message import Request, Response, render
from rutta.net.tls import Certificate

Check = Callable[[Request], Response | tuple[tuple[str, str], ...]]
"""Judges a request: an answer that refuses it, or the headers of the stream beside its own."""

_HEAD: Final = 32 * 1024  # bytes of a request's head
_HEAD_TIMEOUT: Final = 10.0  # seconds for it to arrive
_STUCK: Final = 30.0  # seconds after which a client that reads nothing is left
_GOODBYE: Final = 1.0  # seconds for clients to take what was written, at the end

_STREAM: Final = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
    "Connection: close\r\n"
)  # the length is not known: the end of the connection is the end of the stream (RFC 9112 §6.3)


class StreamServer:
    """Owns sockets that listen, its clients, and one timer for all of them."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        history: History,
        check: Check,
        *,
        name: str,
        limit: int,
        heartbeat: float,
        certificate: Certificate | None = None,
    ) -> None:
        """``limit`` clients at once; a heartbeat each ``heartbeat`` seconds. Made on the loop that will serve."""
        self.loop = asyncio.get_running_loop()
        self.history = history
        self.check = check
        self.clients: set[Client] = set()
        self.counts: Counter[str] = Counter()
        self._open: set[Client] = set()
        self._heartbeat = heartbeat
        self._acceptor = Acceptor(sockets, lambda: Client(self), listener=name, limit=limit, certificate=certificate)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept clients."""
        self._acceptor.start()
        self._timer = self.loop.call_later(self._heartbeat, self._beat)

    def publish(self, lines: Sequence[bytes]) -> None:
        """Give events to all clients, as far as each takes them now."""
        self.history.add(lines)
        for client in list(self.clients):
            client.advance()

    def joined(self, client: "Client") -> None:
        """A connection is open."""
        self._open.add(client)

    def gone(self, client: "Client") -> None:
        """A connection has ended."""
        self._open.discard(client)
        self.clients.discard(client)
        self._acceptor.gone(client)

    async def close(self) -> None:
        """Accept nobody, and end all streams; what was written has a moment to be taken."""
        if self._timer is not None:
            self._timer.cancel()
        self._acceptor.close()
        await self._acceptor.closed()
        ended = [client.end() for client in list(self._open)]
        try:
            if ended:
                await asyncio.wait(ended, timeout=_GOODBYE)
        finally:
            for client in list(self._open):
                client.abort()

    def status(self) -> dict[str, Any]:
        """Count clients, for ``/status``."""
        return {
            "clients": len(self.clients), **self._acceptor.status(), "slowClients": self.counts["slow"],
            "historyBytes": self.history.size,
        }  # fmt: skip

    def _beat(self) -> None:
        self._timer = self.loop.call_later(self._heartbeat, self._beat)
        now = self.loop.time()
        for client in list(self._open):
            client.beat(now)


class Client(asyncio.Protocol):
    """One connection: a request, then the stream."""

    _transport: asyncio.Transport

    def __init__(self, server: StreamServer) -> None:
        """Belongs to ``server``."""
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._size = 0
        self._at: int | None = None  # the next chunk to write; None until the stream begins
        self._is_paused = False
        self._is_done = False  # nothing more is read
        self._since = server.loop.time()
        self._ended: asyncio.Future[None] = server.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=CHUNK)
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._server.gone(self)
        if not self._ended.done():
            self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read the request; what comes after it is of no use."""
        if self._is_done:
            return
        self._size += len(data)
        if self._size > _HEAD:
            self._refuse(http_message.HEAD_TOO_LARGE)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # it may ask; the answer is the stream all the same (RFC 9110 §7.8)
        except httptools.HttpParserError:
            self._refuse(http_message.MALFORMED)

    def on_url(self, url: bytes) -> None:
        """Part of the request target."""
        self._request.target += url

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """A header."""
        self._request.headers[name.lower()] = value or b""

    def on_headers_complete(self) -> None:
        """The request is whole; it has no body that is of use."""
        if self._is_done:
            return
        request = self._request
        request.method = self._parser.get_method().decode("ascii")
        request.set_target()
        answer = self._server.check(request)
        if isinstance(answer, Response):
            self._refuse(answer)
            return
        self._is_done = True
        head = _STREAM + "".join(f"{name}: {value}\r\n" for name, value in answer) + "\r\n"
        self._transport.write(head.encode("latin-1", "replace"))
        if request.method == "HEAD":
            self._transport.close()
        else:
            self._begin(dict(parse_qsl(request.query)))

    def _begin(self, query: dict[str, str]) -> None:
        """Go on after the last event that the client knows; with the next one if it knows none."""
        self._transport.write(GREETING)
        history = self._server.history
        last = self._request.headers.get(b"last-event-id", b"").decode("utf-8", "replace")
        last = last or query.get("lastEventId", "")
        self._at, rest = history.after(last) if last else (history.end, b"")
        self._server.clients.add(self)
        self._transport.write(rest)
        self.advance()

    def advance(self) -> None:
        """Write what is new, until the client is full; leave it if what it needs is no longer kept."""
        history = self._server.history
        if self._at is None or self._transport.is_closing():
            return
        if self._at < history.start:
            self._leave()
            return
        while not self._is_paused and self._at < history.end:
            self._transport.write(history.chunk(self._at))
            self._at += 1

    def _leave(self) -> None:
        """Leave a client that is too slow; a browser comes back and says where it was."""
        self._server.counts["slow"] += 1
        self._server.clients.discard(self)
        self._transport.abort()

    def pause_writing(self) -> None:
        """The client is full."""
        self._is_paused = True
        self._since = self._server.loop.time()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_paused = False
        self.advance()

    def beat(self, now: float) -> None:
        """Say that we are there; leave who has sent no request, or reads nothing."""
        if self._transport.is_closing() or self._at is None:
            if now - self._since > _HEAD_TIMEOUT:
                self._transport.abort()
        elif self._is_paused:
            if now - self._since > _STUCK:
                self._leave()
        else:
            self._transport.write(HEARTBEAT)

    def _refuse(self, response: Response) -> None:
        self._is_done = True
        self._since = self._server.loop.time()
        self._transport.write(render(response, body=self._request.method != "HEAD", close=True, keep=False))
        self._transport.close()

    def end(self) -> "asyncio.Future[None]":
        """End the stream when what was written is taken; done when the connection is lost."""
        self._server.clients.discard(self)
        self._transport.close()
        return self._ended

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

"""Serves frames over TCP and TLS: what the listeners ``tcp`` and ``syslog`` have in common.

All connections read into one buffer. What they read within ``GATHER`` seconds goes on as one block, so a thousand
connections with a line each cost about as much as one connection with a thousand lines. Order is kept per connection.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from rutta.listeners import Intake
from rutta.message import Block
from rutta.net import bindings
from rutta.net.acceptor import Acceptor
from rutta.net.flow import Valve
from rutta.net.framing import Framing
from rutta.net.tls import Certificate
from rutta.settings import Tls

log = logging.getLogger("rutta.net.streams")

READ_BUFFER: Final = 2**20  # 1 MiB did better than 256 KiB
GATHER: Final = 0.002  # seconds that small reads wait for others to share a block with
ENOUGH: Final = 256 * 1024  # bytes that wait no longer
SMALL: Final = 4096  # bytes of a read after which a peer that talks all the time is left alone until the block goes on
QUIET: Final = 0.05  # seconds without a read after which a stopping listener believes that all has come
LAST_CALL: Final = 1.0  # seconds after which it believes so anyway


class Manner(NamedTuple):
    """How a listener serves streams; its settings in the form in which they are needed."""

    bind: str
    framing: Framing
    idle_timeout: float
    max_connections: int
    tls: Tls | None
    reuse_port: bool


class Streams:
    """A listener of streams. Owns its sockets and connections."""

    def __init__(self, manner: Manner, name: str) -> None:
        """Touch nothing yet."""
        self.manner = manner
        self.name = name
        self._sockets: list[socket.socket] = []
        self._certificate: Certificate | None = None
        self._stopping = asyncio.Event()
        self._serving: _Serving | None = None
        self._bound: tuple[str, ...] = ()

    async def bind(self) -> Sequence[str]:
        """Bind all addresses and read the certificate."""
        if self.manner.tls is not None:
            self._certificate = Certificate(self.manner.tls, listener=self.name)
        self._sockets = await bindings.bind(self.manner.bind, listener=self.name, reuse_port=self.manner.reuse_port)
        self._bound = tuple(map(bindings.shown, self._sockets))
        return self._bound

    async def serve(self, intake: Intake) -> None:
        """Read until ``stop``, then what has been sent already, for a second at most."""
        if self._stopping.is_set():
            bindings.close(self._sockets)
            return
        serving = self._serving = _Serving(self.manner, self.name, intake, self._sockets, self._certificate)
        try:
            serving.acceptor.start()
            serving.sweep()
            await self._stopping.wait()
            await serving.last_call()
        finally:
            await serving.close()

    def stop(self) -> None:
        """Accept nothing new; ``serve`` returns soon."""
        self._stopping.set()
        if self._serving is None:
            bindings.close(self._sockets)

    def status(self) -> Mapping[str, Any]:
        """Addresses and connections."""
        counts = self._serving.status() if self._serving is not None else {}
        return {"bound": list(self._bound), "tls": self.manner.tls is not None, **counts}


class _Serving:
    """The state of one ``serve``: the shared buffer, what was read and not offered yet, and the connections."""

    def __init__(
        self,
        manner: Manner,
        name: str,
        intake: Intake,
        sockets: Sequence[socket.socket],
        certificate: Certificate | None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.intake = intake
        self.framing = manner.framing
        self.buffer = bytearray(READ_BUFFER)
        self.view = memoryview(self.buffer)  # asyncio's TLS reads into slices of it; one of a bytearray is a copy
        self.connections: dict[_Connection, None] = {}  # in order of arrival
        self.valve = Valve(intake, shut=self._pause, open_again=self._resume)
        self.acceptor = Acceptor(
            sockets,
            lambda: _Connection(self),
            listener=name,
            limit=manner.max_connections,
            certificate=certificate,
        )
        self.idled = 0
        self.last_read = 0.0
        self._name = name
        self._idle_timeout = manner.idle_timeout
        self._frames: list[bytes] = []
        self._size = 0
        self._napping: list[_Connection] = []
        self._flush_at: asyncio.TimerHandle | None = None
        self._sweep_at: asyncio.TimerHandle | None = None
        self._complained = False

    def status(self) -> dict[str, Any]:
        return {**self.acceptor.status(), "idleClosed": self.idled, "held": self.valve.is_shut}

    def gather(self, frames: Sequence[bytes]) -> None:
        """Keep frames until there are enough, or the time is up."""
        self._frames += frames
        for frame in frames:
            self._size += len(frame)
        if self._size >= ENOUGH:
            self.flush()
        elif self._flush_at is None:
            self._flush_at = self.loop.call_later(GATHER, self.flush)

    def flush(self) -> None:
        """Offer what was gathered."""
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        frames, self._frames, self._size = self._frames, [], 0
        if frames:
            for data, lines in self.framing.blocks(frames):
                self.intake.offer(Block(data, lines=lines))
            self.valve.check()
        napping, self._napping = self._napping, []
        if not self.valve.is_shut:  # opening it wakes everybody
            for connection in napping:
                connection.wake()

    def nap(self, connection: "_Connection") -> None:
        """Read nothing more of a peer that sends line by line before the block goes on: one wake-up for many lines."""
        if self._flush_at is not None and not self.valve.is_shut:
            connection.transport.pause_reading()
            self._napping.append(connection)

    def complain(self, reason: str) -> None:
        """Say what a peer does wrong, once a minute."""
        if not self._complained:
            self._complained = True
            self.loop.call_later(60, self._forgive)
            log.warning(
                "The listener %s closed a connection: %s.", self._name, reason, extra={"event": "tcp_bad_stream"}
            )

    def sweep(self) -> None:
        """Close the connections that were silent too long; one timer for all of them."""
        if not self._idle_timeout:
            return
        if not self.valve.is_shut:  # while we do not read, silence is ours
            limit = self.loop.time() - self._idle_timeout
            for connection in [one for one in self.connections if one.read_at < limit]:
                self.idled += 1
                connection.close()
        self._sweep_at = self.loop.call_later(min(self._idle_timeout / 4, 15.0), self.sweep)

    async def last_call(self) -> None:
        """Tell peers that we go, and read what they had sent by then."""
        self.acceptor.stop()
        self.last_read = self.loop.time()
        end = self.last_read + LAST_CALL
        while (now := self.loop.time()) < end and (self.valve.is_shut or now - self.last_read < QUIET):
            for connection in self.connections:  # also those that were just taken from the kernel
                connection.say_goodbye()
            await asyncio.sleep(QUIET / 4)
            if not self.acceptor.open:
                break

    async def close(self) -> None:
        """End everything; half a line of a peer that still talked is refused."""
        for timer in (self._flush_at, self._sweep_at):
            if timer is not None:
                timer.cancel()
        self._flush_at = None
        self.acceptor.close()
        await self.acceptor.closed()
        await self.valve.close()
        for connection in list(self.connections):
            connection.abandon()
        self.flush()
        await self.valve.close()

    def _pause(self) -> None:
        self.acceptor.pause()
        for connection in self.connections:
            connection.transport.pause_reading()

    def _resume(self) -> None:
        self.acceptor.start()
        now = self.loop.time()
        for connection in self.connections:
            connection.read_at = now
            connection.transport.resume_reading()

    def _forgive(self) -> None:
        self._complained = False


class _Connection(asyncio.BufferedProtocol):
    """One peer."""

    __slots__ = ("_framer", "_said_goodbye", "_serving", "read_at", "transport")

    transport: asyncio.Transport

    def __init__(self, serving: _Serving) -> None:
        self._serving = serving
        self._framer = serving.framing.start(serving.intake.refuse)
        self._said_goodbye = False
        self.read_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        serving = self._serving
        self.transport = cast(asyncio.Transport, transport)
        self.read_at = serving.loop.time()
        serving.connections[self] = None
        # Not here: uvloop starts to read when this returns, whatever was paused in it.
        serving.loop.call_soon(self._obey_valve)

    def _obey_valve(self) -> None:
        if self._serving.valve.is_shut:
            self.transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._serving.view

    def buffer_updated(self, nbytes: int) -> None:
        serving = self._serving
        before = self.read_at
        serving.last_read = self.read_at = serving.loop.time()
        frames = self._framer.feed(serving.buffer, nbytes)
        if frames:
            serving.gather(frames)
            if nbytes < SMALL and self.read_at - before < GATHER:
                serving.nap(self)
        if self._framer.broken:
            serving.complain(self._framer.broken)
            self.transport.abort()

    def wake(self) -> None:
        """Read on after a nap."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        serving = self._serving
        serving.acceptor.gone(self)
        if self not in serving.connections:
            return  # its handshake failed, or we closed it
        del serving.connections[self]
        if exc is not None:
            self._framer.abandon()
        elif frames := self._framer.finish():
            serving.gather(frames)

    def say_goodbye(self) -> None:
        """Send our end of stream; a peer that looks sends no more."""
        if not self._said_goodbye and self.transport.can_write_eof() and not self.transport.is_closing():
            self._said_goodbye = True
            self.transport.write_eof()

    def close(self) -> None:
        """End an idle connection: the peer said all it had to say."""
        self.transport.abort()

    def abandon(self) -> None:
        """End the connection now."""
        self._serving.connections.pop(self, None)
        self._serving.acceptor.gone(self)
        self._framer.abandon()
        self.transport.abort()

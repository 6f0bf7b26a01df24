"""Accepts TCP connections for a listener: the limit, TLS handshakes, and a machine out of file descriptors.

Every accepted socket counts against the limit from the start, so a flood of unfinished handshakes is bounded too. A
handshake runs in a task of its own: a bad or slow one holds nobody up.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from rutta.net.tls import Certificate

log = logging.getLogger("rutta.acceptor")

HANDSHAKE: Final = 10.0  # seconds a peer has for its TLS handshake
GOODBYE: Final = 1.0  # seconds a peer has to answer TLS's closing message
AGAIN: Final = 0.2  # seconds until accepting is tried again after the machine refused
AT_ONCE: Final = 64  # connections taken per turn of the loop, so that open ones get theirs

# A peer that is gone without a word is noticed after two minutes, not two hours.
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))


class Acceptor:
    """Owns listening sockets; makes a protocol of each connection. The protocols call ``gone`` when they end."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make: Callable[[], asyncio.BaseProtocol],
        *,
        listener: str,
        limit: int,
        certificate: Certificate | None = None,
    ) -> None:
        """``make`` builds the protocol of one connection."""
        self._sockets = list(sockets)
        self._make = make
        self._listener = listener
        self._limit = limit
        self._certificate = certificate
        self._loop = asyncio.get_running_loop()
        self._live: set[asyncio.BaseProtocol] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._warned: set[str] = set()
        self.accepted = 0
        self.refused = 0
        self.failed_handshakes = 0

    def start(self) -> None:
        """Accept from now on, or again."""
        self._pause = None
        for sock in self._sockets:
            self._loop.add_reader(sock, self._accept, sock)

    def pause(self) -> None:
        """Leave new connections to the kernel until ``start``."""
        if self._pause is not None:
            self._pause.cancel()
        for sock in self._sockets:
            self._loop.remove_reader(sock)

    @property
    def open(self) -> int:
        """How many connections there are, those in their handshake included."""
        return len(self._live)

    def gone(self, protocol: asyncio.BaseProtocol) -> None:
        """A connection has ended."""
        self._live.discard(protocol)

    def status(self) -> dict[str, Any]:
        """Count connections, for ``/status``."""
        counts = {"connections": len(self._live), "accepted": self.accepted, "refused": self.refused}
        if self._certificate is not None:
            counts["failedHandshakes"] = self.failed_handshakes
        return counts

    def stop(self) -> None:
        """Take the connections that the kernel has already accepted, and then nothing more."""
        self.pause()
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            self._accept(sock)
            sock.close()

    def close(self) -> None:
        """Accept nothing more; handshakes under way are given up, connections stay."""
        self.pause()
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            sock.close()
        for task in self._opening:
            task.cancel()

    async def closed(self) -> None:
        """Wait for the handshakes that ``close`` gave up."""
        if self._opening:
            await asyncio.wait(set(self._opening))

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:  # EMFILE, ENFILE, ENOBUFS, ENOMEM: the others may end and make room
                self._wait_for_room(exc)
                return
            self._take(connection)

    def _wait_for_room(self, exc: OSError) -> None:
        """Stop looking for a moment: the socket stays readable, and the loop would spin."""
        self._warn("accept_failed", f"cannot accept connections and tries again: {exc.strerror}")
        self.pause()
        self._pause = self._loop.call_later(AGAIN, self.start)

    def _take(self, connection: socket.socket) -> None:
        if len(self._live) >= self._limit:
            self.refused += 1
            connection.close()
            self._warn("connection_limit", f"refuses connections: {self._limit} are open, the limit (maxConnections)")
            return
        self.accepted += 1
        connection.setblocking(False)
        _keep_alive(connection)
        protocol = self._make()
        self._live.add(protocol)
        task = self._loop.create_task(self._open(connection, protocol))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket, protocol: asyncio.BaseProtocol) -> None:
        secure: dict[str, Any] = {}
        if self._certificate is not None:
            secure = {
                "ssl": self._certificate.context(),
                "ssl_handshake_timeout": HANDSHAKE,
                "ssl_shutdown_timeout": GOODBYE,
            }
        opened = False
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection, **secure)
            opened = True
        except OSError as exc:  # TLS errors, time-outs and resets are all of this kind
            self.failed_handshakes += 1
            self._warn("handshake_failed", f"could not open a connection: {exc}")
        finally:
            if not opened:
                self._live.discard(protocol)
                connection.close()

    def _warn(self, event: str, what: str) -> None:
        """Say it once a minute; the counts are on ``/status``."""
        if event not in self._warned:
            self._warned.add(event)
            self._loop.call_later(60, self._warned.discard, event)
            log.warning("The listener %s %s.", self._listener, what, extra={"event": event})


def _keep_alive(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the peer may be gone already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

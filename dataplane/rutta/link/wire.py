"""ZeroMQ sockets on the event loop, whichever loop it is, without a task per socket or an await per message.

A socket's descriptor only tells that something may have happened, once (edge-triggered), and sending may swallow what
it tells; so the owner is called after every send too and reads until there is nothing left
(http://api.zeromq.org/4-3:zmq-getsockopt, ZMQ_FD).
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import zmq

LINGER: Final = 1000  # milliseconds in which a closed socket still sends; so the context's end is bounded too
READ_AT_ONCE: Final = 64  # messages, before others get their turn on the loop

_context: "zmq.Context[zmq.Socket[bytes]] | None" = None
_users = 0


def acquire() -> "zmq.Context[zmq.Socket[bytes]]":
    """Use the process's one context; ``release`` it after closing every socket made of it."""
    global _context, _users
    if _context is None:
        _context = zmq.Context()
    _users += 1
    return _context


async def release() -> None:
    """Stop using the context; the last user waits until what closed sockets still hold is sent, for ``LINGER``."""
    global _context, _users
    _users -= 1
    if _users == 0 and _context is not None:
        context, _context = _context, None
        await asyncio.shield(asyncio.to_thread(context.destroy, LINGER))


def options(*, heartbeat: float, send: int, receive: int, largest: int, ipv6: bool) -> Mapping[int, int]:
    """Name every option that matters: ``heartbeat`` in seconds, high-water marks in messages, ``largest`` in bytes."""
    beat = max(1, round(heartbeat * 1000))
    return {
        zmq.LINGER: LINGER,
        zmq.IPV6: int(ipv6),
        zmq.SNDHWM: send,
        zmq.RCVHWM: receive,
        zmq.MAXMSGSIZE: largest,
        zmq.HEARTBEAT_IVL: beat,
        zmq.HEARTBEAT_TIMEOUT: 2 * beat,
        zmq.HEARTBEAT_TTL: min(3 * beat, 6_000_000),
        zmq.HANDSHAKE_IVL: max(1000, 2 * beat),
        zmq.CONNECT_TIMEOUT: max(1000, 2 * beat),
        zmq.RECONNECT_IVL: 100,
        zmq.RECONNECT_IVL_MAX: 2000,
        zmq.TCP_KEEPALIVE: 1,
    }


# ``send_multipart``, ``recv_multipart`` and arithmetic with pyzmq's enums cost twice what a small message does.
_NOW: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)


class Wire:
    """One socket and its owner's callback; the owner closes it."""

    def __init__(self, zmq_socket: "zmq.Socket[bytes]", wake: Callable[[], bool]) -> None:
        """``wake`` reads what there is and says whether to be called again; it must not be called by others."""
        self.socket = zmq_socket
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(zmq_socket.getsockopt(zmq.FD))
        self._asked = False
        self._paused = False
        self.closed = False
        self._loop.add_reader(self._descriptor, self._look)
        self.look_again()

    def look_again(self) -> None:
        """Have the owner called soon."""
        if not self._asked and not self.closed:
            self._asked = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._asked = False
        if not self.closed and not self._paused and self._wake():
            self.look_again()

    def send(self, frames: Sequence[bytes]) -> bool:
        """Send one message, or say that there is no room or no peer for it now: ``wake`` is called when there is.

        Frames above 64 KiB are lent to ZeroMQ (``copy_threshold``), which costs less than copying them.
        """
        try:
            for frame in frames[:-1]:
                self.socket.send(frame, _MORE, copy=False)
            self.socket.send(frames[-1], _NOW, copy=False)
        except zmq.Again:
            return False
        self.look_again()
        return True

    def receive(self) -> list[bytes] | None:
        """Take one message, or None."""
        try:
            frame = self.socket.recv(_NOW, copy=False)
        except zmq.Again:
            return None
        frames = [frame.bytes]
        while frame.more:
            frame = self.socket.recv(_NOW, copy=False)
            frames.append(frame.bytes)
        return frames

    def pause(self) -> None:
        """Do not read: ZeroMQ's and then the kernel's buffers fill, and the peers wait."""
        self._paused = True

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self.look_again()

    def tend(self) -> None:
        """Let the socket see new connections while it is paused."""
        self.socket.getsockopt(zmq.EVENTS)

    def close(self, linger: int = LINGER) -> None:
        """Close the socket; what it holds is sent for so many milliseconds. Idempotent."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._descriptor)
            self.socket.close(linger)


def open_socket(kind: int, settings: Mapping[int, int]) -> "zmq.Socket[Any]":
    """Make a socket of the process's context, which must be acquired."""
    if _context is None:
        raise RuntimeError("acquire the context first")
    made = _context.socket(kind)
    for option, value in settings.items():
        made.setsockopt(option, value)
    return made


def adopt(zmq_socket: "zmq.Socket[Any]", listening: socket.socket, address: str) -> None:
    """Hand a listening socket over to ZeroMQ, which then owns it; ``address`` is what it is bound to."""
    zmq_socket.setsockopt(zmq.IPV6, int(address.startswith("[")))
    zmq_socket.setsockopt(zmq.USE_FD, listening.detach())
    zmq_socket.bind(f"tcp://{address}")

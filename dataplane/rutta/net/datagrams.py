"""Serves datagrams: what the listeners ``udp`` and ``syslog`` have in common.

Whatever the kernel holds is taken in one go, so that datagrams travel as blocks of lines. While they keep coming, the
sockets are looked at every two milliseconds instead of at each datagram. What the kernel had to drop is counted from
/proc/net/udp (Linux).
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rutta.listeners import Intake
from rutta.message import Block
from rutta.net import bindings
from rutta.net.flow import Valve
from rutta.net.framing import LINES, joined
from rutta.settings import Size

log = logging.getLogger("rutta.net.datagrams")

LARGEST: Final = 65536  # above any datagram
ROOM: Final = 256 * 1024  # bytes taken per turn; longer turns leave the kernel's buffer unread while blocks are decoded
TURN: Final = 1024  # datagrams taken per turn
FEW: Final = 64  # datagrams; after a turn with fewer, the next waits for company
NAP: Final = (
    0.002  # seconds; a kernel buffer of 1 MiB holds what small datagrams bring in that time at 500 000 a second
)
SHORT_NAP: Final = 0.001  # seconds, with a smaller buffer; also the least the event loop can wait
DROPS_EVERY: Final = 5.0  # seconds between looks at the kernel's counters


class Manner(NamedTuple):
    """How a listener serves datagrams; its settings in the form in which they are needed."""

    bind: str
    codec: str
    receive_buffer: Size
    reuse_port: bool


class Datagrams:
    """A listener of datagrams. Owns its sockets."""

    def __init__(self, manner: Manner, name: str) -> None:
        """Touch nothing yet."""
        self.manner = manner
        self.name = name
        self._sockets: list[socket.socket] = []
        self._stopping = asyncio.Event()
        self._bound: tuple[str, ...] = ()
        self._serving: _Serving | None = None
        self._granted = 0

    async def bind(self) -> Sequence[str]:
        """Bind all addresses and ask for the receive buffer."""
        self._sockets = await bindings.bind(
            self.manner.bind, listener=self.name, kind=socket.SOCK_DGRAM, reuse_port=self.manner.reuse_port
        )
        self._granted = min(_ask_for(sock, self.manner.receive_buffer) for sock in self._sockets)
        if self._granted < self.manner.receive_buffer:
            log.warning(
                "The listener %s has a receive buffer of %d bytes, not %d; raise net.core.rmem_max.",
                self.name, self._granted, self.manner.receive_buffer,
                extra={"event": "udp_small_buffer", "fields": {"granted": self._granted}},
            )  # fmt: skip
        self._bound = tuple(map(bindings.shown, self._sockets))
        return self._bound

    async def serve(self, intake: Intake) -> None:
        """Read until ``stop``, then what the kernel still holds."""
        if self._stopping.is_set():
            bindings.close(self._sockets)
            return
        serving = self._serving = _Serving(
            intake, self._sockets, codec=self.manner.codec, nap=NAP if self._granted >= 2**20 else SHORT_NAP
        )
        try:
            serving.start()
            await self._stopping.wait()
            serving.last_call()
        finally:
            await serving.close()

    def stop(self) -> None:
        """Make ``serve`` return."""
        self._stopping.set()
        if self._serving is None:
            bindings.close(self._sockets)

    def status(self) -> Mapping[str, Any]:
        """Addresses, the buffer that the kernel granted, and what it dropped."""
        serving = self._serving
        return {
            "bound": list(self._bound),
            "receiveBuffer": self._granted,
            "kernelDrops": serving.drops if serving is not None else 0,
            "held": serving is not None and serving.valve.is_shut,
        }


class _Serving:
    """The state of one ``serve``: the buffer, and which sockets are looked at how."""

    def __init__(self, intake: Intake, sockets: Sequence[socket.socket], *, codec: str, nap: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._intake = intake
        self._sockets = sockets
        self._codec = codec
        self._take = self._take_lines if codec in LINES else self._take_messages
        self._nap = nap
        self._noticed = 0.0  # when a datagram was last noticed
        self._naps: dict[socket.socket, asyncio.TimerHandle] = {}
        self._dropped = _kernel_drops(sockets)
        self._look_at: asyncio.TimerHandle | None = None
        self.drops = 0
        self.valve = Valve(intake, shut=self._rest, open_again=self._listen)

    def start(self) -> None:
        self._listen()
        self._look_at = self._loop.call_later(DROPS_EVERY, self._look)

    def last_call(self) -> None:
        """Take what the kernel holds; nobody else will."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            for _ in range(256):  # 64 MiB, should a sender be faster than we are
                if not self._take(sock):
                    break

    async def close(self) -> None:
        self._rest()
        if self._look_at is not None:
            self._look_at.cancel()
        await self.valve.close()
        self._count_drops()
        bindings.close(self._sockets)

    def _listen(self) -> None:
        for sock in self._sockets:
            self._loop.add_reader(sock, self._readable, sock)

    def _rest(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock)
        for nap in self._naps.values():
            nap.cancel()
        self._naps.clear()

    def _readable(self, sock: socket.socket) -> None:
        """A turn at the kernel's notice; when datagrams come close together, look again after a nap."""
        now = self._loop.time()
        close, self._noticed = now - self._noticed < self._nap, now
        count = self._take(sock)
        self.valve.check()
        if (close or count > 1) and not self.valve.is_shut:
            self._loop.remove_reader(sock)
            self._naps[sock] = self._loop.call_later(self._nap, self._awake, sock)

    def _awake(self, sock: socket.socket) -> None:
        """A turn after a nap; go on napping as long as it pays."""
        count = self._take(sock)
        self.valve.check()
        if self.valve.is_shut:
            self._naps.pop(sock, None)
        elif count > 1:
            self._naps[sock] = self._loop.call_later(self._nap if count < FEW else 0, self._awake, sock)
        else:
            del self._naps[sock]
            self._loop.add_reader(sock, self._readable, sock)

    def _take_lines(self, sock: socket.socket) -> int:
        """Offer what the kernel holds, as one block if each datagram is one line; say how many there were."""
        taken: list[bytes] = []
        receive, size = sock.recv, 0
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while size < ROOM and len(taken) < TURN:
                taken.append(receive(LARGEST))
                size += len(taken[-1])
        datagrams = [one for one in taken if one]
        if len(datagrams) < len(taken):
            self._intake.refuse("empty", len(taken) - len(datagrams))
        if datagrams:
            self._offer(datagrams)
        return len(taken)

    def _offer(self, datagrams: list[bytes]) -> None:
        data = b"\n".join((*datagrams, b""))
        if data.count(b"\n") == len(datagrams) and b"\r" not in data and b"\0" not in data:
            self._intake.offer(Block(data))
            return
        for joint, lines in joined(datagrams, codec=self._codec):
            self._intake.offer(Block(joint, lines=lines))

    def _take_messages(self, sock: socket.socket) -> int:
        """Offer each datagram as it came: the codec's inputs are no lines."""
        count = 0
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while count < FEW:
                data = sock.recv(LARGEST)
                count += 1
                if data:
                    self._intake.offer(Block(data, lines=False))
                else:
                    self._intake.refuse("empty")
        return count

    def _look(self) -> None:
        self._count_drops()
        self._look_at = self._loop.call_later(DROPS_EVERY, self._look)

    def _count_drops(self) -> None:
        now = _kernel_drops(self._sockets)
        new = sum(count - self._dropped.get(inode, 0) for inode, count in now.items())
        self._dropped.update(now)
        if new > 0:
            self.drops += new
            self._intake.kernel_drops(new)


def _ask_for(sock: socket.socket, size: int) -> int:
    """Set the receive buffer; return what was granted. The kernel doubles it for its own needs: socket(7)."""
    force = getattr(socket, "SO_RCVBUFFORCE", 33)  # beyond rmem_max, with CAP_NET_ADMIN
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def _kernel_drops(sockets: Sequence[socket.socket]) -> dict[int, int]:
    """Read how many datagrams the kernel dropped per socket, by inode; empty where there is no such table."""
    inodes = {os.fstat(sock.fileno()).st_ino for sock in sockets}
    drops: dict[int, int] = {}
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                columns = row.split()
                if int(columns[9]) in inodes:
                    drops[int(columns[9])] = int(columns[12])
    return drops

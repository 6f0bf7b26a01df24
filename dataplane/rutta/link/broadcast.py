"""Broadcast links: every receiver gets every block, or misses it; what is missed is counted on both ends.

The sender dials each receiver's bound SUB with an XPUB socket of its own: it sees the subscription, hence knows when
the receiver is there, and is told when the receiver's buffer is full (NODROP) instead of dropping unseen.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import zmq

from rutta.link import wire
from rutta.link.dialled import PATIENCE
from rutta.link.discovery import Discovery
from rutta.link.protocol import Data, Parcel, Ping, decode, encode
from rutta.link.receiver import offer
from rutta.link.watch import Watch
from rutta.link.wire import LINGER, READ_AT_ONCE, Wire
from rutta.listeners import Intake
from rutta.net.flow import Valve, room_within

SEND_HWM: Final = 64  # blocks that one receiver may be behind: 16 MiB as a rule
RECEIVE_HWM: Final = 16  # blocks of one sender that wait to be read
LAST_CALL: Final = 1.0  # seconds for which a stopping receiver still reads what is here
MAKERS: Final = 4096  # senders whose sequence is remembered

Dress = Callable[["zmq.Socket[Any]"], None]
MakeDiscovery = Callable[[Callable[[frozenset[str]], None]], Discovery]


class Gaps:
    """Counts the blocks that never came, per sender, by their sequence numbers."""

    def __init__(self) -> None:
        """No sender is known; the first message of one tells where it is."""
        self.missed = 0
        self._newest: dict[bytes, int] = {}

    def __len__(self) -> int:
        """Count the senders known."""
        return len(self._newest)

    def block(self, link: bytes, sequence: int) -> None:
        """A block has come."""
        self.reached(link, sequence - 1)
        self._newest[link] = max(sequence, self._newest[link])

    def reached(self, link: bytes, sequence: int) -> None:
        """The sender says that so many have been sent."""
        newest = self._newest.get(link)
        if newest is None:
            if len(self._newest) >= MAKERS:
                del self._newest[next(iter(self._newest))]
            self._newest[link] = sequence
        elif sequence > newest:
            self.missed += sequence - newest
            self._newest[link] = sequence


class BroadcastReceiver:
    """One ``serve`` on a bound SUB socket."""

    def __init__(self, socket: Any, intake: Intake) -> None:
        """Owns the socket."""
        self._loop = asyncio.get_running_loop()
        self._intake = intake
        self._stopped = asyncio.Event()
        self._gaps = Gaps()
        self._blocks = self._bytes = self._refused = 0
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._wire = Wire(socket, self._wake)
        self._valve = Valve(intake, shut=self._wire.pause, open_again=self._wire.resume)
        self._timer = self._loop.call_later(1.0, self._tend)

    def _tend(self) -> None:
        self._timer = self._loop.call_later(1.0, self._tend)
        self._wire.tend()

    def _wake(self) -> bool:
        for _ in range(READ_AT_ONCE):
            if self._valve.is_shut:
                return False
            frames = self._wire.receive()
            if frames is None:
                return False
            self._take(frames)
            self._valve.check()
        return True

    def _take(self, frames: list[bytes]) -> None:
        match decode(frames[0]):
            case Data() as header if len(frames) == 2:
                self._gaps.block(header.session, header.sequence)
                self._blocks += 1
                self._bytes += len(frames[1])
                offer(self._intake, Parcel.of(header, frames[1]))
            case Ping() as ping:
                self._gaps.reached(ping.session, ping.sequence)
            case _:
                self._refused += 1

    def leave(self) -> None:
        """Read what is here already, then end."""
        self._stopped.set()

    async def run(self) -> None:
        """Serve until ``leave``; closes the socket, also when cancelled."""
        try:
            await self._stopped.wait()
            until = self._loop.time() + LAST_CALL
            while self._loop.time() < until and int(self._wire.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                if not await room_within(self._intake, until - self._loop.time()):
                    return
                self._wire.look_again()
                await asyncio.sleep(0)
        finally:
            self._timer.cancel()
            await self._valve.close()
            self._wire.close(0)

    def status(self) -> Mapping[str, Any]:
        """Counters; a broadcast does not know who has gone."""
        return {
            "senders": len(self._gaps),
            "blocks": self._blocks,
            "bytes": self._bytes,
            "gaps": self._gaps.missed,
            "refused": self._refused,
        }


class _Ear:
    """One dialled receiver."""

    def __init__(self, endpoint: str, socket: Any, ready: Callable[[], None]) -> None:
        self.endpoint = endpoint
        self.is_there = False
        self.dropped = 0
        self.patience = PATIENCE
        self.problem = ""
        self._ready = ready
        self._watch = Watch(socket, self._heard_of)
        self.wire = Wire(socket, self._wake)

    def _heard_of(self, trouble: str) -> None:
        self.problem = trouble

    def _wake(self) -> bool:
        """Subscriptions: they come when the connection stands, and are withdrawn when it breaks."""
        for _ in range(READ_AT_ONCE):
            frames = self.wire.receive()
            if frames is None:
                return False
            self.is_there = frames[0][:1] == b"\x01"
            if self.is_there:
                self._ready()
            else:
                self.patience = PATIENCE
        return True

    def close(self) -> None:
        self._watch.close()
        self.wire.close(LINGER)


class BroadcastSender:
    """Owns its sockets and its discovery from ``open`` to the end of ``close``."""

    def __init__(self, name: str, *, heartbeat: float, discovery: MakeDiscovery, dress: Dress) -> None:
        """As ``BalanceSender``."""
        self.name = name
        self._link = os.urandom(16)
        self._heartbeat = heartbeat
        self._dress = dress
        self._make_discovery = discovery
        self._ears: dict[str, _Ear] = {}
        self._dropped = 0  # by receivers that are gone: a counter never falls
        self._sequence = self._pings = self._bytes = 0
        self._looking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Start to look for peers; needs none to be there."""
        self._loop = asyncio.get_running_loop()
        self._somebody = asyncio.Event()
        wire.acquire()
        self._looking = self._loop.create_task(self._make_discovery(self._found).run(), name=f"link {self.name}")
        self._timer = self._loop.call_later(self._heartbeat, self._ping)

    def _found(self, endpoints: frozenset[str]) -> None:
        for endpoint in self._ears.keys() - endpoints:
            gone = self._ears.pop(endpoint)
            self._dropped += gone.dropped
            gone.close()
        for endpoint in endpoints - self._ears.keys():
            self._ears[endpoint] = _Ear(endpoint, self._connect(endpoint), self._ready)

    def _connect(self, endpoint: str) -> "zmq.Socket[Any]":
        settings = wire.options(heartbeat=self._heartbeat, send=SEND_HWM, receive=0, largest=1024, ipv6=True)
        socket = wire.open_socket(zmq.XPUB, settings)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # a broken connection withdraws its subscription
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._dress(socket)
        socket.connect(endpoint)
        return socket

    def _ready(self) -> None:
        self._somebody.set()

    async def deliver(self, parcels: Sequence[Parcel]) -> list[bool]:
        """Hand every parcel to every receiver that is there; waits until one is."""
        if self._looking is not None and self._looking.done():
            self._looking.result()
        while not any(ear.is_there for ear in self._ears.values()):
            self._somebody.clear()
            await self._somebody.wait()
        for parcel in parcels:
            self._sequence += 1
            self._bytes += len(parcel.payload)
            self._tell(parcel.frames(self._link, self._sequence), 1)
        return [True] * len(parcels)

    def _tell(self, frames: Sequence[bytes], counts: int) -> None:
        for ear in self._ears.values():
            if ear.is_there and not ear.wire.send(frames):
                ear.dropped += counts

    def _renew(self) -> None:
        """Dial again where nothing came about: ZeroMQ itself gives up where a handshake failed."""
        for ear in [ear for ear in self._ears.values() if not ear.is_there]:
            ear.patience -= 1
            if ear.patience == 0:
                ear.close()
                fresh = _Ear(ear.endpoint, self._connect(ear.endpoint), self._ready)
                fresh.dropped, fresh.problem = ear.dropped, ear.problem
                self._ears[ear.endpoint] = fresh

    def _ping(self) -> None:
        self._timer = self._loop.call_later(self._heartbeat, self._ping)
        self._pings += 1
        self._renew()
        self._tell((encode(Ping(self._link, self._pings, self._sequence)),), 0)

    async def close(self) -> None:
        """Close; what the sockets hold is sent for a second at most. Harmless when it was never opened."""
        if self._looking is None:
            return
        looking, self._looking = self._looking, None
        looking.cancel()
        await asyncio.wait([looking])
        if self._timer is not None:
            self._timer.cancel()
        self._found(frozenset())
        await wire.release()

    def status(self) -> Mapping[str, Any]:
        """Receivers and counters."""
        ears = [
            {
                "address": ear.endpoint,
                "state": "ready" if ear.is_there else "dialling",
                "problem": ear.problem,
                "dropped": ear.dropped,
            }
            for ear in self._ears.values()
        ]
        return {
            "peers": ears,
            "connected": sum(ear.is_there for ear in self._ears.values()),
            "blocks": self._sequence,
            "bytes": self._bytes,
            "broadcastDropped": self._dropped + sum(ear.dropped for ear in self._ears.values()),
        }

"""The sending end of a Balance link: discovery, one dialled socket per receiver, parcels spread over them."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import zmq

from rutta.errors import ConfigError
from rutta.link import wire
from rutta.link.dialled import Dialled
from rutta.link.discovery import Discovery
from rutta.link.outgoing import SenderPeer, State
from rutta.link.protocol import Parcel
from rutta.link.spread import Spread

log = logging.getLogger("rutta.link")

TICKS: Final = 4  # looks at the clock per heartbeat
SEND_HWM: Final = 1024  # messages; credit keeps far below it
LARGEST_ANSWER: Final = 2**20

Dress = Callable[["zmq.Socket[Any]"], None]
MakeDiscovery = Callable[[Callable[[frozenset[str]], None]], Discovery]


class BalanceSender:
    """Owns its sockets and its discovery from ``open`` to the end of ``close``."""

    def __init__(self, name: str, *, heartbeat: float, discovery: MakeDiscovery, dress: Dress) -> None:
        """``dress`` puts keys on a socket before it connects; ``heartbeat`` is in seconds."""
        self.name = name
        self._heartbeat = heartbeat
        self._dress = dress
        self._make_discovery = discovery
        self._discovery: Discovery | None = None
        self._spread = Spread(_settle, alive=_is_wanted)
        self._dialled: dict[str, Dialled] = {}
        self._undialled: dict[str, str] = {}  # why not; tried again with the next tick
        self._wanted: frozenset[str] = frozenset()
        self._looking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Start to look for peers; needs none to be there."""
        self._loop = asyncio.get_running_loop()
        wire.acquire()
        self._discovery = self._make_discovery(self._found)
        self._looking = self._loop.create_task(self._discovery.run(), name=f"link {self.name}: discovery")
        self._tick()

    async def deliver(self, parcels: Sequence[Parcel]) -> list[bool]:
        """Wait until every parcel is settled: acknowledged (True), or possibly lost. Cancelled, it forgets them."""
        if self._looking is not None and self._looking.done():
            self._looking.result()  # a bug there must not look like an absence of peers
        for parcel in parcels:
            parcel.waiter = self._loop.create_future()
            self._spread.submit(parcel)
        self._flush()
        try:
            return [await parcel.waiter for parcel in parcels]
        finally:
            for parcel in parcels:
                parcel.waiter.cancel()

    def _found(self, endpoints: frozenset[str]) -> None:
        self._wanted = endpoints
        for endpoint, dialled in self._dialled.items():
            if endpoint not in endpoints:
                dialled.peer.leave(self._loop.time())
        self._changed(())

    def _dial(self, endpoint: str) -> None:
        peer = SenderPeer(os.urandom(16), name=self.name, heartbeat=self._heartbeat, now=self._loop.time())
        try:
            self._dialled[endpoint] = Dialled(
                endpoint,
                peer,
                dial=self._connect,
                clock=self._loop.time,
                changed=lambda: self._changed((peer,)),
            )
        except (ConfigError, OSError, zmq.ZMQError) as exc:  # the others are dialled all the same
            self._undialled[endpoint] = str(exc)
            return
        self._spread.add(peer)

    def _connect(self, endpoint: str) -> "zmq.Socket[Any]":
        settings = wire.options(
            heartbeat=self._heartbeat, send=SEND_HWM, receive=0, largest=LARGEST_ANSWER, ipv6=True
        )  # fmt: skip
        socket = wire.open_socket(zmq.DEALER, settings)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is kept for a connection that is none; we keep it
        try:
            self._dress(socket)
            socket.connect(endpoint)
        except BaseException:
            socket.close(0)
            raise
        return socket

    def _changed(self, peers: Sequence[SenderPeer]) -> None:
        self._spread.turn(peers)
        for endpoint in [one for one, dialled in self._dialled.items() if dialled.peer.state is State.CLOSED]:
            self._drop(endpoint)
        for endpoint in self._wanted - self._dialled.keys() - self._undialled.keys():
            self._dial(endpoint)
        self._flush()

    def _drop(self, endpoint: str) -> None:
        dialled = self._dialled.pop(endpoint)
        dialled.close()
        self._spread.remove(dialled.peer)
        self._spread.sent_again += dialled.peer.resent  # a counter never falls, whoever goes
        log.info("The peer %s is gone.", endpoint, extra={"event": "link_peer_gone", "fields": {"peer": endpoint}})

    def _flush(self) -> None:
        for dialled in self._dialled.values():
            if dialled.peer.out:
                dialled.flush()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._heartbeat / TICKS, self._tick)
        for dialled in self._dialled.values():
            dialled.tick()
        self._undialled.clear()
        self._changed([dialled.peer for dialled in self._dialled.values()])

    async def close(self) -> None:
        """Part from all peers; what is still under way is given up. Harmless when it was never opened."""
        if self._looking is None:
            return
        looking, self._looking = self._looking, None
        looking.cancel()
        await asyncio.wait([looking])
        if self._timer is not None:
            self._timer.cancel()
        self._wanted = frozenset()
        for endpoint, dialled in list(self._dialled.items()):
            dialled.peer.abandon()
            self._drop(endpoint)
        await wire.release()

    def status(self) -> Mapping[str, Any]:
        """Peers and counters."""
        spread = self._spread
        peers = [dialled.status() for dialled in self._dialled.values()]
        return {
            "peers": peers,
            "connected": sum(peer["state"] == State.READY.value for peer in peers),
            "waiting": spread.waiting,
            "blocks": spread.sent,
            "bytes": spread.sent_bytes,
            "acknowledged": spread.acknowledged,
            "possiblyLost": spread.possibly_lost,
            "sentAgain": spread.sent_again + sum(dialled.peer.resent for dialled in self._dialled.values()),
            "discovery": ""
            if self._discovery is None
            else self._discovery.problem or "; ".join(self._undialled.values()),
        }


def _settle(parcel: Parcel, acknowledged: bool) -> None:
    if not parcel.waiter.done():
        parcel.waiter.set_result(acknowledged)


def _is_wanted(parcel: Parcel) -> bool:
    return not parcel.waiter.done()

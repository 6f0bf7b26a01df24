"""The original's proxy: publishers on XSUB, subscribers on XPUB, messages passed as they are.

ZeroMQ's own forwarder does it on a thread of its own, at its own speed and without the interpreter; like any publisher
it drops what a subscriber is too slow for. Links are carried by the engine, not by this.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import zmq

from rutta.errors import ConfigError
from rutta.link import discovery, wire
from rutta.net import bindings

HIGH_WATER_MARK: Final = 10_000  # messages for one peer
LARGEST: Final = 64 * 2**20  # bytes of a frame
HEARTBEAT: Final = 5.0  # seconds


async def forward(
    xsub_bind: Sequence[str], xsub_dial: Sequence[str], xpub_bind: Sequence[str], stop: asyncio.Event
) -> None:
    """Pass messages until ``stop`` is set. Endpoints are ``host:port``, with ``tcp://`` before it or not.

    ``ConfigError`` when an endpoint is none or cannot be bound.
    """
    wire.acquire()
    sockets: list[zmq.Socket[Any]] = []
    try:
        front, back = _open(zmq.XSUB, sockets), _open(zmq.XPUB, sockets)
        await _bind(front, xsub_bind)
        await _bind(back, xpub_bind)
        _dial(front, xsub_dial)
        control, order = _open(zmq.PAIR, sockets), _open(zmq.PAIR, sockets)
        control.bind(f"inproc://rutta.proxy.{id(control)}")
        order.connect(f"inproc://rutta.proxy.{id(control)}")
        await _pass(front, back, control, order, stop)
    finally:
        for socket in sockets:
            socket.close(wire.LINGER)
        await wire.release()


async def _pass(front: Any, back: Any, control: Any, order: Any, stop: asyncio.Event) -> None:
    """Run ZeroMQ's forwarder; ends it before returning, also when cancelled: the sockets are its until then."""
    passing = asyncio.ensure_future(asyncio.to_thread(zmq.proxy_steerable, front, back, None, control))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([passing, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        order.send(b"TERMINATE")
        await asyncio.shield(passing)


def _open(kind: int, sockets: "list[zmq.Socket[Any]]") -> "zmq.Socket[Any]":
    settings = wire.options(
        heartbeat=HEARTBEAT, send=HIGH_WATER_MARK, receive=HIGH_WATER_MARK, largest=LARGEST, ipv6=True
    )
    socket = wire.open_socket(kind, {} if kind == zmq.PAIR else settings)
    sockets.append(socket)
    return socket


async def _bind(socket: "zmq.Socket[Any]", endpoints: Sequence[str]) -> None:
    for endpoint in endpoints:
        listening = await bindings.bind(endpoint.removeprefix("tcp://"), listener="proxy")
        for one in listening:
            wire.adopt(socket, one, bindings.shown(one))
    socket.setsockopt(zmq.IPV6, 1)


def _dial(socket: "zmq.Socket[Any]", endpoints: Sequence[str]) -> None:
    for endpoint in endpoints:
        try:
            socket.connect(discovery.endpoint(*discovery.parse(endpoint)))
        except ValueError as exc:
            raise ConfigError(f"the proxy cannot dial: {exc}") from None

"""Listener ``sub``: messages of foreign ZeroMQ PUB sockets, of any codec.

Connects and subscribes to everything. The frames of a message are concatenated; no message ends the listener. What a
publisher sends before the subscription has reached it, or while this side is too slow, is lost: that is PUB and SUB.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import zmq
from msgspec import Meta, Struct

from rutta.link import discovery, wire
from rutta.link.foreign import ForeignReader
from rutta.listeners import Intake
from rutta.settings import Duration, Size, default

EXAMPLE: Final[Mapping[str, Any]] = {"connect": ["127.0.0.1:5556"]}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a sub listener."""

    connect: Annotated[list[str], Meta(min_length=1, description="the publishers: host:port each")]
    codec: Annotated[str, Meta(description="what the messages are: json, plain, auto, syslog, log4jxml, binary")] = (
        "json"
    )
    strict: Annotated[bool, Meta(description="check every event against the schema")] = False
    max_message_bytes: Annotated[Size, Meta(description="a publisher that sends more in a frame is cut off")] = default(
        Size, "16Mi"
    )
    high_water_mark: Annotated[int, Meta(ge=1, description="messages of one publisher that may wait to be read")] = (
        10_000
    )
    heartbeat: Annotated[Duration, Meta(description="time between the pings of the transport")] = default(
        Duration, "5s"
    )

    def __post_init__(self) -> None:
        """Reject addresses that are none."""
        for address in self.connect:
            discovery.parse(address)


def make(config: Config, name: str) -> "Sub":
    """Build the listener."""
    return Sub(config, name)


class Sub:
    """Owns its socket from ``bind`` to the end of ``serve``."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch no network."""
        self._config = config
        self._socket: Any = None
        self._reader: ForeignReader | None = None
        self._endpoints = [discovery.endpoint(*discovery.parse(address)) for address in config.connect]
        self._stopped = False

    async def bind(self) -> Sequence[str]:
        """Connect; the publishers need not be there yet. Returns whom it connects to."""
        config = self._config
        wire.acquire()
        settings = wire.options(
            heartbeat=config.heartbeat,
            send=1,
            receive=config.high_water_mark,
            largest=config.max_message_bytes,
            ipv6=True,
        )
        self._socket = wire.open_socket(zmq.SUB, settings)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        for endpoint in self._endpoints:
            self._socket.connect(endpoint)
        return tuple(endpoint.removeprefix("tcp://") for endpoint in self._endpoints)

    async def serve(self, intake: Intake) -> None:
        """Read until ``stop``, then what is here already, for a second at most."""
        try:
            if not self._stopped:
                self._reader = ForeignReader(self._socket, intake, codec=self._config.codec)
                await self._reader.run()
        finally:
            self._socket.close(0)
            await wire.release()

    def stop(self) -> None:
        """Take nothing new."""
        self._stopped = True
        if self._reader is not None:
            self._reader.stop()
        elif self._socket is not None:
            self._socket.close(0)

    def status(self) -> Mapping[str, Any]:
        """Publishers and counters."""
        counts = {} if self._reader is None else self._reader.status()
        return {"connect": list(self._endpoints), **counts}

"""Listener ``pull``: messages of foreign ZeroMQ PUSH sockets, of any codec.

Binds. The frames of a message are concatenated; no message ends the listener. While it cannot take more it does not
read: ZeroMQ's buffers fill, and then the senders wait.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import zmq
from msgspec import Meta, Struct

from rutta.link import wire
from rutta.link.foreign import ForeignReader
from rutta.listeners import Intake
from rutta.net import bindings
from rutta.settings import Duration, Size, default

EXAMPLE: Final[Mapping[str, Any]] = {"bind": "127.0.0.1:0"}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a pull listener."""

    bind: Annotated[str, Meta(description="addresses to listen on: host:port, host:port")]
    codec: Annotated[str, Meta(description="what the messages are: json, plain, auto, syslog, log4jxml, binary")] = (
        "json"
    )
    strict: Annotated[bool, Meta(description="check every event against the schema")] = False
    max_message_bytes: Annotated[Size, Meta(description="a peer that sends more in a frame is cut off")] = default(
        Size, "16Mi"
    )
    high_water_mark: Annotated[int, Meta(ge=1, description="messages of one peer that may wait to be read")] = 1000
    heartbeat: Annotated[Duration, Meta(description="time between the pings of the transport")] = default(
        Duration, "5s"
    )

    def __post_init__(self) -> None:
        """Reject bindings that are none."""
        bindings.parse(self.bind)


def make(config: Config, name: str) -> "Pull":
    """Build the listener."""
    return Pull(config, name)


class Pull:
    """Owns its socket from ``bind`` to the end of ``serve``."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch no network."""
        self._config = config
        self._name = name
        self._socket: Any = None
        self._reader: ForeignReader | None = None
        self._bound: tuple[str, ...] = ()
        self._stopped = False

    async def bind(self) -> Sequence[str]:
        """Bind all addresses."""
        config = self._config
        sockets = await bindings.bind(config.bind, listener=self._name)
        self._bound = tuple(map(bindings.shown, sockets))
        wire.acquire()
        settings = wire.options(
            heartbeat=config.heartbeat,
            send=1,
            receive=config.high_water_mark,
            largest=config.max_message_bytes,
            ipv6=False,
        )
        self._socket = wire.open_socket(zmq.PULL, settings)
        for address, sock in zip(self._bound, sockets, strict=True):
            wire.adopt(self._socket, sock, address)
        return self._bound

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
        """Addresses and counters."""
        counts = {} if self._reader is None else self._reader.status()
        return {"bound": list(self._bound), **counts}

"""Target ``shipper``: plain ZeroMQ to peers that are not ours, PUSH or PUB, as the original's shipper.

A message is one event, or a whole batch of lines. PUSH holds events back while no peer takes them; PUB drops what a
slow or absent subscriber does not take, as PUB does, but waits at the start until the first one has subscribed. With
one endpoint messages in ZeroMQ's hands survive a reconnect; with several, none is queued for a peer that is away.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import zmq
from msgspec import Meta, Struct

from rutta import formats
from rutta.errors import Retry
from rutta.formats import Format
from rutta.link import discovery, wire
from rutta.link.wire import Wire
from rutta.message import Batch, Columns
from rutta.settings import Duration, default
from rutta.targets import DELIVERED, Gathering, Lost, Outcome

BATCH: Final = Gathering()
EXAMPLE: Final[Mapping[str, Any]] = {"pushTo": "127.0.0.1:5556"}
AT_ONCE: Final = 1000  # messages, before others get their turn on the loop
PATIENCE: Final = 1.0  # seconds without room after which the rest is tried again later
FIRST_SUBSCRIBER: Final = 2.0  # seconds that the first send of a PUB waits for somebody to hear it

Endpoints = str | list[str]


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of plain PUSH or PUB: one of pushTo and publishTo."""

    push_to: Annotated[
        Endpoints | None, Meta(description="PULL sockets to share the messages: host:port, or a list")
    ] = None
    publish_to: Annotated[
        Endpoints | None, Meta(description="SUB or XSUB sockets that get every message: host:port, or a list")
    ] = None
    codec: Annotated[formats.Word, Meta(description="what a message is written as")] = "json"
    per_message: Annotated[
        Literal["Event", "Batch"], Meta(description="one event a message, or all lines of a batch in one")
    ] = "Event"
    high_water_mark: Annotated[int, Meta(ge=1, description="messages that may wait in ZeroMQ for one peer")] = 1000
    linger: Annotated[Duration, Meta(description="how long the end waits for what is still in ZeroMQ")] = default(
        Duration, "5s"
    )
    heartbeat: Annotated[Duration, Meta(description="time between the pings of the transport")] = default(
        Duration, "5s"
    )

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        if (self.push_to is None) == (self.publish_to is None):
            raise ValueError("a shipper needs either pushTo or publishTo")
        if not self.endpoints:
            raise ValueError("pushTo and publishTo need at least one endpoint")
        for endpoint in self.endpoints:
            discovery.parse(endpoint)

    @property
    def endpoints(self) -> list[str]:
        """Whom to connect to."""
        given = self.push_to or self.publish_to or []
        return given.split(",") if isinstance(given, str) else given


def make(config: Config, name: str) -> "Shipper":
    """Build the target."""
    return Shipper(config, name)


class Shipper:
    """Owns one socket from ``open`` to ``close``."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch no network."""
        self._config = config
        self._format = Format(config.codec)
        self._pub = config.publish_to is not None
        self._endpoints = [discovery.endpoint(*discovery.parse(one)) for one in config.endpoints]
        self._wire: Wire | None = None
        self._room = asyncio.Event()
        self._heard = asyncio.Event()
        self._messages = 0

    @property
    def columns(self) -> Columns:
        """What the format reads."""
        return formats.columns_of(self._format)

    async def open(self) -> None:
        """Connect; the peers need not be there yet."""
        config = self._config
        wire.acquire()
        settings = wire.options(
            heartbeat=config.heartbeat, send=config.high_water_mark, receive=0, largest=1024, ipv6=True
        )
        socket = wire.open_socket(zmq.XPUB if self._pub else zmq.PUSH, settings)
        if not self._pub and len(self._endpoints) > 1:
            socket.setsockopt(zmq.IMMEDIATE, 1)
        for endpoint in self._endpoints:
            socket.connect(endpoint)
        self._wire = Wire(socket, self._wake)

    def _wake(self) -> bool:
        events = 0 if self._wire is None else int(self._wire.socket.getsockopt(zmq.EVENTS))
        if events & zmq.POLLOUT:
            self._room.set()
        if self._pub and self._wire is not None:
            while (frames := self._wire.receive()) is not None:
                if frames[0][:1] == b"\x01":
                    self._heard.set()
        return False

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Hand the events to ZeroMQ; when it takes no more, the rest is tried again later."""
        opened = self._wire
        if opened is None:
            raise Retry("the shipper is not open")
        if self._pub:
            await _within(FIRST_SUBSCRIBER, self._heard)
            self._heard.set()  # waited once is enough: nobody may ever subscribe
        for at, batch in enumerate(batches):
            sent = await self._send_one(opened, batch)
            if sent is not None:
                return self._left(batches, at, sent)
        return DELIVERED

    async def _send_one(self, opened: Wire, batch: Batch) -> int | None:
        """Send a batch; None when all of it is sent, else how many of its events."""
        if self._config.per_message == "Batch":
            return None if await self._send_message(opened, formats.encode(batch, self._format)) else 0
        send = opened.socket.send
        at = 0
        messages = formats.encode_lines(batch, self._format)
        while at < len(messages):
            try:
                for message in messages[at : at + AT_ONCE]:
                    send(message, zmq.NOBLOCK)
                    at += 1
                    self._messages += 1
            except zmq.Again:
                if not await self._send_message(opened, messages[at]):
                    return at
                at += 1
            opened.look_again()
            await asyncio.sleep(0)
        return None

    async def _send_message(self, opened: Wire, message: bytes) -> bool:
        """Send one message, waiting for room as long as patience lasts."""
        self._room.clear()
        if not opened.send((message,)):
            opened.look_again()
            await _within(PATIENCE, self._room)
            if not opened.send((message,)):
                return False
        self._messages += 1
        return True

    def _left(self, batches: Sequence[Batch], at: int, sent: int) -> Outcome:
        reason = f"no peer of {', '.join(self._endpoints)} takes messages"
        if at == 0 and sent == 0:
            raise Retry(reason)
        rest = [Lost(at, row, reason) for row in range(sent, len(batches[at]))]
        later = range(at + 1, len(batches))
        return Outcome(retry=rest + [Lost(one, row, reason) for one in later for row in range(len(batches[one]))])

    async def close(self) -> None:
        """Close; what ZeroMQ still holds is sent for ``linger`` at most. Harmless when it was never opened."""
        if self._wire is not None:
            self._wire.close(round(self._config.linger * 1000))
            self._wire = None
            await wire.release()

    def status(self) -> Mapping[str, Any]:
        """Endpoints and counters."""
        return {"endpoints": list(self._endpoints), "messages": self._messages}


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, but not for ever."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return

"""The frames of our links and their encoding; no I/O. ``docs/protocol.md`` describes them with test vectors.

A message is one ZeroMQ frame, a msgpack array whose first item tells the kind; a block has a second frame, its
payload. Later versions may append items, which are ignored here; another first version is refused in words.
"""

import array
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from rutta.message import Origin

VERSION: Final = 1
HOP_LIMIT: Final = 9  # links that a block may pass: to the first proxy, and on from each of eight

AT_MOST_ONCE: Final = "AtMostOnce"
AT_LEAST_ONCE: Final = "AtLeastOnce"
Delivery = Literal["AtMostOnce", "AtLeastOnce"]
Pattern = Literal["Balance", "Broadcast"]

Frames = tuple[bytes, ...]
"""A message as it is handed to ZeroMQ: the header, and for a block its payload."""


class Hello(Struct, array_like=True, tag=1, frozen=True):
    """A sender asks for a session. ``link`` names it for its life, ``epoch`` counts its sessions."""

    version: int
    link: bytes
    epoch: int
    name: str
    heartbeat: int  # milliseconds between its pings


class Welcome(Struct, array_like=True, tag=2, frozen=True):
    """The receiver's answer: ``session`` is in every later message, ``delivery`` is what it promises."""

    version: int
    epoch: int
    session: bytes
    delivery: Delivery
    name: str


class Data(Struct, array_like=True, tag=3, frozen=True):
    """A block; its payload is the second frame. ``session`` is the sender's link id in Broadcast."""

    session: bytes
    sequence: int  # counts the blocks of a session from 1
    codec: str
    count: int  # events
    hop: int  # links passed, this one included
    received: int  # ns since 1970 at the first listener
    maker: bytes
    number: int  # with ``maker``: the origin
    context: Mapping[str, Any] | None
    times: bytes | None  # signed 64-bit little-endian ns, one a line


class Ack(Struct, array_like=True, tag=4, frozen=True):
    """What the receiver has, and how much it takes; counted from the session's start, so repeats are harmless."""

    session: bytes
    ping: int  # the newest ping seen
    taken: int  # every block up to this one has come
    done: int  # every block up to this one is done
    also: Sequence[int]  # ranges above it that are done too: first, last, first, last, …
    blocks: int  # so many blocks may have been sent
    size: int  # and so many payload bytes (the last block may exceed it)


class Ping(Struct, array_like=True, tag=5, frozen=True):
    """A sign of life that asks for an ``Ack``. ``sequence`` is the last block sent."""

    session: bytes
    number: int
    sequence: int


class Leave(Struct, array_like=True, tag=6, frozen=True):
    """From a receiver: send nothing new. From a sender: all is acknowledged, or given up; the session is over."""

    session: bytes


class Refuse(Struct, array_like=True, tag=7, frozen=True):
    """What came cannot be served. ``code``: version, session, credit or frame; ``text`` says it to people."""

    session: bytes
    code: str
    text: str


Message = Hello | Welcome | Data | Ack | Ping | Leave | Refuse

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Message)

encode: Final = _encoder.encode


def decode(header: bytes) -> Message | None:
    """Read a header; None for what is none, or of a kind that this version does not know."""
    try:
        message: Message = _decoder.decode(header)
    except (msgspec.DecodeError, RecursionError):
        return None
    return message


def pack_times(times: Sequence[int] | None) -> bytes | None:
    """Pack the lines' times as the wire has them."""
    if times is None:
        return None
    packed = array.array("q", times)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_times(packed: bytes | None, count: int) -> Sequence[int] | None:
    """Unpack the lines' times; None when there are none, or not one a line."""
    if packed is None or len(packed) != 8 * count:
        return None
    times = array.array("q", packed)
    if sys.byteorder == "big":
        times.byteswap()
    return times


class Parcel:
    """A block on its way: what does not change when it is sent again, or to another peer."""

    __slots__ = ("codec", "context", "count", "hop", "origin", "payload", "received", "times", "waiter")

    def __init__(
        self,
        payload: bytes,
        *,
        codec: str,
        count: int,
        hop: int,
        origin: Origin,
        received: int,
        context: Mapping[str, Any] | None = None,
        times: bytes | None = None,
    ) -> None:
        """``times`` are packed; ``waiter`` belongs to whoever wants to know what became of it."""
        self.payload = payload
        self.codec = codec
        self.count = count
        self.hop = hop
        self.origin = origin
        self.received = received
        self.context = context
        self.times = times
        self.waiter: Any = None

    def frames(self, session: bytes, sequence: int) -> Frames:
        """Write it as one message of a session."""
        maker, number = self.origin
        header = Data(
            session, sequence, self.codec, self.count, self.hop, self.received, maker, number, self.context, self.times
        )
        return encode(header), self.payload

    @classmethod
    def of(cls, header: Data, payload: bytes) -> "Parcel":
        """Read it from a message."""
        return cls(
            payload,
            codec=header.codec,
            count=header.count,
            hop=header.hop,
            origin=Origin(header.maker, header.number),
            received=header.received,
            context=header.context,
            times=header.times,
        )

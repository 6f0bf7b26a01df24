"""Frames and methods as bytes, no I/O. Numbers of methods are (class, method) as in the specification."""

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
END: Final = b"\xce"
GREETING: Final = b"AMQP\0\0\x09\x01"

START, START_OK = (10, 10), (10, 11)
TUNE, TUNE_OK = (10, 30), (10, 31)
OPEN, OPEN_OK = (10, 40), (10, 41)
CLOSE, CLOSE_OK = (10, 50), (10, 51)
BLOCKED, UNBLOCKED = (10, 60), (10, 61)
CHANNEL_OPEN, CHANNEL_OPEN_OK = (20, 10), (20, 11)
CHANNEL_CLOSE, CHANNEL_CLOSE_OK = (20, 40), (20, 41)
DECLARE, DECLARE_OK = (40, 10), (40, 11)
PUBLISH, RETURN = (60, 40), (60, 50)
ACK, NACK = (60, 80), (60, 120)
SELECT, SELECT_OK = (85, 10), (85, 11)

_FRAME: Final = struct.Struct(">BHI")
_HEADER: Final = struct.Struct(">HHQH")
# Bits of a content header's properties, in the order in which they are written (specification §4.2.6.1).
_TYPE, _ENCODING, _HEADERS, _MODE, _ID, _TIME, _KIND, _APP = (1 << bit for bit in (15, 14, 13, 12, 7, 6, 5, 3))


class Properties(NamedTuple):
    """What messages of one target have in common: the properties before and after an event's own, encoded."""

    flags: int
    before: bytes
    after: bytes


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Write one frame."""
    return _FRAME.pack(kind, channel, len(payload)) + payload + END


def method(channel: int, number: tuple[int, int], arguments: bytes = b"") -> bytes:
    """Write a method frame."""
    return frame(METHOD, channel, struct.pack(">HH", *number) + arguments)


def short(text: str) -> bytes:
    """Write a short string: at most 255 bytes, cut at a character."""
    data = text.encode(errors="replace")
    if len(data) > 255:
        data = data[:255].decode(errors="ignore").encode()
    return bytes((len(data),)) + data


def long(data: bytes) -> bytes:
    """Write a long string."""
    return struct.pack(">I", len(data)) + data


def table(values: Mapping[str, str | bool | Mapping[str, bool]]) -> bytes:
    """Write a field table of texts, booleans and tables of these."""
    found = b""
    for key, value in values.items():
        found += short(key)
        if isinstance(value, bool):
            found += b"t" + bytes((value,))
        elif isinstance(value, str):
            found += b"S" + long(value.encode())
        else:
            found += b"F" + table(value)
    return long(found)


def properties(
    *, content_type: str, encoding: str, headers: Mapping[str, str], is_persistent: bool, app_id: str
) -> Properties:
    """Encode what messages have in common; each adds message id, time and type."""
    flags, before = _TYPE | _MODE | _ID | _TIME | _KIND, short(content_type)
    if encoding:
        flags, before = flags | _ENCODING, before + short(encoding)
    if headers:
        flags, before = flags | _HEADERS, before + table(headers)
    before += b"\2" if is_persistent else b"\1"
    return Properties(flags | _APP, before, short(app_id))


def publish(
    exchange: bytes, key: bytes, own: bytes, body: bytes, *, flags: int, largest: int, mandatory: bool
) -> bytes:
    """Write the frames of one message on channel 1; ``exchange`` and ``key`` are short strings, ``largest`` a frame."""
    asked = b"\0\x3c\0\x28\0\0" + exchange + key + (b"\1" if mandatory else b"\0")
    head = _HEADER.pack(60, 0, len(body), flags) + own
    frames = _FRAME.pack(METHOD, 1, len(asked)) + asked + END + _FRAME.pack(HEADER, 1, len(head)) + head + END
    room = largest - 8
    if len(body) <= room:
        return frames + _FRAME.pack(BODY, 1, len(body)) + body + END if body else frames
    return frames + b"".join(frame(BODY, 1, body[at : at + room]) for at in range(0, len(body), room))


class Reader:
    """Takes arguments off a method's bytes, in order; ``struct.error`` or ``IndexError`` if they are not there."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        """Begin at a place."""
        self._data, self._at = data, at

    def number(self, form: str) -> int:
        """Take a number of a ``struct`` form."""
        found: int = struct.unpack_from(">" + form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return found

    def short(self) -> str:
        """Take a short string."""
        size = self._data[self._at]
        self._at += 1 + size
        return self._data[self._at - size : self._at].decode(errors="replace")

    def long(self) -> bytes:
        """Take a long string, or skip a table."""
        size = self.number("I")
        self._at += size
        return self._data[self._at - size : self._at]


def message_id(header: bytes) -> bytes:
    """Return the message id in the content header of a message that was ours."""
    flags = Reader(header, 12).number("H")
    reader = Reader(header, 14)
    reader.short()
    if flags & _ENCODING:
        reader.short()
    if flags & _HEADERS:
        reader.long()
    reader.number("B")
    return reader.short().encode()

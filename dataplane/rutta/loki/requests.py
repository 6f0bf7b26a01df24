"""Requests of the push API: protobuf, packed by snappy, or JSON.

https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs and pkg/push/push.proto of Loki. An entry is
written once, whatever becomes of its request.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

import cramjam
import msgspec

from rutta.loki.streams import Stream
from rutta.net import http_client
from rutta.net.protobuf import NUMBER, SMALL, field, length, tag_of, varint

Word = Literal["Protobuf", "Json"]
Pairs = tuple[tuple[str, str], ...]

_STREAM, _LABELS, _ENTRY = tag_of(1), tag_of(1), tag_of(2)
_TIME, _LINE, _METADATA = tag_of(1), tag_of(2), tag_of(3)
_SECONDS, _NANOS = tag_of(1, NUMBER), tag_of(2, NUMBER)
_NAME, _VALUE = tag_of(1), tag_of(2)
_encode: Final = msgspec.json.Encoder().encode


class Entry(NamedTuple):
    """An event as an entry of a stream: time (ns), line and structured metadata; ``data`` is all of it, written."""

    stream: Stream
    time: int
    line: bytes
    metadata: Pairs
    data: bytes


class Writer(Protocol):
    """Writes entries and requests. ``headers`` are those of a request."""

    headers: Mapping[str, str]

    def entry(self, time: int, line: bytes, metadata: Pairs) -> bytes:
        """Write an entry; ``line`` is UTF-8."""

    async def body(self, entries: Iterable[Entry]) -> tuple[bytes, Mapping[str, str]]:
        """Put entries together and pack them; also returns the headers of that."""


def by_stream(entries: Iterable[Entry]) -> dict[Stream, list[bytes]]:
    """Sort written entries by their streams; the order within each stays."""
    found: dict[Stream, list[bytes]] = {}
    for entry in entries:
        if entry.stream in found:
            found[entry.stream].append(entry.data)
        else:
            found[entry.stream] = [entry.data]
    return found


class Protobuf:
    """A ``logproto.PushRequest``; snappy is not a choice there."""

    headers: Mapping[str, str] = {"Content-Type": "application/x-protobuf"}

    def entry(self, time: int, line: bytes, metadata: Pairs) -> bytes:
        """Write an ``EntryAdapter`` as a field of its stream."""
        stamp, size = _timestamp(time), len(line)
        short = SMALL[size] if size < 1 << 14 else varint(size)
        extra = b"".join([_pair(name, value) for name, value in metadata]) if metadata else b""
        whole = len(stamp) + len(short) + size + len(extra) + 1
        return b"".join((_ENTRY, length(whole), stamp, _LINE, short, line, extra))

    async def body(self, entries: Iterable[Entry]) -> tuple[bytes, Mapping[str, str]]:
        """Put streams together."""
        streams = by_stream(entries).items()
        message = [field(_STREAM, field(_LABELS, stream.text.encode()) + b"".join(own)) for stream, own in streams]
        return bytes(cramjam.snappy.compress_raw(b"".join(message))), {}


@functools.lru_cache(maxsize=4096)
def _timestamp(time: int) -> bytes:
    seconds, nanos = divmod(time, 10**9)
    return field(_TIME, _second(seconds) + (_NANOS + varint(nanos) if nanos else b""))


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> bytes:
    return _SECONDS + varint(seconds)


@functools.lru_cache(maxsize=4096)
def _pair(name: str, value: str) -> bytes:
    inner = field(_NAME, name.encode()) + field(_VALUE, value.encode(errors="replace"))
    return field(_METADATA, inner)


class Json:
    """The JSON form, ``gzip`` or as it is."""

    headers: Mapping[str, str] = {"Content-Type": http_client.JSON}

    def __init__(self, compression: str) -> None:
        """``compression`` is ``Gzip`` or ``None``."""
        self._compression = compression

    def entry(self, time: int, line: bytes, metadata: Pairs) -> bytes:
        """Write one of a stream's ``values``."""
        value: list[Any] = [str(time), line.decode()]
        return _encode([*value, dict(metadata)] if metadata else value)

    async def body(self, entries: Iterable[Entry]) -> tuple[bytes, Mapping[str, str]]:
        """Put streams together."""
        streams = [
            b'{"stream":' + stream.object + b',"values":[' + b",".join(own) + b"]}"
            for stream, own in by_stream(entries).items()
        ]
        return await http_client.compressed(b'{"streams":[' + b",".join(streams) + b"]}", self._compression)


def cut(numbers: Sequence[int], entries: Sequence[Entry], most: int) -> list[Sequence[int]]:
    """Cut numbers into pieces whose entries have ``most`` bytes, but for single ones that have more."""
    pieces: list[Sequence[int]] = []
    start = size = 0
    for at, number in enumerate(numbers):
        own = len(entries[number].data)
        if size + own > most and at > start:
            pieces.append(numbers[start:at])
            start, size = at, 0
        size += own
    return [*pieces, numbers[start:]]

"""Events as Kafka records: topic, key, time, headers and value of each."""

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rutta import formats
from rutta.events.event import KINDS
from rutta.events.flat import shown
from rutta.formats import Format, parts
from rutta.message import Batch, Columns

_MS: Final = 1_000_000  # ns


Headers = list[tuple[str, str | bytes | None]] | None


Record = tuple[str, bytes, bytes | None, int, Headers]
"""Topic, value, key, time in ms (0: the time of sending), headers."""


class Shape(NamedTuple):
    """How events become records. ``key``: ``Id``, ``None``, or a column (``name``, ``fields.user``).

    ``headers`` maps a header to the same text for all, ``event_headers`` are columns. ``prefix`` stands before each
    value (a schema's number).
    """

    topic: str
    single: bool
    format: Format
    key: str
    headers: Mapping[str, str]
    event_headers: tuple[str, ...]
    prefix: bytes

    @property
    def columns(self) -> Columns:
        """What is read of an event beside what its format reads."""
        own = {"timestamp", *self.event_headers}
        if not self.single:
            own.add("kind")
        if self.key not in ("Id", "None"):
            own.add(self.key)
        return formats.columns_of(self.format) | own

    def topics(self) -> tuple[str, ...]:
        """All topics that there may be."""
        return (self.topic,) if self.single else tuple(topic_of(self.topic, kind) for kind in KINDS)


def topic_of(name: str, kind: str) -> str:
    """Name the topic of a kind, as the original: its word in lower case."""
    return f"{name}_{kind.lower()}"


def records(batch: Batch, shape: Shape) -> list[Record]:
    """Make the records of a batch, in order."""
    values: Sequence[bytes] = formats.encode_lines(batch, shape.format)
    if shape.prefix:
        values = [shape.prefix + value for value in values]
    keys, times, headers = _keys(batch, shape.key), _times(batch), _headers(batch, shape)
    return list(zip(_topics(batch, shape), values, keys, times, headers, strict=True))


def _topics(batch: Batch, shape: Shape) -> Sequence[str]:
    if shape.single:
        return [shape.topic] * len(batch)
    names = {kind: topic_of(shape.topic, kind) for kind in KINDS}
    return [names[kind] for kind in batch.rows.column("kind")]


def _times(batch: Batch) -> list[int]:
    """Times of events in ms, never in the future: a broker refuses those (``message.timestamp.after.max.ms``)."""
    now = time.time_ns()
    return [one // _MS if 0 < one < now else now // _MS if one > 0 else 0 for one in parts.times(batch)]


def _keys(batch: Batch, key: str) -> Sequence[bytes | None]:
    if key == "None":
        return [None] * len(batch)
    if key == "Id":
        return parts.ids(batch)
    return [None if value is None else shown(value).encode(errors="replace") for value in parts.column(batch, key)]


def _headers(batch: Batch, shape: Shape) -> Sequence[Headers]:
    fixed: list[tuple[str, str | bytes | None]] = [(name, text.encode()) for name, text in shape.headers.items()]
    if not shape.event_headers:
        return [fixed or None] * len(batch)
    names = [
        name.rpartition(".")[2] if name.partition(".")[0] in ("fields", "context") else name
        for name in shape.event_headers
    ]
    found = zip(*(parts.column(batch, name) for name in shape.event_headers), strict=True)
    return [
        fixed
        + [
            (name, shown(value).encode(errors="replace"))
            for name, value in zip(names, row, strict=True)
            if value is not None
        ]
        for row in found
    ]

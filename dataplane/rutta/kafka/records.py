"""Events as Kafka records: topic, key, time, headers and value of each."""

import time
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from rutta import formats
from rutta.events.complete import namer
from rutta.events.event import KINDS, LEVEL_WORDS, NO_ID
from rutta.events.flat import shown
from rutta.events.values import Mismatch, event_id
from rutta.formats import Format
from rutta.message import Batch, Columns
from rutta.rows.rows import JsonRows, PlainRows

_MS: Final = 1_000_000  # ns
_NOTHING: Final[dict[str, Any]] = {}


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
    found = batch.rows.column("timestamp")
    others: Sequence[int] = batch.times or [batch.received] * len(batch)
    times = [other if own is None else own for own, other in zip(found, others, strict=True)]
    return [one // _MS if 0 < one < now else now // _MS if one > 0 else 0 for one in times]


def _keys(batch: Batch, key: str) -> Sequence[bytes | None]:
    if key == "None":
        return [None] * len(batch)
    if key == "Id":
        return ids(batch)
    return [None if value is None else shown(value).encode(errors="replace") for value in column(batch, key)]


def column(batch: Batch, name: str) -> Sequence[Any]:
    """Return one part of every event, the block's context included; levels as words."""
    found = batch.rows.column(name)
    group, _, key = name.partition(".")
    if group == "context" and batch.context and key in batch.context:
        return [batch.context[key]] * len(found)
    return [LEVEL_WORDS[level] for level in found] if name == "level" else found


def _headers(batch: Batch, shape: Shape) -> Sequence[Headers]:
    fixed: list[tuple[str, str | bytes | None]] = [(name, text.encode()) for name, text in shape.headers.items()]
    if not shape.event_headers:
        return [fixed or None] * len(batch)
    names = [
        name.rpartition(".")[2] if name.partition(".")[0] in ("fields", "context") else name
        for name in shape.event_headers
    ]
    found = zip(*(column(batch, name) for name in shape.event_headers), strict=True)
    return [
        fixed
        + [
            (name, shown(value).encode(errors="replace"))
            for name, value in zip(names, row, strict=True)
            if value is not None
        ]
        for row in found
    ]


# --- ids ---------------------------------------------------------------------------------------------------------


class _Id(Struct, gc=False):
    id: str | UnsetType = UNSET


_id_of: Final = msgspec.json.Decoder(_Id).decode


def ids(batch: Batch) -> list[bytes]:
    """Return the events' ids in base64, as the original's keys; of lines only the id is read."""
    rows = batch.rows
    if isinstance(rows, PlainRows):
        name = namer(batch)
        return [b2a_base64(name(row), newline=False) for row in range(len(rows))]
    if isinstance(rows, JsonRows):
        return _line_ids(rows.lines(), namer(batch), lambda row: formats.events(batch)[row].id)
    return [b2a_base64(event.id, newline=False) for event in formats.events(batch)]


def _line_ids(lines: Sequence[bytes], name: Callable[[int], bytes], whole: Callable[[int], bytes]) -> list[bytes]:
    found: list[bytes] = []
    for row, line in enumerate(lines):
        try:
            text = _id_of(line).id
            if text is not UNSET and len(text) == 32 and len(id_ := bytes.fromhex(text)) == 16 and any(id_):
                found.append(b2a_base64(id_, newline=False))
                continue
            id_ = (NO_ID if text is UNSET or not text else event_id(text)) or name(row)
        except (ValueError, Mismatch, RecursionError):
            id_ = whole(row)
        found.append(b2a_base64(id_, newline=False))
    return found

"""Events to entries: which stream, at what time, with which structured metadata.

Only the parts that are labels or metadata are read of an event; its line is what the format makes of it. Two entries
of a stream that are alike to the nanosecond are one to Loki, which is why sending again does no harm. So events of a
block that have no time of their own get times that differ: that of receipt, and a nanosecond more for each line.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from rutta import formats
from rutta.events import correlation, flat
from rutta.events.event import LEVEL_WORDS, Event
from rutta.events.values import Mismatch, event_id, span_id
from rutta.formats import parts
from rutta.loki.requests import Entry, Pairs, Writer
from rutta.loki.streams import Streams, name_of
from rutta.message import EVERYTHING, Batch, Columns
from rutta.rows.rows import JsonRows, PlainRows

TRACE, SPAN, ALL = "traceId", "spanId", "*"
PATTERN: Final = r"^(name|level|kind|(fields|context)\..+)$"
METADATA_PATTERN: Final = r"^(traceId|spanId|name|level|kind|\*|(fields|context)\..+)$"
Codec = Literal["ndjson", "json", "logfmt", "plain"]

# Limits: https://grafana.com/docs/loki/latest/configure/#limits_config (max_structured_metadata_…)
_MOST: Final = 127  # entries' metadata by default: 128, one of which Loki adds itself (detected_level)
_LARGEST: Final = 60_000  # bytes, of 64 KiB

_SERVICES: Final = tuple(f"context.{key}" for key in ("service", "serviceName", "service.name", "service_name"))
_IDS: Final = {  # keys, how to read one, the name, and what is in all keys
    TRACE: (correlation.TRACE_KEYS, event_id, "trace_id", "trace"),
    SPAN: (correlation.SPAN_KEYS, span_id, "span_id", "span"),
}
_GROUPS: Final = ("fields", "context")


class Rules(NamedTuple):
    """What is configurable: parts that are labels, parts that are metadata, what the line is."""

    labels: Sequence[str]
    metadata: Sequence[str]
    codec: Codec


def named(part: str) -> str:
    """Name a part of an event as a label or metadata: the key alone; the logger's name is ``logger``."""
    group, _, key = part.partition(".")
    if group in _IDS:
        return _IDS[group][2]
    return "logger" if part == "name" else name_of(key or group)


def columns(rules: Rules) -> Columns:
    """Tell what is read of an event beside its line."""
    found = {"timestamp", *_SERVICES, *rules.labels}
    for part in rules.metadata:
        if part == ALL:
            return EVERYTHING
        found |= set(_id_columns(part)) | {"kind"} if part in _IDS else {part}
    return formats.columns_of(formats.Format(rules.codec)) | found


def _id_columns(part: str) -> list[str]:
    return [f"{group}.{key}" for group in _GROUPS for key in _IDS[part][0]]


class Entries:
    """Makes entries of batches."""

    def __init__(self, rules: Rules, streams: Streams, writer: Writer) -> None:
        """``streams`` takes the service and then the values of ``rules.labels``."""
        self._rules = rules
        self._streams = streams
        self._writer = writer
        self._format = formats.Format(rules.codec)
        self._parts = [part for part in rules.metadata if part != ALL]
        self._names = [named(part) for part in self._parts]

    def of(self, batch: Batch) -> Iterator[Entry]:
        """Yield the entry of each event."""
        lines = [_utf8(line) for line in formats.encode_lines(batch, self._format)]
        look = Look(batch)
        labels = [look.first(_SERVICES, "service"), *map(look.column, self._rules.labels)]
        write, stream = self._writer.entry, self._streams.of
        all_of = zip(_times(batch), lines, _together(labels, len(batch)), self._metadata(look), strict=True)
        for time, line, values, metadata in all_of:
            yield Entry(stream(values), time, line, metadata, write(time, line, metadata))

    def _metadata(self, look: "Look") -> Sequence[Pairs]:
        batch = look.batch
        if ALL in self._rules.metadata:
            return [_everything(event) for event in formats.events(batch)]
        found = [(name, _part(look, part)) for name, part in zip(self._names, self._parts, strict=True)]
        known = [(name, column) for name, column in found if column is not None]
        if not known:
            return [()] * len(batch)
        names = [name for name, _ in known]
        rows = zip(*(column for _, column in known), strict=True)
        return [
            tuple(
                [(name, flat.shown(value)) for name, value in zip(names, row, strict=True) if value not in (None, "")]
            )
            for row in rows
        ]


def _times(batch: Batch) -> Sequence[int]:
    if batch.times is not None:
        return parts.times(batch)
    found, received, numbers = batch.rows.column("timestamp"), batch.received, batch.numbers
    return [received + numbers[row] if own is None else own for row, own in enumerate(found)]


def _utf8(line: bytes) -> bytes:
    if line.isascii():
        return line
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode(errors="replace").encode()
    return line


def _together(found: Sequence[Sequence[Any] | None], count: int) -> Iterator[tuple[Any, ...]]:
    nothing: Sequence[Any] = [None] * count
    return zip(*(nothing if column is None else column for column in found), strict=True)


# --- columns, of which most are not there -----------------------------------------------------------------------


class Look:
    """One batch; a look at its bytes tells which keys none of its events has, and spares reading every row for them."""

    def __init__(self, batch: Batch) -> None:
        """Lines that spell a character with an escape may spell a key so: of these nothing is known."""
        self.batch = batch
        rows = batch.rows
        self._payload = rows.payload() if type(rows) is JsonRows else None
        self._unsure = not isinstance(rows, PlainRows)
        if self._payload is not None:
            self._unsure = b"\\u00" in self._payload
        self._known: dict[str, bool] = {}

    def may_have(self, word: str) -> bool:
        """Whether the word may be in an event."""
        if self._unsure or self._payload is None:
            return self._unsure
        if word not in self._known:
            escaped = not word.isascii() and b"\\u" in self._payload
            self._known[word] = escaped or word.encode() in self._payload
        return self._known[word]

    def column(self, part: str) -> Sequence[Any] | None:
        """Return one part of every event, None if none has it."""
        group, _, key = part.partition(".")
        if group in _GROUPS and not (group == "context" and self.is_given(key)) and not self.may_have(key):
            return None
        found: Sequence[Any] = parts.column(self.batch, part)
        return found

    def is_given(self, key: str) -> bool:
        """Whether the block's context has the key."""
        return key in (self.batch.context or {})

    def first(self, names: Sequence[str], stem: str) -> Sequence[Any] | None:
        """Return the first of several parts that an event has; ``stem`` is in the keys of all."""
        keys = (name.partition(".")[2] for name in names)
        if not self.may_have(stem) and not any(map(self.is_given, keys)):
            return None
        found = [column for column in map(self.column, names) if column is not None]
        if len(found) < 2:
            return found[0] if found else None
        return [next((one for one in row if one is not None), None) for row in zip(*found, strict=True)]


def _part(look: Look, part: str) -> Sequence[Any] | None:
    return _ids(look, part) if part in _IDS else look.column(part)


def _ids(look: Look, part: str) -> Sequence[Any] | None:
    """Return ids of traces or spans in hex; of spans and of what names its parent span from the whole event."""
    batch = look.batch
    has_spans = look.may_have("span") and "span" in batch.rows.column("kind")
    if has_spans or look.may_have("parentSpanId"):
        return [_own_ids(event)[part] for event in formats.events(batch)]
    _, read, _, stem = _IDS[part]
    found = look.first(_id_columns(part), stem)
    return None if found is None else [None if value is None else _hex(value, read) for value in found]


def _hex(value: Any, read: Any) -> str | None:
    try:
        return read(value).hex() or None
    except Mismatch:
        return None


def _own_ids(event: Event) -> dict[str, str]:
    trace, span = correlation.take(event, {**event.context, **event.fields})
    if event.span is not None:
        trace, span = event.span.trace_id or trace, event.span.span_id or span
    return {TRACE: trace.hex(), SPAN: span.hex()}


def _everything(event: Event) -> Pairs:
    """Name all that an event has, as much as Loki takes; the line has it whole."""
    ids = {name: _own_ids(event)[part] for part, (_, _, name, _) in _IDS.items()}
    own = {"logger": event.name, "kind": event.kind, "level": LEVEL_WORDS[event.level], **ids}
    found = {name: value for name, value in own.items() if value}
    for key, value in flat.texts(event).items():
        found.setdefault(name_of(key), value)
    kept: list[tuple[str, str]] = []
    left = _LARGEST
    for name, value in found.items():
        left -= len(name) + len(value.encode(errors="replace"))
        if left < 0 or len(kept) == _MOST:
            break
        kept.append((name, value))
    return tuple(kept)

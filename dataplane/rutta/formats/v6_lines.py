"""Batches to lines of the v6 form (format ``json``), fast for what already has nearly this form.

An event of v6 with no keys but the schema's own and the schema's types is not taken apart: a struct holds ``fields``
and ``context`` as the text they came as, and only its id, level and times are put right. Any other goes by ``Event``.
"""

import io
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from rutta.events.complete import completer, derived_ids, namer
from rutta.events.event import DEBUG, LEVEL_WORDS, NO_ID
from rutta.events.json_text import REFUSED
from rutta.events.render import Wire, base64, moment, wire
from rutta.events.timestamps import NANOSECONDS
from rutta.events.v6_events import Level, Nanoseconds
from rutta.events.values import Mismatch, event_id
from rutta.formats import lenient_lines
from rutta.message import Batch
from rutta.rows.columns import CHUNK, or_none, whole
from rutta.rows.mixed import MixedRows, apart
from rutta.rows.rows import JsonRows, PlainRows, join_lines, split_lines

_JSON: Final = msgspec.json.Encoder()
_EMPTY: Final = Raw(b"{}")
_BRACE: Final = ord("{")
_TYPE: Final = b'"type"'  # without it a line is not of the common form, unless it is spelled with escapes
_WORDS: Final[dict[Any, str]] = {word: word for word in LEVEL_WORDS} | dict(enumerate(LEVEL_WORDS))


class _Line(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, gc=False):
    """An event of the common form, its keys in the order in which they are written."""

    type: Literal["event"]
    id: str = ""
    name: str | list[str] = ""
    level: Level = DEBUG
    received: Nanoseconds | UnsetType = UNSET
    timestamp: Nanoseconds | UnsetType = UNSET
    context: Raw = _EMPTY
    fields: Raw = _EMPTY
    gauges: Raw = _EMPTY
    event: str


_decode = msgspec.json.Decoder(_Line).decode
_every_key = msgspec.json.Decoder(dict[str, Raw]).decode


def encode(batch: Batch) -> bytes:
    """Write a batch as lines of the v6 form, with the block's context, times and ids."""
    rows = batch.rows
    if isinstance(rows, MixedRows):
        plain, objects = (split_lines(encode(part)) for part in apart(batch, rows))
        return join_lines(rows.weave(plain, objects))
    if isinstance(rows, PlainRows):
        return _JSON.encode_lines(_of_texts(batch, rows))
    if isinstance(rows, JsonRows):
        return _of_lines(batch, rows)
    return _JSON.encode_lines(list(map(wire, map(completer(batch), range(len(rows)), rows.events()))))


def _of_texts(batch: Batch, rows: PlainRows) -> list[Wire]:
    received, context = batch.received, Raw(_JSON.encode(batch.context or {}))
    times: Sequence[int | str] = batch.times or [received] * len(rows)
    if batch.times and min(batch.times) < NANOSECONDS:
        times = [moment(time) for time in batch.times]
    return [
        Wire("event", id_, UNSET, "", "debug", received, time, context, event=text)
        for id_, time, text in zip(derived_ids(batch), times, rows.texts(), strict=True)
    ]


def _of_lines(batch: Batch, rows: JsonRows) -> bytes:
    """Write lines, a few at a time: decoded and encoded while they are in the processor's cache."""
    source, start, parts = io.BytesIO(rows.payload()), 0, []
    other = _others(batch)
    while lines := source.readlines(CHUNK):
        try:
            found: list[Any] = list(map(_decode, lines))
        except REFUSED:
            found = [or_none(_decode, line) if _TYPE in line else None for line in lines]
        _set_ids(batch, found, start)
        _set_rest(batch, found, start)
        if None in found:
            for row, line in enumerate(found):
                if line is None:
                    found[row] = other(start + row, lines[row])
        parts.append(_JSON.encode_lines(found))
        start += len(lines)
    return b"".join(parts)


def _others(batch: Batch) -> Callable[[int, bytes], Wire]:
    """Return a function that writes a line of another form: of nobody's schema, or one that has to be taken apart."""
    complete, name, times, received = completer(batch), namer(batch), batch.times, batch.received
    context = Raw(_JSON.encode(batch.context or {}))

    def write(row: int, line: bytes) -> Wire:
        out = lenient_lines.read(line)
        if out is None:
            return wire(complete(row, whole(line)))
        out.id, out.received, out.context = name(row), received, context
        if out.timestamp is UNSET:
            out.timestamp = moment(received if times is None else times[row])
        return out

    return write


def _set_ids(batch: Batch, found: list[Any], start: int) -> None:
    """Write the ids in base64, derived where there are none; a line whose id is none becomes ``None``."""
    name = namer(batch)
    for row, line in enumerate(found):
        if line is None:
            continue
        text = line.id
        try:
            if len(text) == 32 and len(id_ := bytes.fromhex(text)) == 16:  # the usual form
                line.id = str(b2a_base64(id_ if any(id_) else name(start + row), newline=False), "ascii")
                continue
        except ValueError:
            pass
        try:
            line.id = base64((event_id(text) if text else NO_ID) or name(start + row))
        except Mismatch:
            found[row] = None


def _set_rest(batch: Batch, found: list[Any], start: int) -> None:
    """Complete the lines in place; one that has no object where the schema wants one becomes ``None``."""
    times, received, context = batch.times, batch.received, batch.context
    for row, line in enumerate(found):
        if line is None:
            continue
        own, fields, gauges = line.context, line.fields, line.gauges
        if (
            (fields is not _EMPTY and bytes(fields)[0] != _BRACE)
            or (own is not _EMPTY and bytes(own)[0] != _BRACE)
            or (gauges is not _EMPTY and bytes(gauges) != b"{}")
        ):
            found[row] = None
            continue
        line.level = _WORDS[line.level]
        if isinstance(line.name, list):
            line.name = ".".join(line.name)
        if line.received is UNSET:
            line.received = received
        if line.timestamp is UNSET:
            line.timestamp = received if times is None else moment(times[start + row])
        if context:
            line.context = _merged(context, own)


def _merged(context: Mapping[str, Any], own: Any) -> Raw:
    return Raw(_JSON.encode({**context, **_every_key(own), **context}))

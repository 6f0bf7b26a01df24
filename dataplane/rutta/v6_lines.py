"""Batches to lines of the v6 form (format ``json``), fast for what already has nearly this form.

An event of v6 with no keys but the schema's own and the schema's types is not taken apart: a struct holds ``fields``
and ``context`` as the text they came as, and only its id, level and times are put right. Any other goes by ``Event``.
"""

import io
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from rutta.columns import or_none, whole
from rutta.complete import completer, namer
from rutta.event import DEBUG, LEVEL_WORDS
from rutta.json_text import REFUSED
from rutta.message import Batch
from rutta.mixed import MixedRows, apart
from rutta.render import Wire, moment, wire
from rutta.rows import JsonRows, PlainRows, join_lines, split_lines
from rutta.v6_events import Level, Nanoseconds
from rutta.values import Mismatch, event_id

_JSON: Final = msgspec.json.Encoder()
_EMPTY: Final = Raw(b"{}")
_BRACE: Final = ord("{")
_WORDS: Final[dict[Any, str]] = {word: word for word in LEVEL_WORDS} | dict(enumerate(LEVEL_WORDS))


class _Line(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, gc=False):
    """An event of the common form, its keys in the order in which they are written."""

    type: Literal["event"]
    id: str = ""
    name: str = ""
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
        return _JSON.encode_lines(_of_lines(batch, rows))
    return _JSON.encode_lines(list(map(wire, map(completer(batch), range(len(rows)), rows.events()))))


def _of_texts(batch: Batch, rows: PlainRows) -> list[Wire]:
    name, received, context = namer(batch), batch.received, batch.context or {}
    times = [moment(time) for time in batch.times] if batch.times else [received] * len(rows)
    return [
        Wire("event", _base64(name(row)), UNSET, "", "debug", received, time, context, event=text)
        for row, (time, text) in enumerate(zip(times, rows.texts(), strict=True))
    ]


def _of_lines(batch: Batch, rows: JsonRows) -> list[Any]:
    payload = rows.payload()
    try:
        found: list[Any] = list(map(_decode, io.BytesIO(payload)))
    except REFUSED:
        found = [or_none(_decode, line) for line in io.BytesIO(payload)]
    _set_ids(batch, found)
    _set_rest(batch, found)
    if None in found:
        complete, lines = completer(batch), rows.lines()
        for row, line in enumerate(found):
            if line is None:
                found[row] = wire(complete(row, whole(lines[row])))
    return found


def _set_ids(batch: Batch, found: list[Any]) -> None:
    """Write the ids in base64, derived where there are none; a line whose id is none becomes ``None``."""
    name = namer(batch)
    for row, line in enumerate(found):
        if line is None:
            continue
        text = line.id
        try:
            line.id = _base64(event_id(text) or name(row)) if text else _base64(name(row))
        except Mismatch:
            found[row] = None


def _set_rest(batch: Batch, found: list[Any]) -> None:
    """Complete the lines in place; one that has no object where the schema wants one becomes ``None``."""
    times, received, context = batch.times, batch.received, batch.context
    for row, line in enumerate(found):
        if line is None:
            continue
        if bytes(line.context)[0] != _BRACE or bytes(line.fields)[0] != _BRACE or bytes(line.gauges) != b"{}":
            found[row] = None
            continue
        line.level = _WORDS[line.level]
        if line.received is UNSET:
            line.received = received
        if line.timestamp is UNSET:
            line.timestamp = received if times is None else moment(times[row])
        if context:
            line.context = _merged(context, line.context)


def _merged(context: Mapping[str, Any], own: Any) -> Raw:
    return Raw(_JSON.encode({**context, **_every_key(own)}))


def _base64(id_: bytes) -> str:
    return b2a_base64(id_, newline=False).decode("ascii")

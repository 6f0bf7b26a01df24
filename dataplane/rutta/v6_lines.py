"""Batches to lines of the v6 form (format ``json``), fast for what already has nearly this form.

An event of v6 with no keys but the schema's own and the schema's types is not taken apart: a struct holds ``fields``
and ``context`` as the text they came as, and only its id, level and times are put right. Any other goes by ``Event``.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from rutta.columns import or_none, whole
from rutta.complete import completer, namer
from rutta.event import DEBUG, LEVEL_WORDS
from rutta.json_text import REFUSED
from rutta.message import Batch
from rutta.mixed import MixedRows, apart
from rutta.render import Wire, wire
from rutta.rows import JsonRows, PlainRows, join_lines, split_lines
from rutta.v6_events import Level, Nanoseconds
from rutta.values import Mismatch, event_id

_JSON: Final = msgspec.json.Encoder()
_EMPTY: Final = Raw(b"{}")
_WORDS: Final[dict[Any, str]] = {word: word for word in LEVEL_WORDS} | dict(enumerate(LEVEL_WORDS))


class _Line(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, gc=False):
    """An event of the common form, its keys in the order in which they are written."""

    type: Literal["event"]
    id: str = ""
    name: str = ""
    level: Level = DEBUG
    received: Nanoseconds | UnsetType = UNSET
    timestamp: Nanoseconds | UnsetType = UNSET
    context: Raw | UnsetType = UNSET
    fields: Raw | UnsetType = UNSET
    gauges: Raw | UnsetType = UNSET
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
    times = batch.times or [received] * len(rows)
    return [
        Wire("event", _base64(name(row)), UNSET, "", "debug", received, time, context, event=text)
        for row, (time, text) in enumerate(zip(times, rows.texts(), strict=True))
    ]


def _of_lines(batch: Batch, rows: JsonRows) -> list[Any]:
    lines = rows.lines()
    try:
        found: list[Any] = list(map(_decode, lines))
    except REFUSED:
        found = [or_none(_decode, line) for line in lines]
    mend = _mender(batch)
    complete = completer(batch)
    return [
        line if line is not None and mend(row, line) else wire(complete(row, whole(lines[row])))
        for row, line in enumerate(found)
    ]


def _mender(batch: Batch) -> Callable[[int, _Line], bool]:
    """Return a function that puts a line into the v6 form, in place; false if it must go by ``Event``."""
    name, times, received, context = namer(batch), batch.times, batch.received, batch.context

    def mend(row: int, line: _Line) -> bool:
        own, fields, gauges = line.context, line.fields, line.gauges
        if own is UNSET:
            line.context = _EMPTY
        elif bytes(own)[:1] != b"{":
            return False
        if fields is UNSET:
            line.fields = _EMPTY
        elif bytes(fields)[:1] != b"{":
            return False
        if gauges is UNSET:
            line.gauges = _EMPTY
        elif bytes(gauges) != b"{}":
            return False
        try:
            line.id = _canonical(line.id) or _base64(name(row))
        except Mismatch:
            return False
        line.level = _WORDS[line.level]  # type: ignore[assignment]  # one of the words
        if line.received is UNSET:
            line.received = received
        if line.timestamp is UNSET:
            line.timestamp = received if times is None else times[row]
        if context:
            line.context = _merged(context, line.context)
        return True

    return mend


def _merged(context: Mapping[str, Any], own: Any) -> Raw:
    return Raw(_JSON.encode({**context, **_every_key(own)}))


def _base64(id_: bytes) -> str:
    return b2a_base64(id_, newline=False).decode("ascii")


def _canonical(id_: str) -> str:
    """Return an id in base64; empty for none."""
    if len(id_) == 24 and id_[-2:] == "==":
        try:
            if len(found := a2b_base64(id_)) == 16 and any(found):
                return _base64(found)
        except Base64Error:
            pass
    found = event_id(id_)
    return _base64(found) if found else ""

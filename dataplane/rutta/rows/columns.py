"""Decode of JSON events only the columns that somebody reads.

``plan`` turns the columns into a msgspec struct of just the keys they can come from (v6's, and v5's aliases); what is
not a field of it is skipped by the decoder. A row whose keys are not the usual ones (an unknown kind, a level that is
none, a span's fields) is read as a whole event, so that a column never differs from the event's.
"""

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from rutta.events import json_text, schema
from rutta.events.event import NO_TIME, Event
from rutta.message import ALL, Columns
from rutta.rows.cells import PLAIN, WEIRD, attribute, taker

RAW: Final = "raw:"  # a column word of formats.py: the named top-level keys, as they came, in this order
CHUNK: Final = 16_384  # bytes
_JSON: Final = msgspec.json.Encoder()


class Plan(NamedTuple):
    """What to decode: the struct's decoder, and per column how to take it from a struct."""

    decode: Callable[[bytes], Any]
    take: dict[str, Callable[[Any], Any]]
    raw: tuple[str, ...] | None = None


@functools.lru_cache(maxsize=256)
def plan(columns: Columns) -> Plan:
    """Make the plan of a set of columns. Whole events are decoded later, from the lines, when asked for."""
    if len(columns) == 1 and (keys := raw_keys(*columns)):
        return Plan(_raw_decoder(keys), {}, keys)
    own = sorted(column for column in columns if column in PLAIN or _is_apart(column))
    if not own or ALL in columns:
        return Plan(json_text.check, {})
    return Plan(msgspec.json.Decoder(_struct(own)).decode, {column: taker(column) for column in own})


def encode_raw(plan_: Plan, payload: bytes) -> bytes:
    """Write the keys of a plan of such a column, line by line; raises what msgspec raises for input.

    A few lines at a time: decoded and encoded while they are in the processor's cache, this is half as fast again.
    """
    source, parts = io.BytesIO(payload), []
    while lines := source.readlines(CHUNK):
        parts.append(_JSON.encode_lines(list(map(plan_.decode, lines))))
    return b"".join(parts)


def keys_of(columns: Columns) -> dict[str, tuple[str, ...]]:
    """Tell which keys are decoded: the top-level ones, and of ``fields`` and ``context`` which of theirs."""
    decoder = plan(columns)
    if decoder.raw is not None:
        return dict.fromkeys(decoder.raw, ())
    if not decoder.take:
        return {}
    own = sorted(decoder.take)
    return {key: _inside(key, own) for key in _keys(own)}


def raw_column(keys: Sequence[str]) -> str:
    """Name the column that holds these top-level keys as they came."""
    return RAW + "\0".join(keys)


def raw_keys(column: str) -> tuple[str, ...]:
    """Take the keys out of the name of such a column; none if it is not one."""
    return tuple(column.removeprefix(RAW).split("\0")) if column.startswith(RAW) else ()


def whole(line: bytes) -> Event:
    """Read one line as an event, leniently."""
    return schema.read(json_text.value(line))


def column_of(event: Event, column: str) -> Any:
    """Take one column from a whole event."""
    group, _, key = column.partition(".")
    if group == "fields" and key:
        return event.fields.get(key)
    if group == "context" and key:
        return event.context.get(key)
    if column == "timestamp":
        return None if event.timestamp == NO_TIME else event.timestamp
    return getattr(event, column) if column in PLAIN else None


def column(plan_: Plan, name: str, structs: Sequence[Any], lines: Callable[[], Sequence[bytes]]) -> list[Any]:
    """Return one column of decoded rows; ``None`` among the structs is a row that could not be decoded so."""
    take = plan_.take.get(name)
    found = [WEIRD if take is None or row is None else take(row) for row in structs]
    weird = [row for row, one in enumerate(found) if one is WEIRD]
    if weird:
        texts = lines()
        for row in weird:
            found[row] = column_of(whole(texts[row]), name)
    return found


def decode(plan_: Plan, lines: Sequence[bytes]) -> list[Any]:
    """Decode checked lines; ``None`` for a row that the struct does not fit."""
    try:
        return list(map(plan_.decode, lines))
    except json_text.REFUSED:
        return [or_none(plan_.decode, line) for line in lines]


def or_none(decode_one: Callable[[bytes], Any], line: bytes) -> Any:
    """Decode a line; ``None`` if the decoder does not take it."""
    try:
        return decode_one(line)
    except json_text.REFUSED:
        return None


# --- the struct -------------------------------------------------------------------------------------------------


def _is_apart(column: str) -> bool:
    """Tell whether a field or context value can be read without the rest of the event.

    Not under a name of the schemas, nor under one that ``values.keep`` may have made.
    """
    group, dot, key = column.partition(".")
    if not (dot and key):
        return False
    return group == "context" or (group == "fields" and key not in schema.KEYS and not key.endswith("_"))


def _keys(own: Sequence[str]) -> list[str]:
    keys: dict[str, None] = {}
    for column_ in own:
        group, _, key = column_.partition(".")
        if column_ in PLAIN:
            keys |= dict.fromkeys(("type", *PLAIN[column_][0]))
        elif group == "context":
            keys |= dict.fromkeys(("type", "context"))
        else:
            keys |= dict.fromkeys(("type", "fields", key))
    return list(keys)


def _inside(key: str, own: Sequence[str]) -> tuple[str, ...]:
    return tuple(one.partition(".")[2] for one in own if one.startswith(f"{key}."))


def _struct(own: Sequence[str]) -> type[Struct]:
    fields: list[tuple[str, Any, Any]] = []
    for key in _keys(own):
        inner = _inside(key, own) if key in ("fields", "context") else ()
        fields.append((key, _values_struct(key, inner) | UnsetType if inner else Any, UNSET))
    return _defstruct("Row", fields)


def _values_struct(name: str, keys: Sequence[str]) -> Any:
    return _defstruct(name.capitalize(), [(key, Any, UNSET) for key in keys])


def _defstruct(name: str, fields: Sequence[tuple[str, Any, Any]]) -> type[Struct]:
    """Make a struct whose keys need not be identifiers; the attribute of a key is ``attribute(key)``."""
    return msgspec.defstruct(
        name,
        [(attribute(key), kind, default) for key, kind, default in fields],
        rename={attribute(key): key for key, _, _ in fields},
        gc=False,
    )


def _raw_decoder(keys: Sequence[str]) -> Callable[[bytes], Any]:
    kind: Any = Raw | UnsetType
    return msgspec.json.Decoder(_defstruct("Raws", [(key, kind, UNSET) for key in dict.fromkeys(keys)])).decode

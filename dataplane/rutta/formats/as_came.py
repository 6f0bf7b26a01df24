"""Write events as they came (format ``ndjson``): the lines, the block's context put in, or some keys of them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from rutta.events import json_text
from rutta.events.values import keep
from rutta.formats import v6_lines
from rutta.message import Batch, Rows
from rutta.rows import columns
from rutta.rows.mixed import MixedRows, apart
from rutta.rows.rows import EventRows, JsonRows, PlainRows, join_lines, split_lines

_JSON: Final = msgspec.json.Encoder()


class _Context(Struct, gc=False):
    context: Raw | UnsetType = UNSET


_context_of = msgspec.json.Decoder(_Context).decode
_every_key = msgspec.json.Decoder(dict[str, Raw]).decode


def ndjson(batch: Batch, keys: tuple[str, ...] = ()) -> bytes:
    """Write a batch as lines of JSON; ``keys``: only these, at the top level."""
    rows = batch.rows
    if isinstance(rows, MixedRows):
        plain, objects = (split_lines(ndjson(part, keys)) for part in apart(batch, rows))
        return join_lines(rows.weave(plain, objects))
    if not _came_as_json(rows):
        whole = v6_lines.encode(batch)
        return _only(whole, keys) if keys else whole
    payload = _columns(rows, keys) if keys else rows.payload()
    if not batch.context or (keys and "context" not in keys):
        return payload
    return with_context(payload, len(rows), batch.context)


def _came_as_json(rows: Rows) -> bool:
    if isinstance(rows, EventRows):
        return rows.were_json
    return rows.codec == "json" or (isinstance(rows, JsonRows) and not isinstance(rows, PlainRows))


# --- the block's context ----------------------------------------------------------------------------------------


def with_context(payload: bytes, count: int, context: Mapping[str, Any]) -> bytes:
    """Merge a context over each event's own ``context``: what the listener saw wins over what a sender claims.

    When no line can hold such a key (spelled with escapes neither), it is put in front of the first key of all
    lines at once.
    """
    head = b'{"context":' + _JSON.encode(context) + b',"'
    if b'"context"' not in payload and (b"\\" not in payload or b"\\u00" not in payload):
        rests = payload[2:].split(b'\n{"')
        # Lines that begin otherwise (spaces, no key at all) are missing in the count.
        if payload[:2] == b'{"' and len(rests) == count:
            return head + (b"\n" + head).join(rests)
    return join_lines([_merged(line, head[:-2], context) for line in split_lines(payload)])


def _merged(line: bytes, head: bytes, context: Mapping[str, Any]) -> bytes:
    line = line.strip(json_text.SPACE)
    own = _context_of(line).context
    if own is UNSET:
        rest = line[1:].lstrip(json_text.SPACE)
        return head + (b"}" if rest == b"}" else b"," + rest)
    whole: dict[str, Any] = _every_key(line)
    text = bytes(whole.pop("context"))
    if text[:1] == b"{":
        merged = {**context, **_every_key(text), **context}
    else:
        merged = dict(context)
        if text != b"null":
            keep(whole, "context_", Raw(text))
    return _JSON.encode({"context": merged, **whole})


# --- columns ----------------------------------------------------------------------------------------------------


def _columns(rows: Rows, keys: tuple[str, ...]) -> bytes:
    """Write some keys; the codec may have done just this already (``formats.columns_of``)."""
    if isinstance(rows, JsonRows) and rows.plan is not None and rows.plan.raw == keys and rows.written is not None:
        return rows.written
    return _only(rows.payload(), keys)


def _only(payload: bytes, keys: tuple[str, ...]) -> bytes:
    plan = columns.plan(frozenset({columns.raw_column(keys)}))
    try:
        return columns.encode_raw(plan, payload)
    except json_text.REFUSED:
        return _JSON.encode_lines([_values(line, keys) for line in split_lines(payload)])


def _values(line: bytes, keys: tuple[str, ...]) -> dict[str, Any]:
    """Take keys from a line that is nested too deep for the decoder, now that it is called from further down."""
    whole = json_text.value(line)
    return {key: whole[key] for key in keys if key in whole}

"""What targets write: a batch as bytes, made once for all of them, and as whole events.

    ndjson   the event as it came when it came as JSON, the block's context merged into its ``context``; other
             events in the v6 form. With ``columns`` only these top-level keys, missing ones left out
    json     always the v6 form, with the event's error
    logfmt   the original's console line
    msgpack  what the codec ``binary`` reads
    plain    the events' texts; plain lines as they came

docs/formats.md describes them; everything here is memoised in the batch, so that five targets cost one encoding.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

from rutta.events import render
from rutta.events.complete import derived_id, whole_events
from rutta.events.event import Event
from rutta.formats import as_came, logfmt, v6_lines
from rutta.message import EVERYTHING, NOTHING, Batch, Columns
from rutta.rows import columns
from rutta.rows.rows import PlainRows, join_lines, split_lines

Word = Literal["ndjson", "json", "logfmt", "msgpack", "plain"]

__all__ = ["Format", "Word", "columns_of", "derived_id", "encode", "encode_lines", "events"]

_T = TypeVar("_T")


class Format(NamedTuple):
    """How to write events. ``columns`` (ndjson only): the top-level keys to write, in this order."""

    name: Word
    columns: tuple[str, ...] = ()


def encode(batch: Batch, format: Format) -> bytes:  # noqa: A002  (the word users write)
    """Write a batch: newline-terminated lines, or for msgpack objects one after the other."""
    return _once(batch, ("bytes", format), lambda: _encode(batch, format))


def encode_lines(batch: Batch, format: Format) -> list[bytes]:  # noqa: A002
    """Write every event of a batch by itself, without line endings (``plain``: newlines inside of texts stay)."""
    return _once(batch, ("lines", format), lambda: _encode_lines(batch, format))


def columns_of(format: Format) -> Columns:  # noqa: A002
    """Tell what a format reads of the events beside the lines as they came."""
    if format.name == "ndjson":
        return frozenset({columns.raw_column(format.columns)}) if format.columns else NOTHING
    return NOTHING if format.name in ("json", "plain") else EVERYTHING


def events(batch: Batch) -> list[Event]:
    """Return the batch's events, complete: shared by all targets, never to be changed.

    The block's context is merged under each event's own; an event without a time has its line's, else the time of
    receipt; one without an id has ``derived_id``.
    """
    return _once(batch, ("events",), lambda: whole_events(batch))


def _once(batch: Batch, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
    if key not in batch.memo:
        batch.memo[key] = make()
    found: _T = batch.memo[key]
    return found


def _encode(batch: Batch, format: Format) -> bytes:  # noqa: A002
    if format.name == "ndjson":
        return as_came.ndjson(batch, format.columns)
    if format.name == "json":
        return v6_lines.encode(batch)
    if format.name == "plain" and isinstance(batch.rows, PlainRows):
        return batch.rows.payload()
    lines = encode_lines(batch, format)
    return b"".join(lines) if format.name == "msgpack" else join_lines(lines)


def _encode_lines(batch: Batch, format: Format) -> list[bytes]:  # noqa: A002
    if format.name == "msgpack":
        return [render.to_msgpack(event) for event in events(batch)]
    if format.name == "logfmt":
        return [logfmt.line(event).encode(errors="replace") for event in events(batch)]
    if format.name == "plain" and not isinstance(batch.rows, PlainRows):
        return [logfmt.about(event).encode(errors="replace") for event in events(batch)]
    return split_lines(encode(batch, format))

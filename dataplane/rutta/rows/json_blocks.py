"""Blocks of JSON to batches: the whole block first, input by input when that fails (codecs ``json`` and ``auto``)."""

import io
from collections.abc import Sequence
from typing import NamedTuple

from rutta.errors import DecodeError
from rutta.events import json_text, schema, v6_events
from rutta.events.event import Event
from rutta.message import Batch, Block, Columns, Failure, Rows
from rutta.rows import columns
from rutta.rows.rows import EventRows, JsonRows, count_lines, join_lines

_DECODED = 120  # bytes of one struct and its values, about
MAX_FAILURES = 20  # of a block, that a batch says in words; an atomic block is not read any further


class Found(NamedTuple):
    """What input by input gave: the objects, the line and the number of each, and what was none."""

    lines: list[bytes]
    places: list[int]
    numbers: list[int]
    events: list[Event]
    failures: list[Failure]
    failed: int


def decode(block: Block, asked: Columns, *, strict: bool, codec: str = "json") -> Batch:
    """Decode a block of JSON; never raises for input."""
    plan = columns.plan(asked)
    if not block.lines and (refused := json_text.oversize(block.data)) is not None:
        return Batch.of(block, JsonRows(b"", 0, codec=codec), errors=[Failure(0, refused.word, str(refused))])
    if block.lines:
        rows: JsonRows | EventRows | None = _of_peer(block, plan, codec) if block.count and not strict else None
        if rows is None:
            rows = whole_strict(block.data, codec) if strict else whole(block.data, plan, codec)
        if rows is not None:
            return Batch.of(block, rows, size=size_of(rows))
    elif (rows := _whole_input(block.data, plan, strict=strict, codec=codec)) is not None:
        return Batch.of(block, rows, size=size_of(rows))
    found = each(block, strict=strict)
    if found.failed and block.atomic:
        return batch_of(block, JsonRows(b"", 0, codec=codec), [], [], found)
    if strict:
        return batch_of(
            block, EventRows(found.events, lines=found.lines, codec=codec), found.places, found.numbers, found
        )
    structs = columns.decode(plan, found.lines) if plan.take else None
    rows = JsonRows(
        join_lines(found.lines), len(found.lines), codec=codec, lines=found.lines, plan=plan, structs=structs
    )
    return batch_of(block, rows, found.places, found.numbers, found)


def whole(data: bytes, plan: columns.Plan, codec: str) -> JsonRows | None:
    """Decode a block at once; ``None`` if any line of it is not one object.

    A ``BytesIO`` gives the lines several times faster than ``split``; decoders take their newlines for space.
    """
    if b"\r" in data:  # JSON has none inside of texts: these end lines, or are space
        data = data.replace(b"\r", b"")
    if data[-1:] != b"\n":
        data += b"\n"
    if not json_text.is_utf8(data):
        return None
    structs = written = None
    try:
        if plan.raw is not None:
            written = columns.encode_raw(plan, data)
        elif plan.take:
            structs = list(map(plan.decode, io.BytesIO(data)))
        else:
            # The structs have no fields: nothing to keep. ``all`` only runs the map.
            all(map(plan.decode, io.BytesIO(data)))
    except json_text.REFUSED:
        return None
    return JsonRows(data, count_lines(data), codec=codec, plan=plan, structs=structs, written=written)


def _whole_input(data: bytes, plan: columns.Plan, *, strict: bool, codec: str) -> JsonRows | EventRows | None:
    """Decode one input at once: an array of objects, or what may be lines; ``None`` if it is neither, or empty."""
    data = data.strip(json_text.SPACE)
    if not data:
        return None
    if data[:1] != b"[":
        return whole_strict(data, codec) if strict else whole(data, plan, codec)
    objects = json_text.objects_of_array(data)
    if not objects:
        return None
    if plan.take or plan.raw or strict:
        lines = join_lines(objects)
        return whole_strict(lines, codec) if strict else whole(lines, plan, codec)
    return JsonRows(join_lines(objects), len(objects), codec=codec, lines=objects, plan=plan)


def _of_peer(block: Block, plan: columns.Plan, codec: str) -> JsonRows | None:
    """Take a block that a link's sender has checked line by line; ``None`` if it must be checked here.

    Its ends must be those of objects, its encoding UTF-8; that its ``count`` is that of its lines the link has seen to
    (``link.judging``). Columns are decoded as ever.
    """
    data = block.data
    if plan.take or plan.raw or data[:1] != b"{" or data[-2:] != b"}\n":
        return None
    if not json_text.is_utf8(data):
        return None
    return JsonRows(data, block.count, codec=codec, plan=plan)


def whole_strict(data: bytes, codec: str) -> EventRows | None:
    """Decode a block of events of the common form at once; ``None`` if any line is anything else."""
    events = []
    if not json_text.is_utf8(data):
        return None
    for line in io.BytesIO(data):
        event = v6_events.common(line)
        if event is None:
            return None
        events.append(event)
    return EventRows(events, lines=[line.strip(json_text.SPACE) for line in io.BytesIO(data)], codec=codec)


def each(block: Block, *, strict: bool) -> Found:
    """Decode input by input. Every input has a number, good or bad: ids are derived from it.

    Of an atomic block nothing is accepted after a failure, so it ends at the last that is said in words.
    """
    found = Found([], [], [], [], [], 0)
    failed = 0
    for number, (place, index, one) in enumerate(json_text.inputs(block.data, lines=block.lines, said=MAX_FAILURES)):
        event, one = _strict(one) if strict and isinstance(one, bytes) else (None, one)
        if isinstance(one, DecodeError):
            failed += 1
            if len(found.failures) < MAX_FAILURES:
                found.failures.append(Failure(place if block.lines else number, one.word, _at(index, str(one))))
            if block.atomic and failed >= MAX_FAILURES:
                break
            continue
        found.lines.append(one)
        found.places.append(place)
        found.numbers.append(number)
        if event is not None:
            found.events.append(event)
    return found._replace(failed=failed)


def size_of(rows: Rows) -> int:
    """Estimate what rows cost in memory: their bytes, what was written of them, what was decoded."""
    size = len(rows.payload())
    if isinstance(rows, JsonRows):
        return max(1, size + len(rows.written or b"") + _DECODED * len(rows.structs or ()))
    return max(1, size * 4)


def _at(index: int | None, message: str) -> str:
    """Put an array's index before the path or the reason: ``[3].level: …``."""
    if index is None:
        return message
    return f"[{index}]{message}" if message.startswith(".") else f"[{index}]: {message}"


def _strict(line: bytes) -> tuple[Event | None, bytes | DecodeError]:
    try:
        return schema.read_strict(json_text.strict_value(line)), line
    except DecodeError as exc:
        return None, exc


def batch_of(block: Block, rows: Rows, places: Sequence[int], numbers: Sequence[int], found: Found) -> Batch:
    """Make the batch of a block that was decoded input by input; a line's time is that of all events in it."""
    times = block.times
    return Batch(
        rows,
        size=size_of(rows),
        origin=block.origin,
        received=block.received,
        context=block.context,
        times=None if times is None else [times[place] for place in places],
        hop=block.hop,
        numbers=None if list(numbers) == list(range(len(rows))) else numbers,
        errors=found.failures,
        failed=found.failed,
    )

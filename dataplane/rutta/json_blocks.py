"""Blocks of JSON to batches: the whole block first, input by input when that fails (codecs ``json`` and ``auto``)."""

from collections.abc import Sequence
from typing import NamedTuple

from rutta import columns, json_text, schema
from rutta.errors import DecodeError
from rutta.event import Event
from rutta.message import Batch, Block, Columns, Failure, Rows
from rutta.rows import EventRows, JsonRows, join_lines, split_lines

MAX_FAILURES = 20  # of a block, that a batch says in words


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
    if block.lines and not strict and (rows := whole(block.data, plan, codec)) is not None:
        return Batch.of(block, rows)
    found = each(block, strict=strict)
    if found.failed and block.atomic:
        return batch_of(block, JsonRows(b"", 0, codec=codec), [], [], found)
    if strict:
        return batch_of(
            block, EventRows(found.events, lines=found.lines, codec=codec), found.places, found.numbers, found
        )
    structs = columns.decode(plan, found.lines) if plan.take or plan.raw else None
    rows = JsonRows(
        join_lines(found.lines), len(found.lines), codec=codec, lines=found.lines, plan=plan, structs=structs
    )
    return batch_of(block, rows, found.places, found.numbers, found)


def whole(data: bytes, plan: columns.Plan, codec: str) -> JsonRows | None:
    """Decode a block at once; ``None`` if any line of it is not one object."""
    if b"\r" in data:  # JSON has none inside of texts: these end lines, or are space
        data = data.replace(b"\r", b"")
    if data[-1:] != b"\n":
        data += b"\n"
    if not json_text.is_utf8(data):
        return None
    lines = split_lines(data)
    try:
        if not plan.take and plan.raw is None:
            # The structs have no fields: nothing to keep. ``all`` only runs the map.
            all(map(plan.decode, lines))
            return JsonRows(data, len(lines), codec=codec, plan=plan)
        structs = list(map(plan.decode, lines))
    except json_text.REFUSED:
        return None
    return JsonRows(data, len(lines), codec=codec, plan=plan, structs=structs)


def each(block: Block, *, strict: bool) -> Found:
    """Decode input by input. Every input has a number, good or bad: ids are derived from it."""
    found = Found([], [], [], [], [], 0)
    failed = 0
    for number, (place, index, one) in enumerate(json_text.inputs(block.data, lines=block.lines)):
        event, one = _strict(one) if strict and isinstance(one, bytes) else (None, one)
        if isinstance(one, DecodeError):
            failed += 1
            if len(found.failures) < MAX_FAILURES:
                found.failures.append(Failure(place if block.lines else number, one.word, _at(index, str(one))))
            continue
        found.lines.append(one)
        found.places.append(place)
        found.numbers.append(number)
        if event is not None:
            found.events.append(event)
    return found._replace(failed=failed)


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
        size=max(1, len(rows.payload())),
        origin=block.origin,
        received=block.received,
        context=block.context,
        times=None if times is None else [times[place] for place in places],
        hop=block.hop,
        numbers=None if list(numbers) == list(range(len(rows))) else numbers,
        errors=found.failures,
        failed=found.failed,
    )

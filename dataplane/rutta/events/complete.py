"""Complete events: what the block and the batch know and the event did not say (context, times, ids)."""

from collections.abc import Callable

from rutta.events.event import NO_TIME, Event
from rutta.message import Batch, Origin

_IDS = 2**128


def derived_id(origin: Origin, number: int) -> bytes:
    """Name the event that had no id: the same for the same block and number, so a retry sends the same again."""
    return _id(_first_id(origin), number)


def namer(batch: Batch) -> Callable[[int], bytes]:
    """Return a function that derives the id of a row."""
    first, numbers = _first_id(batch.origin), batch.numbers
    return lambda row: _id(first, numbers[row])


def derived_ids(batch: Batch) -> list[bytes]:
    """Return the ids that the rows have if none has its own."""
    first = _first_id(batch.origin)
    return [_id(first, number) for number in batch.numbers]


def _first_id(origin: Origin) -> int:
    """Return the id of a block's event 0. Makers are random, and blocks lie 2**40 events apart: no two ids meet."""
    return int.from_bytes(origin.maker, "big") + (origin.sequence << 40)


def _id(first: int, number: int) -> bytes:
    return ((first + number) % _IDS).to_bytes(16, "big")


def completer(batch: Batch) -> Callable[[int, Event], Event]:
    """Return a function that completes the event of a row, in place."""
    name, times, received, context = namer(batch), batch.times, batch.received, batch.context

    def complete(row: int, event: Event) -> Event:
        if not event.id:
            event.id = name(row)
        if event.timestamp == NO_TIME:
            event.timestamp = received if times is None else times[row]
        if not event.received:
            event.received = received
        if context:
            event.context = {**context, **event.context, **context}
        return event

    return complete


def whole_events(batch: Batch) -> list[Event]:
    """Return every event of a batch, complete; the caller owns them."""
    return list(map(completer(batch), range(len(batch)), batch.rows.events()))

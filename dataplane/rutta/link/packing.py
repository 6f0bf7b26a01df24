"""Packs batches into the blocks of a link.

Batches that are alike share a block. A block that is a whole batch keeps its origin, so that ids made of it and the
receiver's memory of it hold through proxies and retries; any other block is new, and named by this link.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from rutta.link.opaque import OpaqueRows
from rutta.link.protocol import HOP_LIMIT, Parcel, pack_times
from rutta.message import Batch, Origin
from rutta.rows.rows import count_lines
from rutta.targets import Lost

BLOCK: Final = 256 * 1024  # bytes that batches are gathered to
LARGEST: Final = 2**20  # bytes of a block; only a single event, or a closed block, may exceed it


class Packed(NamedTuple):
    """A parcel and the events in it: of which batch, which rows."""

    parcel: Parcel
    rows: Sequence[tuple[int, range]]

    def lost(self, reason: str) -> list[Lost]:
        """Name every event of it."""
        return [Lost(batch, row, reason) for batch, rows in self.rows for row in rows]


class Packer:
    """Names blocks; one per link."""

    def __init__(self) -> None:
        """Choose the maker of this link's blocks."""
        self._maker = os.urandom(16)
        self._numbers = itertools.count(1)

    def pack(self, batches: Sequence[tuple[int, Batch]]) -> list[Packed]:
        """Pack numbered batches; their order stays."""
        return [packed for group in _groups(batches) for packed in self._group(group)]

    def _group(self, group: Sequence[tuple[int, Batch]]) -> Iterator[Packed]:
        number, first = group[0]
        if len(group) > 1:
            whole = [(number, range(len(batch))) for number, batch in group]
            yield Packed(self._merged([batch for _, batch in group]), whole)
            return
        payload = first.rows.payload()
        if len(payload) <= LARGEST or len(first) < 2 or isinstance(first.rows, OpaqueRows):
            origin = first.origin if _is_whole(first) else self._origin()
            yield Packed(_parcel(first, payload, len(first), first.times, origin), [(number, range(len(first)))])
            return
        for rows, part, times in _parts(first):
            yield Packed(_parcel(first, part, len(rows), times, self._origin()), [(number, rows)])

    def _merged(self, batches: Sequence[Batch]) -> Parcel:
        first = batches[0]
        times = None if first.times is None else [time for batch in batches for time in batch.times or ()]
        payload = b"".join([batch.rows.payload() for batch in batches])
        return _parcel(first, payload, sum(map(len, batches)), times, self._origin())

    def _origin(self) -> Origin:
        return Origin(self._maker, next(self._numbers))


def is_over(batch: Batch) -> bool:
    """Whether a batch has passed too many links already."""
    return batch.hop + 1 > HOP_LIMIT


def _is_whole(batch: Batch) -> bool:
    """Whether it has every event of its block: the numbers of a part are listed (``Batch.numbers``)."""
    return isinstance(batch.numbers, range)


def _parcel(batch: Batch, payload: bytes, count: int, times: Sequence[int] | None, origin: Origin) -> Parcel:
    return Parcel(
        payload,
        codec=batch.rows.codec,
        count=count,
        hop=batch.hop + 1,
        origin=origin,
        received=batch.received,
        context=batch.context,
        times=pack_times(times),
    )


def _groups(batches: Sequence[tuple[int, Batch]]) -> Iterator[list[tuple[int, Batch]]]:
    """Cut a sequence into runs that can share a block."""
    run: list[tuple[int, Batch]] = []
    size = 0
    for number, batch in batches:
        if run and (size + batch.size > BLOCK or not _alike(run[0][1], batch)):
            yield run
            run, size = [], 0
        run.append((number, batch))
        size += batch.size
    if run:
        yield run


def _alike(one: Batch, other: Batch) -> bool:
    if isinstance(one.rows, OpaqueRows) or one.rows.codec != other.rows.codec or one.hop != other.hop:
        return False
    return (one.times is None) == (other.times is None) and _same(one.context, other.context)


def _same(one: Any, other: Any) -> bool:
    return one is other or one == other


def _parts(batch: Batch) -> Iterator[tuple[range, bytes, Sequence[int] | None]]:
    """Cut a batch that is too large for a block into parts of at most ``BLOCK`` bytes, at least one event each.

    A payload has one line per event, so bytes are cut at newlines and lines are only counted.
    """
    payload, times = batch.rows.payload(), batch.times
    start = row = 0
    while start < len(payload):
        end = payload.rfind(b"\n", start, start + BLOCK) + 1 or payload.index(b"\n", start) + 1
        part = payload[start:end]
        rows = range(row, row + count_lines(part))
        yield rows, part, None if times is None else times[rows.start : rows.stop]
        start, row = end, rows.stop

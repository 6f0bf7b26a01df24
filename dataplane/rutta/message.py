"""What moves through the data plane: blocks of bytes, batches of events, receipts.

A listener makes a ``Block``; a codec makes a ``Batch`` of it; the router puts the batch on the queue of each target;
the ``Receipt`` of the block is done when no target holds any of its events. Everything here runs on one event loop
thread and is not thread-safe.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from rutta.events.event import Event

# Why an input was no event: the closed list behind the label ``reason`` of rutta_decode_errors_total.
ERROR_WORDS: Final = ("malformed", "encoding", "oversize", "schema", "depth", "empty", "framing", "codec")

# Why an accepted event was not delivered: the closed list behind the label ``reason`` of rutta_events_dropped_total.
DROP_WORDS: Final = (
    "unrouted", "queue_full_newest", "queue_full_oldest", "rejected", "retry_budget", "poison",
    "shutdown", "possibly_lost", "hop_limit",
)  # fmt: skip

ALL: Final = "*"  # a column: the whole event

Columns = frozenset[str]
"""The parts of events that somebody reads: ``level``, ``name``, ``kind``, ``timestamp``, ``text``, ``fields.KEY``,
``context.KEY``, or ``ALL``. Empty: nobody looks inside."""

NOTHING: Final[Columns] = frozenset()
EVERYTHING: Final[Columns] = frozenset({ALL})


class Origin(NamedTuple):
    """Where a block was first made: names it for ever, through retries and proxies.

    ``maker`` is 16 random bytes of the process (or link) that made it, ``sequence`` counts its blocks from 1.
    """

    maker: bytes
    sequence: int


_MAKER: Final = os.urandom(16)
_blocks = itertools.count(1)


def new_origin() -> Origin:
    """Name the next block of this process."""
    return Origin(_MAKER, next(_blocks))


class Block:
    """Bytes of whole frames from one peer or one file stream, not decoded.

    ``data``: with ``lines`` set, frames that each end in a newline; without, one single input (a datagram, a body, a
    ZeroMQ message). ``context`` holds for every event of it and is merged under the events' own. ``times`` gives
    each line the timestamp (ns) of an event that has none; its length is the number of lines. ``atomic``: if one
    input of it is bad, none of it is accepted (http). ``codec`` is set where the block itself says it (links).
    ``count`` is set by links: how many events the sender, who has checked them, says there are; in a proxy the data
    stays opaque. ``hop`` counts the links passed.
    """

    __slots__ = ("atomic", "codec", "context", "count", "data", "hop", "lines", "origin", "received", "times")

    def __init__(
        self,
        data: bytes,
        *,
        lines: bool = True,
        context: Mapping[str, Any] | None = None,
        times: Sequence[int] | None = None,
        atomic: bool = False,
        codec: str | None = None,
        count: int = 0,
        hop: int = 0,
        origin: Origin | None = None,
        received: int | None = None,
    ) -> None:
        """Take what was read; ``origin`` and ``received`` are made when not given."""
        self.data = data
        self.lines = lines
        self.context = context
        self.times = times
        self.atomic = atomic
        self.codec = codec
        self.count = count
        self.hop = hop
        self.origin = origin or new_origin()
        self.received = time.time_ns() if received is None else received


class Rows(Protocol):
    """The events of a batch in the form in which they came; each codec has its own.

    Implementations compute what is asked for when it is asked for, once.
    """

    codec: str
    """The codec that can read ``payload()`` again: ``json``, ``plain``, ``auto``, or any in an opaque proxy batch."""

    def __len__(self) -> int:
        """Count the events."""

    def payload(self) -> bytes:
        """Return all events as newline-terminated lines, as they came: what a link carries."""

    def lines(self) -> Sequence[bytes]:
        """Return one line per event, no line ending, no newline inside, as in ``payload``."""

    def column(self, name: str) -> Sequence[Any]:
        """Return one normalised part of every event: level int, name str, kind str, fields.KEY any; None if absent."""

    def events(self) -> Sequence[Event]:
        """Return every event as it came, without the batch's context, times and ids (``formats.events`` adds)."""

    def take(self, rows: Sequence[int]) -> "Rows":
        """Return only these rows (ascending numbers)."""


class Failure(NamedTuple):
    """An input that was not accepted: its number in the block, a word of ``ERROR_WORDS``, and what is wrong."""

    row: int
    word: str
    message: str


class Batch:
    """The events of a block, or some of them; never changed, shared by all targets.

    ``size`` is what it costs in memory, bytes, and what queues count. ``numbers`` are the events' numbers in the
    block (ids are derived from them). ``memo`` keeps what was computed for all targets: encodings, whole events.
    """

    __slots__ = (
        "_count", "context", "errors", "failed", "hop", "memo", "numbers", "origin", "received", "rows", "size",
        "times",
    )  # fmt: skip

    def __init__(
        self,
        rows: Rows,
        *,
        size: int,
        origin: Origin,
        received: int,
        context: Mapping[str, Any] | None = None,
        times: Sequence[int] | None = None,
        hop: int = 0,
        numbers: Sequence[int] | None = None,
        errors: Sequence[Failure] = (),
        failed: int = 0,
    ) -> None:
        """Codecs call ``Batch.of``; ``errors`` holds the first failures, ``failed`` counts them all."""
        self.rows = rows
        self._count = len(rows)
        self.size = size
        self.origin = origin
        self.received = received
        self.context = context
        self.times = times
        self.hop = hop
        self.numbers: Sequence[int] = range(self._count) if numbers is None else numbers
        self.errors = errors
        self.failed = failed or len(errors)
        self.memo: dict[Hashable, Any] = {}

    @classmethod
    def of(
        cls,
        block: Block,
        rows: Rows,
        *,
        size: int | None = None,
        numbers: Sequence[int] | None = None,
        errors: Sequence[Failure] = (),
        failed: int = 0,
    ) -> "Batch":
        """Make the batch of a block. ``numbers`` are the rows' line numbers, given when some lines were left out."""
        times = block.times
        if times is not None and numbers is not None:
            times = [times[number] for number in numbers]
        return cls(
            rows,
            size=len(block.data) if size is None else size,
            origin=block.origin,
            received=block.received,
            context=block.context,
            times=times,
            hop=block.hop,
            numbers=numbers,
            errors=errors,
            failed=failed,
        )

    def __len__(self) -> int:
        """Count the events."""
        return self._count

    @property
    def is_closed(self) -> bool:
        """Whether it is a proxy's: carried whole, never cut."""
        return bool(getattr(self.rows, "closed", False))

    def take(self, rows: Sequence[int]) -> "Batch":
        """Return a batch of only these rows (ascending numbers); origin and numbers stay, so ids do."""
        return Batch(
            self.rows.take(rows),
            size=max(1, self.size * len(rows) // max(1, len(self.rows))),
            origin=self.origin,
            received=self.received,
            context=self.context,
            times=None if self.times is None else [self.times[row] for row in rows],
            hop=self.hop,
            numbers=[self.numbers[row] for row in rows],
        )


class Receipt:
    """What became of a block: accepted at once, done later.

    ``count`` events were accepted; ``errors`` (the first) and ``failed`` (all) say what was not. It is done when
    every target has delivered, dropped (counted) or durably spooled every event.
    """

    __slots__ = ("_callbacks", "_holds", "count", "errors", "failed")

    def __init__(self, count: int = 0, errors: Sequence[Failure] = (), failed: int = 0) -> None:
        """The maker holds it once and calls ``release`` when it has given it to all targets."""
        self.count = count
        self.errors = errors
        self.failed = failed or len(errors)
        self._holds = 1
        self._callbacks: list[Callable[[], None]] | None = None

    @property
    def done(self) -> bool:
        """Whether nobody holds any of its events."""
        return self._holds == 0

    def hold(self) -> None:
        """One more party (a target's queue) has events of this block."""
        self._holds += 1

    def release(self) -> None:
        """A party is done with its events; the last one calls the callbacks."""
        self._holds -= 1
        if self._holds == 0 and self._callbacks is not None:
            callbacks, self._callbacks = self._callbacks, None
            for callback in callbacks:
                callback()

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when done, at once if it is."""
        if self._holds == 0:
            callback()
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    async def wait(self) -> None:
        """Wait until done."""
        if self._holds:
            event = asyncio.Event()
            self.on_done(event.set)
            await event.wait()

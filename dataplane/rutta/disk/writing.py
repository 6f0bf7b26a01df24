"""Writing bytes to descriptors, and what to say of a send of which only a part was written. Blocking: for a worker.

A part counts as written up to its last whole event, so that nothing is doubled when the rest is tried again.
"""

import os
import select
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rutta.errors import Retry
from rutta.formats import Format
from rutta.message import Batch
from rutta.rows.rows import count_lines
from rutta.targets import DELIVERED, Lost, Outcome

_MOST_BUFFERS: Final = 1024  # IOV_MAX on Linux and the BSDs
_GLANCE: Final = 500  # ms between two looks whether the writer is to stop


class Written(NamedTuple):
    """How many bytes went out, and what stopped it, if anything did."""

    size: int
    error: OSError | None = None


def write_all(fd: int, buffers: Sequence[bytes], *, stopping: Callable[[], bool]) -> Written:
    """Write all buffers to ``fd``, which may be non-blocking; never raises ``OSError``, it is in the result."""
    total = 0
    for at in range(0, len(buffers), _MOST_BUFFERS):
        some: list[bytes | memoryview] = list(buffers[at : at + _MOST_BUFFERS])
        while some:
            try:
                count = os.writev(fd, some)
            except BlockingIOError as exc:
                if not _writable(fd, stopping):
                    return Written(total, exc)
                continue
            except OSError as exc:
                return Written(total, exc)
            total += count
            some = _rest(some, count)
    return Written(total)


def _writable(fd: int, stopping: Callable[[], bool]) -> bool:
    """Wait until a write would do something (or fail); false when the writer is to stop."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while not poll.poll(_GLANCE):
        if stopping():
            return False
    return True


def _rest(buffers: list[bytes | memoryview], count: int) -> list[bytes | memoryview]:
    """What is left of ``buffers`` after ``count`` bytes."""
    for at, one in enumerate(buffers):
        if count < len(one):
            return [memoryview(one)[count:], *buffers[at + 1 :]]
        count -= len(one)
    return []


def is_by_line(batches: Sequence[Batch], buffers: Sequence[bytes], format: Format) -> bool:  # noqa: A002
    """Say whether each event is one line: not for msgpack, nor for plain texts with newlines inside."""
    if format.name == "plain":
        return all(
            data is batch.rows.payload() or count_lines(data) == len(batch)  # a payload is lines by contract
            for batch, data in zip(batches, buffers, strict=True)
        )
    return format.name != "msgpack"


def whole_events(buffers: Sequence[bytes], size: int, *, by_line: bool) -> int:
    """Cut ``size`` bytes of the joined buffers back to the end of an event (``by_line``), else of a buffer."""
    done = 0
    for one in buffers:
        if size - done < len(one):
            return done + (one.rfind(b"\n", 0, size - done) + 1 if by_line else 0)
        done += len(one)
    return done


def outcome_of(batches: Sequence[Batch], buffers: Sequence[bytes], kept: int, reason: str) -> Outcome:
    """Say which events are to be tried again when only the first ``kept`` bytes (whole events) are written.

    ``buffers`` are the batches' encodings, in order. Raises ``Retry`` when nothing was kept.
    """
    if not kept:
        raise Retry(reason)
    lost: list[Lost] = []
    for at, (batch, data) in enumerate(zip(batches, buffers, strict=True)):
        if kept < len(data):
            lost += [Lost(at, row, reason) for row in range(data.count(b"\n", 0, kept), len(batch))]
        kept = max(0, kept - len(data))
    return Outcome(retry=lost) if lost else DELIVERED

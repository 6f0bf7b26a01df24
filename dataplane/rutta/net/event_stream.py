"""Events as a stream that browsers read (https://html.spec.whatwg.org/multipage/server-sent-events.html); no I/O.

The newest frames are kept once for all clients, who read at their own pace: one that is slow, or comes back and says
which event was its last, goes on where it was, as long as that is still kept.
"""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

CHUNK: Final = 65_536  # bytes of frames that are written at once, about
_OVERHEAD: Final = 128  # bytes that a chunk costs beside its own

EVENT: Final = b"Logary.Message"
HEARTBEAT: Final = b":\n\n"
GREETING: Final = b"retry: 1000\n\n"  # milliseconds until a browser comes back


class Chunk(NamedTuple):
    """Frames of events that follow each other; ``first`` is the number of the first."""

    first: int
    data: bytes


class History:
    """The newest frames, at most ``limit`` bytes, and always the newest chunk. Chunks are counted from 0."""

    def __init__(self, limit: int) -> None:
        """Ids begin with a word of this history's own, so that those of another process are known as such."""
        self.limit = limit
        self.size = 0
        self.start = 0  # number of the oldest chunk that is kept
        self._word = os.urandom(6).hex()
        self._chunks: deque[Chunk] = deque()
        self._next = 1  # number of the next event

    @property
    def end(self) -> int:
        """The number that the next chunk will have."""
        return self.start + len(self._chunks)

    def add(self, lines: Sequence[bytes]) -> None:
        """Take events, each a line of JSON, and let the oldest go."""
        step = max(1, CHUNK * len(lines) // max(1, sum(map(len, lines))))
        for at in range(0, len(lines), step):
            self._add(lines[at : at + step])
        while self.size > self.limit and len(self._chunks) > 1:
            self.size -= len(self._chunks.popleft().data) + _OVERHEAD
            self.start += 1

    def _add(self, lines: Sequence[bytes]) -> None:
        head, first = f"id: {self._word}-".encode(), self._next
        data = b"".join(
            [b"%b%d\nevent: %b\ndata: %b\n\n" % (head, number, EVENT, line) for number, line in enumerate(lines, first)]
        )
        if b"\r" in data:  # would end a line; in JSON it is but space
            data = data.replace(b"\r", b" ")
        self._chunks.append(Chunk(first, data))
        self._next += len(lines)
        self.size += len(data) + _OVERHEAD

    def chunk(self, number: int) -> bytes:
        """Return the frames of a chunk that is kept."""
        return self._chunks[number - self.start].data

    def after(self, last_id: str) -> tuple[int, bytes]:
        """Return what comes after an event: the number of the next whole chunk, and what is left of one before it.

        An id that is not of this history is of a process before it, or beside it: all that is kept comes after it.
        """
        word, _, digits = last_id.partition("-")
        if word != self._word or not digits.isdecimal():
            return self.start, b""
        number = int(digits) + 1
        if number >= self._next:
            return self.end, b""
        at = bisect_right([chunk.first for chunk in self._chunks], number) - 1
        if at < 0:
            return self.start, b""
        data = self._chunks[at].data
        return self.start + at + 1, data[data.find(f"id: {self._word}-{number}\n".encode()) :]

"""One file that is followed: where it is, how far it is read, and how far what was read is done.

It keeps no bytes: a line that is not whole yet is read again. An open descriptor keeps the inode from being given to
another file, and lets what was deleted be read to its end.
"""

import os
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rutta.tail.checkpoints import Entry
from rutta.tail.fingerprint import LENGTH, PACKED, Head, Key, head_of, opened
from rutta.tail.limits import Bucket
from rutta.tail.marks import Mark, Pin
from rutta.tail.packed import Packed
from rutta.tail.shaping import Shaper

if TYPE_CHECKING:
    from rutta.tail.seams import Seam

LAST: Final = 64  # bytes before the position that are read again each time: other ones there mean it was written anew
BACK: Final = 64 * 1024  # bytes before the end in which the begin of a last, unfinished line is looked for
_SAMPLES: Final = 64


class CutShort(Exception):
    """The file is shorter than it was read, or has other bytes there: it was truncated or written anew."""


class Followed:
    """One file. ``position`` is the offset up to which all was read and handed to the shaper."""

    __slots__ = (
        "_descriptor", "_last", "_packed", "_samples", "bucket", "dry_at", "ends", "found_at", "grown_at",
        "has_begun", "head", "is_copy", "is_dry", "is_ended", "is_queued", "is_skipping", "key",
        "live", "lost_at", "marks", "over", "path", "pins", "position", "seam", "seen", "shaper", "siblings", "size",
        "until",
    )  # fmt: skip

    def __init__(self, path: str, key: Key, shaper: Shaper, bucket: Bucket) -> None:
        """Opens nothing."""
        self.path = path
        self.live = path  # the name by which it was found, before any rotation
        self.key = key
        self.shaper = shaper
        self.marks = [Mark() for _ in range(shaper.streams)]
        self.position = 0
        self.ends = [0] * shaper.streams  # what was done of each stream before a restart
        self.until = 0  # the last of the ends: behind it every stream is wanted
        self.size = 0
        self.seen = 0  # where the last read ended
        self.head = Head()
        self.siblings: frozenset[Key] = frozenset()
        self.lost_at: float | None = None  # since when it is not where files are looked for
        self.grown_at = time.monotonic()
        self.dry_at = 0.0  # when it was last read to its end, monotonic
        self.has_begun = False  # whether anything was read
        self.seam: Seam | None = None  # what it has from the file before it
        self.pins: dict[int, Pin] = {}  # by stream, what goes on in the next file
        self.over: dict[int, int] = {}  # by stream, where something begins that went on in the next file, and is done
        self.found_at = time.monotonic()
        self.is_dry = False  # whether the last look at it found nothing more
        self.is_skipping = False  # inside of an over-long line
        self.is_queued = False
        self.is_ended = False  # nothing more is read of it
        self.is_copy = False  # of a file that is followed itself
        self.bucket = bucket
        self._descriptor: int | None = None
        self._packed: Packed | None = None
        self._last = b""
        self._samples: deque[tuple[float, int]] = deque()

    @property
    def is_open(self) -> bool:
        """Whether it holds a descriptor."""
        return self._descriptor is not None or self._packed is not None

    @property
    def is_packed(self) -> bool:
        """Whether it is compressed."""
        return self.path.endswith(PACKED)

    @property
    def last(self) -> bytes:
        """The bytes before the position."""
        return self._last

    def open(self) -> None:
        """Open it if it is not; OSError if it cannot be, FileNotFoundError if another one stands there now."""
        if self.is_open:
            return
        if self.is_packed:
            self._packed = Packed(self.path)
            return
        descriptor = opened(self.path)
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) != self.key:
            os.close(descriptor)
            raise FileNotFoundError(2, "another file stands there now", self.path)
        self._descriptor = descriptor
        self.size = max(found.st_size, 0)

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        if self._packed is not None:
            self._packed.close()
        self._descriptor = self._packed = None

    def first(self) -> bytes:
        """Read its first bytes; it must be open."""
        return b"" if self._descriptor is None else os.pread(self._descriptor, LENGTH, 0)

    def resume(self, position: int, ends: Sequence[int] = (), *, head: Head | None = None) -> None:
        """Go on at an offset; ``ends`` says which streams are done further."""
        self.position = position
        self.ends = [max(position, end) for end in ends] or [position] * self.shaper.streams
        self.until = max(self.ends)
        self._last = b""
        if head is not None:
            self.head = head
        if self._descriptor is not None:
            start = max(0, position - LAST)
            self._last = os.pread(self._descriptor, position - start, start)
            self.head = head_of(self.first())

    def skip_to_end(self) -> None:
        """Begin after the last whole line; a line that is half written comes whole."""
        assert self._descriptor is not None  # noqa: S101 - the caller has opened it
        start = max(0, self.size - BACK)
        newline = os.pread(self._descriptor, self.size - start, start).rfind(b"\n")
        self.resume(start + newline + 1 if newline >= 0 else 0 if start == 0 else self.size)

    def read(self, buffer: bytearray) -> int | None:
        """Read what stands at the position; return how many bytes. None: it is skipping, ask again. OSError."""
        view = memoryview(buffer)
        if self.position < self.until:
            view = view[: self.until - self.position]
        if self._descriptor is None:
            self.open()
        if self._packed is not None:
            return self._packed.read_into(view, self.position)
        assert self._descriptor is not None  # noqa: S101
        last = bytearray(len(self._last))
        count = os.preadv(self._descriptor, [last, view], self.position - len(last)) - len(last)
        if count < 0 or last != self._last:
            raise CutShort
        self.seen = self.position + count
        if self.seen > self.size or self.head.size == 0:
            self._grew(count)
        return count

    def _grew(self, count: int) -> None:
        self.size = max(self.size, self.position + count)
        if count:
            self.grown_at = time.monotonic()
            if self.head.size < LENGTH:
                self.head = head_of(self.first())

    def pass_by(self, buffer: bytearray, size: int) -> None:
        """What stands at the position was dealt with: go on behind it."""
        self.position += size
        self._last = bytes(buffer[size - LAST : size]) if size >= LAST else (self._last + buffer[:size])[-LAST:]

    @property
    def only(self) -> int | None:
        """The one stream that is still wanted of what was read before a restart; None: all are."""
        if self.position >= self.until:
            return None
        wanted = [stream for stream, end in enumerate(self.ends) if end <= self.position]
        return wanted[0] if len(wanted) < len(self.ends) else None

    def lows(self) -> list[int]:
        """Return for each stream the offset before which all is done."""
        return [max(self._low(stream), self.ends[stream]) for stream in range(self.shaper.streams)]

    def _low(self, stream: int) -> int:
        low = self.marks[stream].low(self.shaper.floor(stream, self.position))
        if (pin := self.pins.get(stream)) is None:
            return low
        if pin.is_done:
            self.over[stream] = pin.start
            del self.pins[stream]
            return low
        return min(low, pin.start)

    def entry(self, *, ended: bool = False) -> Entry:
        """Return what a checkpoint says of it."""
        device, inode = self.key
        head = self.head.size, self.head.digest
        done = tuple(self.lows())
        over = tuple(self.over.get(stream, -1) for stream in range(len(done))) if self.over else ()
        return Entry(self.live, device, inode, done, head, copy=self.is_copy, ended=ended, over=over)

    @property
    def is_done(self) -> bool:
        """Whether all that was read of it is done."""
        return not any(self.marks) and all(pin.is_done for pin in self.pins.values())

    def look(self, now: float) -> None:
        """Notice how long it is now, for ``behind``; ``now`` is of the wall clock."""
        if self._descriptor is None:
            return
        found = os.fstat(self._descriptor)
        self.size = max(found.st_size, self.size if found.st_size >= self.position else 0)
        samples = self._samples
        while samples and samples[0][1] <= self.position:
            samples.popleft()
        if self.size > self.position and (not samples or self.size > samples[-1][1]):
            samples.append((now if samples else min(now, found.st_mtime), self.size))
            if len(samples) > _SAMPLES:
                self._samples = deque([*list(samples)[:-1:2], samples[-1]])

    def has_grown(self) -> bool:
        """Whether it is not as it was last seen; also if it is not there."""
        try:
            found = os.stat(self.path) if self._descriptor is None else os.fstat(self._descriptor)
        except OSError:
            return True
        return found.st_size != self.size or found.st_ino != self.key[1]

    def length(self) -> int:
        """Return how long it is, or was when it was closed."""
        return self.size if self._descriptor is None else os.fstat(self._descriptor).st_size

    @property
    def is_deleted(self) -> bool:
        """Whether only our descriptor keeps it on disk."""
        return self._descriptor is not None and os.fstat(self._descriptor).st_nlink == 0

    def behind(self, now: float) -> tuple[int, float]:
        """Return the bytes that are not read, and for how many seconds the oldest of them has been there, about."""
        unread = max(0, self.size - self.position)
        waiting = [at for at, end in self._samples if end > self.position]
        return unread, max(0.0, now - waiting[0]) if waiting and unread else 0.0

    def status(self) -> dict[str, Any]:
        """How far it is read, bytes."""
        return {"file": self.path, "offset": self.position, "behind": max(0, self.size - self.position)}

"""Cut a stream of MessagePack objects: finds where each ends, decodes none.

Whole objects are skipped by the msgpack package. Of the one that is not whole yet, the scan goes on where it stopped,
so an object that comes byte by byte costs no more than one that comes at once, and one that is too long is skipped
without being kept. Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgpack

# What an input of codec binary begins with: a map or an array. Text begins otherwise (each of its bytes would be an
# object of its own).
_BEGINNINGS: Final = frozenset(range(0x80, 0xA0)) | {0xDC, 0xDD, 0xDE, 0xDF}
_NEVER: Final = 0xC1


class _Head(NamedTuple):
    """What follows a first byte: a length field, ``extra`` bytes, and per unit of length bytes or objects."""

    field: int = 0
    extra: int = 0
    bytes_per: int = 0
    objects_per: int = 0
    fixed: int = 0  # when there is no length field


def _heads() -> list[_Head]:
    heads = [_Head()] * 256
    for first in range(0x80, 0x90):
        heads[first] = _Head(objects_per=2, fixed=first & 0x0F)
    for first in range(0x90, 0xA0):
        heads[first] = _Head(objects_per=1, fixed=first & 0x0F)
    for first in range(0xA0, 0xC0):
        heads[first] = _Head(bytes_per=1, fixed=first & 0x1F)
    for power, first in enumerate((0xC4, 0xC5, 0xC6)):  # bin; ext has a byte of type beside
        heads[first] = _Head(field=1 << power, bytes_per=1)
        heads[first + 3] = _Head(field=1 << power, bytes_per=1, extra=1)
    for power, first in enumerate((0xD9, 0xDA, 0xDB)):
        heads[first] = _Head(field=1 << power, bytes_per=1)
    for first, size in zip(range(0xCA, 0xD9), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17), strict=True):
        heads[first] = _Head(extra=size)  # floats, unsigned, signed, fixext
    for power, first in enumerate((0xDC, 0xDD), start=1):
        heads[first] = _Head(field=1 << power, objects_per=1)
        heads[first + 2] = _Head(field=1 << power, objects_per=2)
    return heads


_HEADS: Final = _heads()


class Objects:
    """The state of one stream. What does not begin as an input of codec binary does ends it."""

    __slots__ = ("_buffer", "_left", "_limit", "_position", "_refuse", "_too_long", "broken")

    def __init__(self, refuse: Callable[[str, int], None], limit: int) -> None:
        """``limit`` is the most bytes of an object."""
        self._refuse = refuse
        self._limit = limit
        self._buffer = bytearray()
        self._position = 0  # how far the scan of the first object is; beyond the buffer while its bytes are awaited
        self._left: int | None = None  # how many objects it still needs; None: it has not begun
        self._too_long = False
        self.broken = ""

    @property
    def pending(self) -> int:
        """How many of the last bytes are kept, for they may be the beginning of an object."""
        return len(self._buffer)

    def feed(self, data: bytearray, size: int) -> Sequence[bytes]:
        """Return the objects that became whole, as one frame: an input of codec binary is any number of them."""
        frames: list[bytes] = []
        if self.broken:
            return ()
        with memoryview(data) as view:
            self._buffer += view[:size]
        if self._left is None:
            self._skip_whole(frames)
        while self._scan():
            self._take(frames)
            self._skip_whole(frames)
        return (b"".join(frames),) if frames else ()

    def finish(self) -> Sequence[bytes]:
        """Half an object is refused."""
        self.abandon()
        return ()

    def abandon(self) -> None:
        """Half an object is refused; one that was too long has been already."""
        if (self._buffer or self._left is not None) and not self._too_long:
            self._refuse("framing", 1)
        self._forget()

    def _skip_whole(self, frames: list[bytes]) -> None:
        """Take the objects that are whole, quickly; the scan judges whatever stops this."""
        buffer, start = self._buffer, 0
        unpacker = msgpack.Unpacker(max_buffer_size=len(buffer) + 1)
        unpacker.feed(buffer)
        with contextlib.suppress(IndexError, ValueError, msgpack.UnpackException):  # too little data, or no object
            while buffer[start] in _BEGINNINGS:
                unpacker.skip()
                end = unpacker.tell()
                if end - start > self._limit:
                    self._refuse("oversize", 1)
                else:
                    frames.append(bytes(buffer[start:end]))
                start = end
        del buffer[:start]

    def _scan(self) -> bool:
        """Go on with the first object; say whether it is whole."""
        buffer = self._buffer
        if self._left is None:
            if not buffer:
                return False
            if buffer[0] not in _BEGINNINGS:
                return self._break()
            self._left = 1
        while self._left and self._position < len(buffer):
            if buffer[self._position] == _NEVER:
                return self._break()
            if not self._step(buffer):
                break
            if not self._too_long and self._position + self._left > self._limit:  # an object is a byte or more
                self._refuse("oversize", 1)
                self._too_long = True
        whole = self._left == 0 and self._position <= len(buffer)
        if self._too_long:
            gone = min(self._position, len(buffer))
            del buffer[:gone]
            self._position -= gone
        return whole

    def _step(self, buffer: bytearray) -> bool:
        """Pass one head; False if it is not all there. What follows it may not be there yet."""
        head = _HEADS[buffer[self._position]]
        body = self._position + 1 + head.field
        if body > len(buffer):
            return False
        count = int.from_bytes(buffer[self._position + 1 : body], "big") if head.field else head.fixed
        self._position = body + head.extra + head.bytes_per * count
        self._left = (self._left or 0) + head.objects_per * count - 1
        return True

    def _take(self, frames: list[bytes]) -> None:
        """The first object is whole."""
        if not self._too_long:
            frames.append(bytes(self._buffer[: self._position]))
        del self._buffer[: self._position]
        self._position, self._left, self._too_long = 0, None, False

    def _break(self) -> bool:
        self._refuse("framing", 1)
        self.broken = "it sends something else than MessagePack maps or arrays, which codec binary is made of"
        self._forget()
        return False

    def _forget(self) -> None:
        self._buffer, self._position, self._left, self._too_long = bytearray(), 0, None, False

"""Cut byte streams into whole frames; no I/O, so a test feeds it bytes and reads frames.

How frames end depends on the codec: lines for text, ``<log4j:event>`` elements for log4jxml, MessagePack objects for
binary; or, when asked for, on a count before each (RFC 6587 §3.4.1). Lines are cut by blocks: the last newline of what
was read is looked for, never each line. Any split of the same bytes gives the same frames and the same refusals.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from rutta.net.framing_log4j import Elements
from rutta.net.framing_msgpack import Objects

Refuse = Callable[[str, int], None]
"""Counts inputs that cannot be framed: a word of ``message.ERROR_WORDS``, how many."""

_DIGITS: Final = 9  # a count of more digits is no count: 999 999 999 bytes are above any limit


class Framer(Protocol):
    """The state of one stream."""

    broken: str
    """Why the rest of the stream cannot be framed; empty while it can. The connection is then to be closed."""

    @property
    def pending(self) -> int:
        """How many of the last bytes are kept, for they may be the beginning of a frame: where to begin again."""

    def feed(self, data: bytearray, size: int) -> Sequence[bytes]:
        """Take the first ``size`` bytes of ``data`` and return what became whole; keeps nothing of ``data``."""

    def finish(self) -> Sequence[bytes]:
        """Return what the end of the stream made whole: a last line needs no newline. Refuses half a frame."""

    def abandon(self) -> None:
        """The stream was torn off: half a frame is refused, it may not be what was sent."""


class Framing(NamedTuple):
    """How the streams of a listener are cut, and how frames of many streams travel together.

    ``start`` makes the state of one stream. ``blocks`` joins frames, in order, to as few blocks as possible, and says
    of each whether it is of lines.
    """

    start: Callable[[Refuse], Framer]
    blocks: Callable[[Sequence[bytes]], Iterable[tuple[bytes, bool]]]


LINES: Final = frozenset({"json", "plain", "auto"})
"""Codecs of which one input is one line."""


def for_codec(codec: str, *, max_bytes: int, octet_counted: bool = False) -> Framing:
    """Return how streams of this codec are cut; a longer frame than ``max_bytes`` is refused as ``oversize``."""
    if octet_counted:
        blocks = partial(joined, trims=codec != "plain") if codec in LINES else _each
        return Framing(lambda refuse: Counted(refuse, max_bytes), blocks)
    if codec == "log4jxml":  # its input is any number of elements
        return Framing(lambda refuse: Elements(refuse, max_bytes), lambda frames: ((b"\n".join(frames), False),))
    if codec == "binary":  # what follows a broken object is lost with it: the objects of two peers are never joined
        return Framing(lambda refuse: Objects(refuse, max_bytes), _each)
    return Framing(lambda refuse: Lines(refuse, max_bytes), lambda frames: ((b"".join(frames), True),))


def _each(frames: Sequence[bytes]) -> Iterable[tuple[bytes, bool]]:
    return ((frame, False) for frame in frames)


def joined(messages: Iterable[bytes], *, trims: bool) -> Iterator[tuple[bytes, bool]]:
    """Join whole messages (datagrams, counted frames) of a line codec to blocks of lines, in order.

    Newlines at a message's end are taken off: all if ``trims``, else one (``plain`` keeps what is beyond the line
    ending). A message with a newline left inside stays a block of its own, one input.
    """
    run: list[bytes] = []
    for message in messages:
        one = message.rstrip(b"\r\n") if trims else unended(message)
        if b"\n" not in one:
            run.append(one)
            continue
        if run:
            yield b"\n".join(run) + b"\n", True
            run = []
        yield one, False
    if run:
        yield b"\n".join(run) + b"\n", True


def unended(line: bytes) -> bytes:
    """Take one line ending off."""
    return line[:-2] if line.endswith(b"\r\n") else line[:-1] if line.endswith(b"\n") else line


class Lines:
    """Lines that end in ``\\n`` or ``\\r\\n``; blocks have ``\\n`` only. The limit counts all but ``\\n``."""

    __slots__ = ("_limit", "_refuse", "_rest", "_skipping", "broken")

    def __init__(self, refuse: Refuse, limit: int) -> None:
        """``limit`` in bytes."""
        self._refuse = refuse
        self._limit = limit
        self._rest = bytearray()
        self._skipping = False
        self.broken = ""

    @property
    def pending(self) -> int:
        """How many of the last bytes are kept."""
        return len(self._rest)

    def feed(self, data: bytearray, size: int) -> Sequence[bytes]:
        """Return at most one block of whole lines."""
        end = data.rfind(b"\n", 0, size) + 1
        if not end:
            self._keep(data, 0, size)
            return ()
        start = 0
        if self._skipping:
            start = data.find(b"\n", 0, size) + 1
            self._skipping = False
        with memoryview(data) as view:
            block = b"".join((self._rest, view[start:end])) if self._rest else bytes(view[start:end])
        if self._rest:
            self._rest = bytearray()
        if end < size:
            self._keep(data, end, size)
        return self._clean(block)

    def finish(self) -> Sequence[bytes]:
        """A last line without a newline is a line."""
        rest, self._rest, self._skipping = bytes(self._rest), bytearray(), False
        return self._clean(rest + b"\n") if rest else ()

    def abandon(self) -> None:
        """Half a line is refused."""
        if self._rest:
            self._refuse("framing", 1)
        self._rest, self._skipping = bytearray(), False

    def _keep(self, data: bytearray, start: int, end: int) -> None:
        """Keep the beginning of a line, as long as it can become one."""
        if self._skipping:
            return
        with memoryview(data) as view:
            self._rest += view[start:end]
        if len(self._rest) > self._limit:
            self._refuse("oversize", 1)
            self._rest, self._skipping = bytearray(), True

    def _clean(self, block: bytes) -> Sequence[bytes]:
        """Take out over-long lines and carriage returns; both are looked for in the block, not line by line."""
        if len(block) > self._limit:
            block = self._shortened(block)
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        return (block,) if block else ()

    def _shortened(self, block: bytes) -> bytes:
        """Leave out lines above the limit: jump from newline to newline, a limit's length at a time."""
        limit, position, kept = self._limit, 0, 0
        parts: list[bytes] = []
        while len(block) - position > limit:
            newline = block.rfind(b"\n", position, position + limit + 1)
            if newline < 0:
                parts.append(block[kept:position])
                self._refuse("oversize", 1)
                newline = block.find(b"\n", position + limit)
                kept = newline + 1
            position = newline + 1
        return b"".join(parts) + block[kept:] if parts else block


class Counted:
    """Octet counting: ``LEN SP MSG``, over and over (RFC 6587 §3.4.1)."""

    __slots__ = ("_buffer", "_limit", "_refuse", "_skip", "broken")

    def __init__(self, refuse: Refuse, limit: int) -> None:
        """``limit`` in bytes of MSG."""
        self._refuse = refuse
        self._limit = limit
        self._buffer = bytearray()
        self._skip = 0
        self.broken = ""

    @property
    def pending(self) -> int:
        """How many of the last bytes are kept."""
        return len(self._buffer)

    def feed(self, data: bytearray, size: int) -> Sequence[bytes]:
        """Return the messages that became whole."""
        if self.broken:
            return ()
        with memoryview(data) as view:
            self._buffer += view[:size]
        messages: list[bytes] = []
        position = 0
        while (following := self._one(position, messages)) is not None:
            position = following
        del self._buffer[:position]
        return messages

    def finish(self) -> Sequence[bytes]:
        """Half a message is refused: its count says that it is not whole."""
        self.abandon()
        return ()

    def abandon(self) -> None:
        """Half a message is refused; one that was too long has been already."""
        if self._buffer and not self.broken:
            self._refuse("framing", 1)
        self._buffer, self._skip = bytearray(), 0

    def _one(self, start: int, messages: list[bytes]) -> int | None:
        """Take one message from ``start``; return where it ends, None if it is not whole."""
        buffer = self._buffer
        if self._skip:
            gone = min(self._skip, len(buffer) - start)
            self._skip -= gone
            return start + gone if gone else None
        space = buffer.find(b" ", start, start + _DIGITS + 1)
        digits = bytes(buffer[start : space if space >= 0 else start + _DIGITS + 1])
        if (digits and not digits.isdigit()) or (space < 0 and len(digits) > _DIGITS) or space == start:
            self._break()
            return None
        if space < 0:
            return None
        if int(digits) > self._limit:
            self._refuse("oversize", 1)
            self._skip = int(digits)
            return space + 1
        end = space + 1 + int(digits)
        if end > len(buffer):
            return None
        messages.append(bytes(buffer[space + 1 : end]))
        return end

    def _break(self) -> None:
        self._refuse("framing", 1)
        self.broken = "a frame does not begin with its length; the sender does not count octets (octetCounted)"
        self._buffer = bytearray()

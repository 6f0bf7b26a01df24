"""What becomes of the bytes of a file: blocks. One shaper per file; each source has its own kind."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

from rutta.message import Block
from rutta.net import framing


class Made(NamedTuple):
    """A block of one stream of a file; every line of the stream before offset ``start`` is in an earlier block."""

    block: Block
    start: int
    stream: int = 0


class Shaper(Protocol):
    """Makes blocks of what is read, in order."""

    @property
    def streams(self) -> int:
        """How many independent streams a file holds."""

    @property
    def takes_lines(self) -> bool:
        """Whether it wants whole lines; else it keeps the rest of what it was given."""

    @property
    def broken(self) -> str:
        """Why the rest of the file cannot be read; empty while it can."""

    def shape(self, data: bytearray, size: int, start: int, *, only: int | None = None) -> Sequence[Made]:
        """Take ``size`` bytes that stand at offset ``start``; of stream ``only``, when given, and drop the others."""

    def due(self, now: float) -> Sequence[Made]:
        """Return what has waited too long for what belongs to it; ``now`` is monotonic."""

    def finish(self) -> Sequence[Made]:
        """Nothing more comes: return what is held."""

    def abandon(self) -> None:
        """The file was cut short: what is held will never be whole."""

    def floor(self, stream: int, otherwise: int) -> int:
        """Return the offset of the first line of a stream that is held here; ``otherwise`` if none is."""

    @property
    def is_holding(self) -> bool:
        """Whether ``due`` may have something some time."""

    @property
    def inherits(self) -> bool:
        """Whether a file may begin with the rest of what the file before it ends with."""

    def inherit(self, older: Self, streams: Sequence[int]) -> None:
        """Hold what is held of the file before, which was read to its end, and is from now on not held there."""

    def has_inherited(self, stream: int) -> bool:
        """Whether something of the file before is still held."""

    def holds(self, stream: int) -> bool:
        """Whether something of a stream is held that the next file may go on with."""

    def let_go(self, stream: int) -> None:
        """Forget what is held of a stream: it was done before."""


class Alone:
    """A file that has nothing to do with the one before it."""

    inherits = False

    def inherit(self, older: Self, streams: Sequence[int]) -> None:
        """Nothing is taken over."""

    def has_inherited(self, stream: int) -> bool:
        """Nothing was."""
        return False

    def holds(self, stream: int) -> bool:
        """Nothing is, for the next file."""
        return False

    def let_go(self, stream: int) -> None:
        """Nothing is held for the next file."""


class Lines(Alone):
    """Whole lines as they are; over-long ones are left out."""

    streams = 1
    takes_lines = True
    broken = ""
    is_holding = False

    def __init__(self, context: Mapping[str, Any], refuse: framing.Refuse, limit: int) -> None:
        """``limit`` is the most bytes of a line."""
        self._context = context
        self._framer = framing.Lines(refuse, limit)

    def shape(self, data: bytearray, size: int, start: int, *, only: int | None = None) -> Sequence[Made]:
        """Make one block."""
        return [Made(Block(one, context=self._context), start) for one in self._framer.feed(data, size)]

    def due(self, now: float) -> Sequence[Made]:
        """Nothing waits."""
        return ()

    def finish(self) -> Sequence[Made]:
        """Nothing is held."""
        return ()

    def abandon(self) -> None:
        """Nothing is held."""

    def floor(self, stream: int, otherwise: int) -> int:
        """Nothing is held."""
        return otherwise


class Frames(Alone):
    """What ends otherwise than by lines (log4j's XML, MessagePack); keeps the beginning of what is not whole."""

    streams = 1
    takes_lines = False
    is_holding = False

    def __init__(self, context: Mapping[str, Any], refuse: framing.Refuse, cut: framing.Framing) -> None:
        """``cut`` says how streams of the codec are cut."""
        self._context = context
        self._cut = cut
        self._framer = cut.start(refuse)
        self._end = 0

    @property
    def broken(self) -> str:
        """Why the rest cannot be framed."""
        return self._framer.broken

    def shape(self, data: bytearray, size: int, start: int, *, only: int | None = None) -> Sequence[Made]:
        """Make blocks of what became whole."""
        before = self.floor(0, start)
        self._end = start + size
        return self._made(self._framer.feed(data, size), before)

    def _made(self, frames: Sequence[bytes], start: int) -> Sequence[Made]:
        if not frames:
            return ()
        return [
            Made(Block(data, lines=lines, context=self._context), start) for data, lines in self._cut.blocks(frames)
        ]

    def due(self, now: float) -> Sequence[Made]:
        """A frame may take any time."""
        return ()

    def finish(self) -> Sequence[Made]:
        """Half a frame is refused."""
        return self._made(self._framer.finish(), self.floor(0, self._end))

    def abandon(self) -> None:
        """Half a frame is refused."""
        self._framer.abandon()

    def floor(self, stream: int, otherwise: int) -> int:
        """What is not whole is read again after a restart."""
        return self._end - self._framer.pending if self._framer.pending else otherwise

"""Cut byte streams into whole frames; no I/O, so a test feeds it bytes and reads frames.

How frames end depends on the codec: lines for text, ``<log4j:event>`` elements for log4jxml, MessagePack objects for
binary; or, when asked for, on a count before each (RFC 6587 §3.4.1); syslog has lines or counts, as the stream begins.
Lines are cut by blocks: the last newline of what was read is looked for, never each line. Any split of the same bytes
gives the same frames and the same refusals.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from rutta.net.framing_lines import Lines
from rutta.net.framing_log4j import Elements
from rutta.net.framing_msgpack import Objects
from rutta.net.framing_octets import Counted, Either, folded

__all__ = ["LINES", "Framer", "Framing", "Lines", "Refuse", "for_codec", "joined", "unended"]

Refuse = Callable[[str, int], None]
"""Counts inputs that cannot be framed: a word of ``message.ERROR_WORDS``, how many."""


class Framer(Protocol):
    """The state of one stream."""

    @property
    def broken(self) -> str:
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


LINES: Final = frozenset({"json", "plain", "auto", "syslog"})
"""Codecs of which one input is one line."""


def for_codec(codec: str, *, max_bytes: int, octet_counted: bool = False) -> Framing:
    """Return how streams of this codec are cut; a longer frame than ``max_bytes`` is refused as ``oversize``."""
    if codec == "syslog" and not octet_counted:
        return Framing(lambda refuse: Either(refuse, max_bytes), lambda frames: ((b"".join(frames), True),))
    if octet_counted:
        blocks = partial(joined, codec=codec) if codec in LINES else _each
        return Framing(lambda refuse: Counted(refuse, max_bytes), blocks)
    if codec == "log4jxml":  # its input is any number of elements
        return Framing(lambda refuse: Elements(refuse, max_bytes), lambda frames: ((b"\n".join(frames), False),))
    if codec == "binary":  # what follows a broken object is lost with it: the objects of two peers are never joined
        return Framing(lambda refuse: Objects(refuse, max_bytes), _each)
    return Framing(lambda refuse: Lines(refuse, max_bytes), lambda frames: ((b"".join(frames), True),))


def _each(frames: Sequence[bytes]) -> Iterable[tuple[bytes, bool]]:
    return ((frame, False) for frame in frames)


def joined(messages: Sequence[bytes], *, codec: str) -> Iterator[tuple[bytes, bool]]:
    """Join whole messages (datagrams, counted frames) of a line codec to blocks of lines, in order.

    Newlines at a message's end are taken off, but ``plain`` keeps what is beyond one line ending. A message with a
    newline left inside stays a block of its own, one input; ``syslog`` has a way to write it as a line.
    """
    if codec == "syslog":
        yield folded(messages), True
        return
    trims, run = codec != "plain", list[bytes]()
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

"""Cut a stream of log4j's XML into its ``event`` elements; they may have many lines and need no root element.

The scan knows quotes, CDATA and comments, so an end tag inside a message ends nothing. It goes on where it stopped: an
element that comes byte by byte costs no more than one that comes at once.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

# Prefixes and spaces have a bound, so that a token that is not whole yet can be told from none: see _LONGEST.
_PREFIX: Final = rb"(?:[A-Za-z_][\w.\-]{0,63}:)?"
_START: Final = re.compile(rb"<" + _PREFIX + rb"event(?=[\s/>])")
_INSIDE: Final = re.compile(rb"<!\[CDATA\[|<!--|</" + _PREFIX + rb"event\s{0,64}>|(<" + _PREFIX + rb"event)[\s/>]")
_IN_TAG: Final = re.compile(rb"[\"'>]")
_LONGEST: Final = 256

# What may stand between elements: space, a declaration, the tags of a root element, a comment.
_BETWEEN: Final = re.compile(
    rb"(?:\s++|<\?[^>]{0,256}\?>|</?" + _PREFIX + rb"eventSet\b[^<>]{0,512}>|<!--.{0,512}?-->)*+", re.DOTALL
)

_CLOSERS: Final = {b"<![CDATA[": b"]]>", b"<!--": b"-->", b'"': b'"', b"'": b"'"}

OUTSIDE, TAG, CONTENT = range(3)


class Elements:
    """The state of one stream."""

    __slots__ = ("_buffer", "_junk", "_limit", "_mode", "_position", "_refuse", "_too_long", "_until", "broken")

    def __init__(self, refuse: Callable[[str, int], None], limit: int) -> None:
        """``limit`` is the most bytes of an element."""
        self._refuse = refuse
        self._limit = limit
        self._buffer = bytearray()  # from the begin of the element, or of what stands before the next one
        self._position = 0  # where the scan goes on
        self._mode = OUTSIDE
        self._until = b""  # what ends a quote, CDATA or comment we are in
        self._too_long = False
        self._junk = False
        self.broken = ""

    @property
    def pending(self) -> int:
        """How many of the last bytes are kept, for they may be the beginning of an element."""
        return len(self._buffer)

    def feed(self, data: bytearray, size: int) -> Sequence[bytes]:
        """Return the elements that became whole."""
        with memoryview(data) as view:
            self._buffer += view[:size]
        frames: list[bytes] = []
        while self._step(frames):
            pass
        self._bound()
        return frames

    def finish(self) -> Sequence[bytes]:
        """Half an element is refused."""
        self.abandon()
        return ()

    def abandon(self) -> None:
        """Half an element is refused; one that was too long has been already."""
        if self._mode == OUTSIDE:
            self._judge(len(self._buffer))
        elif not self._too_long:
            self._refuse("framing", 1)
        self._restart(len(self._buffer))

    def _step(self, frames: list[bytes]) -> bool:
        """Go on to the next token; say whether there was one."""
        if self._until:
            return self._close()
        if self._mode == OUTSIDE:
            return self._open()
        return self._tag(frames) if self._mode == TAG else self._inside(frames)

    def _close(self) -> bool:
        """Look for the end of a quote, CDATA or comment."""
        found = self._buffer.find(self._until, self._position)
        if found < 0:
            self._position = max(self._position, len(self._buffer) - len(self._until) + 1)
            return False
        self._position = found + len(self._until)
        self._until = b""
        return True

    def _open(self) -> bool:
        """Look for the next element, and judge what stood before it."""
        found = _START.search(self._buffer, self._position)
        if found is None:
            self._wait()
            return False
        self._judge(found.start())
        size = found.end() - found.start()
        del self._buffer[: found.start()]
        self._mode, self._position = TAG, size
        return True

    def _tag(self, frames: list[bytes]) -> bool:
        """Look for the end of the start tag; ``<event/>`` is whole."""
        found = _IN_TAG.search(self._buffer, self._position)
        if found is None:
            self._position = len(self._buffer)
            return False
        self._position = found.end()
        if found[0] != b">":
            self._until = _CLOSERS[bytes(found[0])]
        elif self._buffer[found.start() - 1] == 0x2F:  # "/"
            self._end(frames)
        else:
            self._mode = CONTENT
        return True

    def _inside(self, frames: list[bytes]) -> bool:
        """Look for what matters in an element's content."""
        found = _INSIDE.search(self._buffer, self._position)
        if found is None:
            self._wait()
            return False
        token = bytes(found[0])
        if found[1] is not None:  # an element begins inside: the one before has lost its end
            self._lose(found.start())
            return True
        self._position = found.end()
        if token in _CLOSERS:
            self._until = _CLOSERS[token]
        else:
            self._end(frames)
        return True

    def _wait(self) -> None:
        """Nothing found: go on at the last ``<`` that may begin a token that is not whole, else at the end."""
        size = len(self._buffer)
        last = self._buffer.rfind(b"<", max(self._position, size - _LONGEST))
        self._position = size if last < 0 else last

    def _end(self, frames: list[bytes]) -> None:
        if self._too_long:
            pass
        elif self._position > self._limit:
            self._refuse("oversize", 1)
        else:
            frames.append(bytes(self._buffer[: self._position]))
        self._restart(self._position)

    def _lose(self, at: int) -> None:
        if not self._too_long:
            self._refuse("oversize" if at > self._limit else "framing", 1)
        self._restart(at)

    def _restart(self, at: int) -> None:
        del self._buffer[:at]
        self._position, self._mode, self._until, self._too_long = 0, OUTSIDE, b"", False

    def _judge(self, size: int) -> None:
        """Refuse what stood between elements if it is more than space and the tags of a root."""
        if self._junk or size > self._limit or (size and _BETWEEN.fullmatch(self._buffer, 0, size) is None):
            self._refuse("framing", 1)
        self._junk = False

    def _bound(self) -> None:
        """Refuse what was scanned beyond the limit and has not ended, and let go of it."""
        if self._position <= self._limit:
            return
        if self._mode == OUTSIDE:
            self._junk = True
        elif not self._too_long:
            self._refuse("oversize", 1)
            self._too_long = True
        gone = max(0, self._position - 1)  # the byte before is looked at for "/>"
        del self._buffer[:gone]
        self._position -= gone

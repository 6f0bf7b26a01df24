"""Cut a stream of syslog messages (RFC 6587): counted octets, or lines; told apart by how the stream begins."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from rutta.net.framing_lines import Lines

Refuse = Callable[[str, int], None]

_DIGITS: Final = 9  # a count of more digits is no count: 999 999 999 bytes are above any limit
_NUL: Final = 0
_COUNTED: Final = re.compile(rb"[1-9][0-9]{0,8} <")
_UNDECIDED: Final = re.compile(rb"[1-9][0-9]{0,8} ?|")


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
        position = self._many(messages)
        while (following := self._one(position, messages)) is not None:
            position = following
        del self._buffer[:position]
        return messages

    def _many(self, messages: list[bytes]) -> int:
        """Take whole messages as long as nothing is special; return where it stopped. It costs a third of ``_one``."""
        if self._skip:
            return 0
        buffer, limit, start = bytes(self._buffer), self._limit, 0
        total, find, take = len(buffer), buffer.find, messages.append
        while (space := find(b" ", start, start + _DIGITS + 1)) > start:
            digits = buffer[start:space]
            if not digits.isdigit():
                break
            end = space + 1 + int(digits)
            if end > total or end - space - 1 > limit:
                break
            take(buffer[space + 1 : end])
            start = end
        return start

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


class Either:
    """Octet counting, or lines (RFC 6587 §3.4): a stream that begins with a count and ``<`` is counted to its end.

    A line ends in ``\\n``, ``\\r\\n``, or NUL, which some senders use (§3.4.2). Counted messages come as lines, too:
    see ``folded``.
    """

    __slots__ = ("_begun", "_framer", "_limit", "_refuse")

    def __init__(self, refuse: Refuse, limit: int) -> None:
        """``limit`` in bytes of one message."""
        self._refuse = refuse
        self._limit = limit
        self._begun = bytearray()
        self._framer: Lines | Counted | None = None

    @property
    def broken(self) -> str:
        """Why the rest of the stream cannot be framed."""
        return "" if self._framer is None else self._framer.broken

    @property
    def pending(self) -> int:
        """How many of the last bytes are kept."""
        return len(self._begun) if self._framer is None else self._framer.pending

    def feed(self, data: bytearray, size: int) -> Sequence[bytes]:
        """Return what became whole, as lines."""
        if self._framer is None:
            self._begun += data[:size]
            if _UNDECIDED.fullmatch(self._begun):
                return ()
            data, size, self._begun = self._begun, len(self._begun), bytearray()
            self._framer = (Counted if _COUNTED.match(data) else Lines)(self._refuse, self._limit)
        if isinstance(self._framer, Counted):
            return _one_block(self._framer.feed(data, size))
        if data.find(_NUL, 0, size) >= 0:
            data = data[:size].replace(b"\0", b"\n")
        return self._framer.feed(data, size)

    def finish(self) -> Sequence[bytes]:
        """A last line without a newline is a line; half a counted message is refused."""
        if self._framer is None:
            self._framer = Lines(self._refuse, self._limit)
            return (*self._framer.feed(self._begun, len(self._begun)), *self._framer.finish())
        return self._framer.finish()

    def abandon(self) -> None:
        """Half a message is refused."""
        if self._framer is not None:
            self._framer.abandon()
        elif self._begun:
            self._refuse("framing", 1)
            self._begun = bytearray()


def folded(messages: Sequence[bytes]) -> bytes:
    """Write whole messages (datagrams, counted frames) as lines: a newline inside of one becomes NUL.

    What a message ends in (newlines, NUL) is taken off. The codec ``syslog`` unfolds.
    """
    data = b"\n".join(messages) + b"\n"
    if len(messages) == data.count(b"\n") and b"\r" not in data and b"\0" not in data:
        return data
    return b"".join([message.rstrip(b"\r\n\0").replace(b"\n", b"\0") + b"\n" for message in messages])


def _one_block(messages: Sequence[bytes]) -> Sequence[bytes]:
    return (folded(messages),) if messages else ()

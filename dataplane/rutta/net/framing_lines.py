"""Cut a stream into blocks of lines: the last newline of what was read is looked for, never each line."""

from collections.abc import Callable, Sequence

Refuse = Callable[[str, int], None]


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

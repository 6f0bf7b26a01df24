"""The codec of proxies: blocks stay closed, so a proxy can carry what it cannot read."""

from collections.abc import Sequence
from typing import NoReturn

from rutta.events.event import Event
from rutta.message import Batch, Block, Columns
from rutta.rows.rows import count_lines


class Opaque:
    """Makes batches that nobody looks into."""

    def decode(self, block: Block, columns: Columns) -> Batch:
        """Keep the block as it is; ``columns`` must be empty, which is so where all targets are links."""
        count = block.count or (count_lines(block.data) if block.lines else 1)  # a link has checked its count
        return Batch.of(block, OpaqueRows(block.codec or "json", count, block.data))


class OpaqueRows:
    """Events that are carried, not read."""

    __slots__ = ("_count", "_payload", "codec")

    closed = True  # queues do not cut it

    def __init__(self, codec: str, count: int, payload: bytes) -> None:
        """``codec`` is the one that the first sender named."""
        self.codec = codec
        self._count = count
        self._payload = payload

    def __len__(self) -> int:
        """Count the events, as the first sender counted them."""
        return self._count

    def payload(self) -> bytes:
        """Return the block as it came."""
        return self._payload

    def lines(self) -> Sequence[bytes]:
        """Return the lines."""
        return self._payload.removesuffix(b"\n").split(b"\n")

    def column(self, name: str) -> NoReturn:
        """Refuse."""
        raise TypeError("the events of a proxy are closed; route and look inside on a router")

    def events(self) -> Sequence[Event]:
        """Refuse."""
        self.column("*")

    def take(self, rows: Sequence[int]) -> "OpaqueRows":
        """Return all rows as they are, or some of the lines."""
        if len(rows) == self._count:
            return self
        lines = self.lines()
        return OpaqueRows(self.codec, len(rows), b"".join([lines[row] + b"\n" for row in rows]))

"""What stands behind one listener: its codecs, its counters, and the way to the targets' queues."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from rutta import components
from rutta.codecs import Codec
from rutta.events.event import Event
from rutta.events.json_text import BOM
from rutta.message import Batch, Block, Columns, Failure, Receipt
from rutta.rows import plain_blocks
from rutta.stats import ListenerStats

log = logging.getLogger("rutta.intake")

QUIET: Final = 60.0  # seconds between two log lines on a listener's bad inputs


class Gate:
    """Open while no queue with policy Block is full; all listeners of a process look at one."""

    def __init__(self) -> None:
        """Open."""
        self._full = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def full(self) -> bool:
        """Whether some queue holds the senders back."""
        return self._full > 0

    def closed(self) -> None:
        """A queue has become full."""
        self._full += 1

    def opened(self) -> None:
        """A full queue has room again, or is gone."""
        self._full -= 1
        if not self._full:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def room(self) -> None:
        """Wait until no queue is full."""
        while self._full:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future


class BlockIntake:
    """The ``Intake`` of one listener."""

    def __init__(
        self,
        stats: ListenerStats,
        gate: Gate,
        route: Callable[[Batch, Receipt], None],
        *,
        codec: Callable[[str | None], Codec],
        columns: Callable[[], Columns],
    ) -> None:
        """``codec`` finds the codec of a block that names one (None: the listener's own)."""
        self.stats = stats
        self._gate = gate
        self._route = route
        self._codec = codec
        self._columns = columns
        self._untold = 0  # bad inputs since the last log line on them
        self._quiet_until = 0.0

    @property
    def full(self) -> bool:
        """Whether to stop reading."""
        return self._gate.full

    async def room(self) -> None:
        """Wait until reading makes sense."""
        await self._gate.room()

    def offer(self, block: Block) -> Receipt:
        """Decode a block and put it on the queues."""
        stats = self.stats
        stats.bytes += len(block.data)
        try:
            batch = self._codec(block.codec).decode(block, self._columns())
        except Exception as exc:  # noqa: BLE001 - a bug of a codec is an input that cannot be read, and ends nothing
            return self._unread(block, exc)
        count = len(batch)
        if batch.failed:
            self._count_failures(batch)
        receipt = Receipt(count, batch.errors, batch.failed)
        if count:
            stats.received += count
            self._route(batch, receipt)
        receipt.release()
        return receipt

    def _unread(self, block: Block, exc: Exception) -> Receipt:
        """Count a block that a codec failed on as one error."""
        log.error(
            "The codec of listener %s met a bug; the block is refused: %r",
            self.stats.name,
            exc,
            exc_info=exc,
            extra={"event": "codec_bug", "fields": {"listener": self.stats.name, "bytes": len(block.data)}},
        )
        self.stats.errors["codec"] += 1
        self.stats.failed(repr(exc))
        receipt = Receipt(0, [Failure(0, "codec", "this input cannot be read")], 1)
        receipt.release()
        return receipt

    def _count_failures(self, batch: Batch) -> None:
        """Only the first failures are kept with a batch: the rest counts under the last one's word."""
        for failure in batch.errors:
            self.stats.errors[failure.word] += 1
        if batch.errors:
            self.stats.errors[batch.errors[-1].word] += batch.failed - len(batch.errors)
            self.stats.failed(batch.errors[-1].message)
        else:
            self.stats.errors["malformed"] += batch.failed
        self._tell(batch.failed, batch.errors[-1].message if batch.errors else "malformed")

    def refuse(self, word: str, count: int = 1) -> None:
        """Count inputs that never became a block."""
        self.stats.errors[word] += count
        self._tell(count, word)

    def _tell(self, count: int, why: str) -> None:
        """Log bad inputs, but once in a while: whoever sends nothing else must not fill the log, too."""
        self._untold += count
        now = time.monotonic()
        if now < self._quiet_until:
            return
        what = "1 input was no event" if self._untold == 1 else f"{self._untold} inputs were no events, the last"
        log.warning(
            "Listener %s: %s: %s; all are counted in rutta_decode_errors_total.", self.stats.name, what, why[:300],
            extra={"event": "bad_input", "fields": {"listener": self.stats.name, "inputs": self._untold}},
        )  # fmt: skip
        self._untold, self._quiet_until = 0, now + QUIET

    def kernel_drops(self, count: int) -> None:
        """Count what the kernel dropped."""
        self.stats.kernel_drops += count


def codecs_of(
    own: str | None, *, strict: bool, opaque: Codec | None, only_links: Callable[[], bool] = lambda: False
) -> Callable[[str | None], Codec]:
    """Return a finder of codecs by name; ``own`` serves blocks that name none. ``opaque`` (proxies) serves all.

    ``only_links`` says whether nobody looks at events here: lines of codec auto then go on as they are.
    """
    if opaque is not None:
        return lambda _name: opaque
    known: dict[str | None, Codec] = {}

    def find(name: str | None) -> Codec:
        codec = known.get(name)
        if codec is None:
            word = name or own or "json"
            if word not in components.names("codecs"):
                return _NoCodec(word)
            made: Codec = components.module("codecs", word).make(strict if name is None else False)
            is_told_later = word == "auto" and not (strict and name is None)
            codec = known[name] = _Untold(made, only_links) if is_told_later else made
        return codec

    return find


class _Untold:
    """Codec auto where only links are: the next one tells JSON from text anyway, so lines are only counted.

    That is two fifths of what a shipper costs per line. A byte order mark is no line's, and goes the long way.
    """

    def __init__(self, auto: Codec, only_links: Callable[[], bool]) -> None:
        self._auto = auto
        self._only_links = only_links

    def decode(self, block: Block, columns: Columns) -> Batch:
        if block.lines and self._only_links() and not block.data.startswith(BOM):
            return plain_blocks.lines(block, "auto")
        return self._auto.decode(block, columns)


class _NoCodec:
    """A peer named a codec that is not known here (a newer one, or nonsense): its block is one error."""

    def __init__(self, word: str) -> None:
        self._word = word[:50]

    def decode(self, block: Block, columns: Columns) -> Batch:
        message = f"the block's codec {self._word!r} is not known here"
        return Batch.of(block, _Nothing(), errors=[Failure(0, "codec", message)], failed=max(1, block.count))


class _Nothing:
    """Rows of a batch without events."""

    codec = "json"

    def __len__(self) -> int:
        return 0

    def payload(self) -> bytes:
        return b""

    def lines(self) -> Sequence[bytes]:
        return ()

    def column(self, name: str) -> Sequence[Any]:
        return ()

    def events(self) -> Sequence[Event]:
        return ()

    def take(self, rows: Sequence[int]) -> "_Nothing":
        return self

"""What a listener is. Each module beside this one is one: a docstring, a frozen ``Config``, a ``make``.

A component's file name is its key (``splunk_hec.py`` is ``splunkHec``). ``make(config, name)`` builds it without
touching the network.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rutta.message import Block, Receipt


class Intake(Protocol):
    """Where a listener hands over what it read. One per listener; the codec and the counters are behind it."""

    @property
    def full(self) -> bool:
        """Whether a queue with policy Block is full: stop reading until ``room`` returns."""

    def offer(self, block: Block) -> Receipt:
        """Decode and queue a block; never waits, never raises for input, and may overrun the queues by this block.

        Bytes, events and decode errors are counted here.
        """

    async def room(self) -> None:
        """Wait until no queue with policy Block is full."""

    def refuse(self, word: str, count: int = 1) -> None:
        """Count inputs that never became a block (``word`` of ``message.ERROR_WORDS``: oversize, framing, …)."""

    def kernel_drops(self, count: int) -> None:
        """Count what the kernel dropped before it could be read."""


class Listener(Protocol):
    """Reads from the network, or from files (sources), and offers blocks."""

    async def bind(self) -> Sequence[str]:
        """Bind, and return what was bound (``127.0.0.1:10001``; the real port for 0). ConfigError if it cannot."""

    async def serve(self, intake: Intake) -> None:
        """Read until ``stop``; return when all that was read has been offered and every peer has its answer.

        Stops reading while ``intake.full``. Owns its connections and closes them, also when cancelled.
        """

    def stop(self) -> None:
        """Take in nothing new; ``serve`` returns soon. Idempotent; may be called before ``serve``."""

    def status(self) -> Mapping[str, Any]:
        """Say what ``/status`` shows of it (connections, buffer sizes); JSON values, cheap, no secrets."""

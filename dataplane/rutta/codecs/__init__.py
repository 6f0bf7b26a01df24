"""What a codec is. Each module beside this one is one: ``make(strict)`` builds it."""

from typing import Protocol

from rutta.message import Batch, Block, Columns


class Codec(Protocol):
    """Makes a batch of a block."""

    def decode(self, block: Block, columns: Columns) -> Batch:
        """Decode a block; what was not an event is in ``batch.errors`` and ``batch.failed``. Never raises for input.

        ``columns`` is what somebody will read of the events; nothing else is decoded. The whole block is decoded at
        once; only when that fails does it go input by input.
        """

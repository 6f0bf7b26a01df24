"""Plain text: every line is an event, its text the line, in whatever encoding; never fails.

Without ``lines`` the whole input is one event, newlines inside kept; one line ending at its end is taken off.
"""

from rutta.message import Batch, Block, Columns
from rutta.rows import plain_blocks


class PlainCodec:
    """Takes lines as they are."""

    __slots__ = ()

    def decode(self, block: Block, columns: Columns) -> Batch:
        """Count the lines of a block; nothing is decoded until somebody asks."""
        return plain_blocks.decode(block)


def make(strict: bool) -> PlainCodec:
    """Make the codec; ``strict`` has nothing to be strict about."""
    return PlainCodec()

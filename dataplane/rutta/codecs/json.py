"""JSON: one object per line, or an array of objects; the v6 schema, v5's lenient object, or any other object.

Without ``lines`` (a datagram, an http body, a ZeroMQ message) one input may also stretch over several lines, or be
several lines. Lenient promises that every event is a valid JSON object and decodes nothing but the columns asked for;
strict holds every event against the v6 schema and says path and reason of what is wrong.
"""

from rutta.message import Batch, Block, Columns
from rutta.rows import json_blocks


class JsonCodec:
    """Decodes JSON."""

    __slots__ = ("_strict",)

    def __init__(self, strict: bool) -> None:
        """``strict`` asks for the v6 schema."""
        self._strict = strict

    def decode(self, block: Block, columns: Columns) -> Batch:
        """Decode a block."""
        return json_blocks.decode(block, columns, strict=self._strict)


def make(strict: bool) -> JsonCodec:
    """Make the codec."""
    return JsonCodec(strict)

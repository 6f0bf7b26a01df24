"""Blocks of plain text to batches (codecs ``plain`` and ``auto``)."""

from rutta.events.event import NO_TIME, Event
from rutta.message import Batch, Block
from rutta.rows.rows import EventRows, PlainRows, count_lines


def decode(block: Block, codec: str = "plain") -> Batch:
    """Make a block a batch; never fails."""
    return lines(block, codec) if block.lines else single(block, codec)


def lines(block: Block, codec: str) -> Batch:
    """Take every line for an event."""
    data = block.data
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if data and data[-1:] != b"\n":
        data += b"\n"
    # A reader of ours has counted the lines that it has the times of; what a peer says (``count``) is not believed.
    count = len(block.times) if block.times and not block.count else count_lines(data)
    return Batch.of(block, PlainRows(data, count, codec=codec), size=max(1, len(data)))


def single(block: Block, codec: str) -> Batch:
    """Take the whole input for one event; with newlines in it, only JSON can carry it on a line."""
    data = block.data.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" not in data:
        return Batch.of(block, PlainRows(data + b"\n", 1, codec=codec))
    event = Event(text=data.decode(errors="replace"), timestamp=NO_TIME)
    return Batch.of(block, EventRows([event], codec="json" if codec == "plain" else codec))

"""The measured process of the row ``targets``: decodes blocks and has one target deliver them, as the engine does.

Run as ``python -m rutta_bench.client ORDER`` with an ``Order`` as JSON. Blocks, gathering, cutting, concurrency and
settling are the engine's own (``streams.READ_BUFFER``, ``Queue``, ``Delivery``); what is left out is listening. What
it did is written to the order's file: the target ``console`` has standard output.
"""

import asyncio
import itertools
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from rutta import components, conversion
from rutta.codecs import json as json_codec
from rutta.delivery import Delivery, RetryPolicy
from rutta.errors import ConfigError
from rutta.message import Block, Receipt
from rutta.net.streams import READ_BUFFER
from rutta.queue import Queue
from rutta.stats import TargetStats
from rutta.targets import Gathering
from rutta_bench import instants, processes, samples

TOTAL: Final = 8 << 20  # bytes of distinct events that are sent over and over
WARMING: Final = 100  # events that make connections and caches before the clock starts
OPENING: Final = 20.0  # seconds until these must be delivered
LONGEST: Final = 60.0  # seconds to deliver what is queued when the time is over


class Order(Struct, frozen=True, kw_only=True):
    """Which target, where its server is, how long (seconds), where to write the report."""

    name: str
    port: int
    seconds: float
    report: str


class Report(Struct, frozen=True, kw_only=True):
    """What became of the events, in how many CPU-seconds (all threads) and seconds, with how much memory (bytes)."""

    sent: int = 0
    delivered: int = 0
    cpu: float = 0
    seconds: float = 0
    rss_peak: int = 0
    rss_after: int = 0
    trouble: str = ""
    """Why it was not measured."""


class Feed:
    """Decodes blocks into the queue of one target while the queue has room."""

    def __init__(self, order: Order) -> None:
        """Make the target and its lane; ``ConfigError`` if it cannot be made here."""
        module = components.module("targets", order.name)
        gathering: Gathering = getattr(module, "BATCH", Gathering())
        given = instants.settings(order.name, module.EXAMPLE, order.port)
        target = module.make(conversion.convert(given, module.Config), order.name)
        self.stats = TargetStats(order.name, order.name)
        self.sent = 0
        self._room = asyncio.Event()
        self._queue = Queue(_limit(gathering), "Block", on_room=self._room.set)
        self.delivery = Delivery(target, self._queue, self.stats, gathering=gathering, retry=RetryPolicy())
        self._codec = json_codec.make(False)
        self._columns = target.columns
        self._blocks: Iterator[bytes] = itertools.cycle(samples.chunks("json", chunk=READ_BUFFER, total=TOTAL))

    async def put(self, events: int = 0) -> None:
        """Decode a block, or its first events, and queue it; then wait until there is room for another."""
        self._room.clear()
        data = next(self._blocks)
        batch = self._codec.decode(Block(data[: events * samples.SIZE or len(data)]), self._columns)
        receipt = Receipt(len(batch))
        self.delivery.put(batch, receipt)
        receipt.release()
        self.sent += len(batch)
        if self._queue.full:
            await self._room.wait()
        else:
            await asyncio.sleep(0)

    async def drain(self, seconds: float) -> None:
        """Wait until all is delivered; ``TimeoutError`` after ``seconds``."""
        async with asyncio.timeout(seconds):
            await self.delivery.drain()
        self._queue.hurry = False  # draining waits for nothing any more; there is more to come


def _limit(gathering: Gathering) -> int:
    """One gathering for each send and one that waits; bytes."""
    once = min(gathering.max_bytes, gathering.max_events * 2 * samples.SIZE)
    return once * (gathering.concurrency + 1)


async def measure(order: Order) -> Report:
    """Send for the time of the order, after a few events that make connections and caches."""
    feed = Feed(order)
    running = asyncio.create_task(feed.delivery.run())
    try:
        await feed.put(WARMING)
        await feed.drain(OPENING)
        before, sent, cpu, began = feed.stats.delivered, feed.sent, time.process_time(), time.perf_counter()
        async with asyncio.timeout(order.seconds + LONGEST):
            while time.perf_counter() - began < order.seconds:
                await feed.put()
        await feed.drain(LONGEST)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    except TimeoutError:
        return Report(trouble=feed.stats.last_error or "it did not deliver in time")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return Report(
        sent=feed.sent - sent,
        delivered=feed.stats.delivered - before,
        cpu=used,
        seconds=seconds,
        rss_peak=processes.own_memory("VmHWM"),
        rss_after=processes.own_memory("VmRSS"),
        trouble=feed.stats.last_error or "",
    )


def main(arguments: list[Any]) -> None:
    """Do what the order says, and report."""
    order = msgspec.json.decode(arguments[0], type=Order)
    logging.basicConfig(level=logging.WARNING)
    try:
        report = asyncio.run(measure(order))
    except ConfigError as exc:
        report = Report(trouble=str(exc))
    Path(order.report).write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main(sys.argv[1:])

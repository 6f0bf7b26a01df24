"""What one target has yet to deliver: bounded by bytes, with a named answer to "full".

An item stays charged to the queue until it is finished, also while it is being sent, so the limit bounds all that the
target holds. Everything that is put is finished exactly once: delivered or dropped with a reason.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from rutta.message import Batch, Receipt
from rutta.targets import Gathering

WhenFull = Literal["Block", "DropNewest", "DropOldest"]

LOW_WATER: Final = 0.75  # senders held back go on below this share of the limit: no stop and go at every batch


class Item:
    """A batch on its way to one target, and the receipt of its block."""

    __slots__ = ("batch", "bugs", "first_failure", "receipt")

    def __init__(self, batch: Batch, receipt: Receipt, *, first_failure: float | None = None, bugs: int = 0) -> None:
        """The caller has put a hold on ``receipt`` for it."""
        self.batch = batch
        self.receipt = receipt
        self.first_failure = first_failure
        self.bugs = bugs


class Queue:
    """Items in order of arrival; ``bytes`` and ``events`` count what waits and what is being sent."""

    def __init__(self, limit: int, when_full: WhenFull, *, on_room: Callable[[], None] | None = None) -> None:
        """``limit`` in bytes. ``on_room`` is called when a full queue with policy Block is below low water again."""
        self.limit = limit
        self.when_full: Final = when_full
        self.bytes = 0
        self.events = 0
        self.full = False
        self.hurry = False  # no waiting for more: the process is stopping
        self._low = int(limit * LOW_WATER)
        self._on_room = on_room
        self._items: deque[Item] = deque()
        self._waiting_bytes = 0
        self._waiting_events = 0
        self._wanted: Gathering | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None

    def put(self, item: Item) -> list[Item]:
        """Add an item, and return those that had no place: the caller finishes them as dropped.

        Policy Block takes the item always and turns ``full``: whoever reads input stops then.
        """
        size = item.batch.size
        lost: list[Item] = []
        if self.bytes + size > self.limit and self.when_full != "Block":
            if self.when_full == "DropNewest" and self.bytes:
                self.bytes += size
                self.events += len(item.batch)
                return [item]
            lost = self._oldest(size)
        self._items.append(item)
        self.bytes += size
        self.events += len(item.batch)
        self._waiting_bytes += size
        self._waiting_events += len(item.batch)
        if self.bytes >= self.limit and self.when_full == "Block":
            self.full = True
        self._wake()
        return lost

    def _oldest(self, size: int) -> list[Item]:
        """Take out as many of the oldest waiting items as make room for ``size`` bytes."""
        lost: list[Item] = []
        room = self.limit - self.bytes
        while self._items and room < size:
            item = self._items.popleft()
            self._waiting_bytes -= item.batch.size
            self._waiting_events -= len(item.batch)
            room += item.batch.size
            lost.append(item)
        return lost

    def finish(self, batch: Batch) -> None:
        """The events of ``batch`` are delivered or dropped: take them off the account."""
        self.bytes -= batch.size
        self.events -= len(batch)
        self._ease()
        if not self.events and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def resize(self, before: Batch, after: Batch) -> None:
        """An item now holds ``after`` instead of ``before`` (the rest was finished, or sizes were estimates)."""
        self.bytes += after.size - before.size
        self.events += len(after) - len(before)
        self._ease()

    def _ease(self) -> None:
        if self.full and self.bytes <= self._low:
            self.full = False
            if self._on_room is not None:
                self._on_room()

    async def gather(self, gathering: Gathering) -> list[Item]:
        """Wait for items and take as many as one send may have; waits up to ``max_delay`` for more.

        One caller at a time. A batch with more than ``max_events`` is cut; one with more than ``max_bytes`` goes alone.
        """
        while not self._items:
            await self._wait(None)
        if not self.hurry and gathering.max_delay > 0 and not self._enough(gathering):
            await self._linger(gathering)
        return self._take(gathering)

    def _enough(self, gathering: Gathering) -> bool:
        return self._waiting_bytes >= gathering.max_bytes or self._waiting_events >= gathering.max_events

    async def _linger(self, gathering: Gathering) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(gathering.max_delay, self._release_waiter)
        try:
            await self._wait(gathering)
        finally:
            timer.cancel()

    async def _wait(self, wanted: Gathering | None) -> None:
        self._wanted = wanted
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and (self._wanted is None or self._enough(self._wanted)):
            self._release_waiter()

    def _release_waiter(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self, gathering: Gathering) -> list[Item]:
        taken: list[Item] = []
        events = size = 0
        while self._items:
            item = self._items[0]
            count = len(item.batch)
            if taken and (size + item.batch.size > gathering.max_bytes or events + count > gathering.max_events):
                break
            self._items.popleft()
            if count > gathering.max_events and not item.batch.is_closed:
                self._cut(item, gathering.max_events)
                count = len(item.batch)
            size += item.batch.size
            events += count
            self._waiting_bytes -= item.batch.size
            self._waiting_events -= count
            taken.append(item)
        return taken

    def _cut(self, item: Item, at: int) -> None:
        """Leave the first ``at`` events in ``item``; put the others back at the front, under the same receipt."""
        whole = item.batch
        rest = Item(whole.take(range(at, len(whole))), item.receipt, first_failure=item.first_failure, bugs=item.bugs)
        item.batch = whole.take(range(at))
        item.receipt.hold()
        self._items.appendleft(rest)
        extra = item.batch.size + rest.batch.size - whole.size
        self.bytes += extra
        self._waiting_bytes += extra

    def hasten(self) -> None:
        """Stop waiting for more from now on."""
        self.hurry = True
        if self._items:
            self._release_waiter()

    async def idle(self) -> None:
        """Wait until nothing is held. One caller at a time."""
        if self.events:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def abandon(self) -> list[Item]:
        """Take out everything that waits."""
        items = list(self._items)
        self._items.clear()
        self._waiting_bytes = self._waiting_events = 0
        return items

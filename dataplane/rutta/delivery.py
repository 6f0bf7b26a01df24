"""One target's loop: gather batches, send them, retry with backoff, give up by rule; every event ends in a counter.

The target sees a few calls of ``send`` at a time (``Gathering.concurrency``). What it answers is settled here:
delivered, to retry, rejected. ``Retry`` and ``Reject`` are for all batches of the call; any other exception is a bug of
the target: it is opened again, the batches are tried one by one, and a batch that met three bugs is given up.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from rutta.breaker import Breaker
from rutta.errors import Reject, Retry
from rutta.message import Batch, Receipt
from rutta.queue import Item, Queue
from rutta.stats import TargetStats
from rutta.targets import Gathering, Lost, Outcome, Target

log = logging.getLogger("rutta.delivery")

POISON_AFTER: Final = 3
QUIET: Final = 60.0  # seconds between two log lines on the same trouble


class RetryPolicy(NamedTuple):
    """Seconds: first and longest pause between tries, and how long one event is tried at all (None: for ever)."""

    initial: float = 0.1
    maximum: float = 30.0
    budget: float | None = None


class Delivery:
    """Owns one target and its queue, from ``run`` to the end of ``close``."""

    def __init__(
        self, target: Target, queue: Queue, stats: TargetStats, *, gathering: Gathering, retry: RetryPolicy
    ) -> None:
        """Nothing is opened before ``run``."""
        self.target = target
        self.queue = queue
        self.stats = stats
        self.breaker = Breaker(initial=retry.initial, maximum=retry.maximum)
        self._gathering = gathering
        self._retry = retry
        self._turn = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._is_open = False
        self._generation = 0
        self._quiet_until = 0.0
        self._out: dict[Item, None] = {}  # taken from the queue and not finished

    def put(self, batch: Batch, receipt: Receipt) -> None:
        """Queue a batch; what the queue has no place for is dropped and counted."""
        receipt.hold()
        self.stats.received += len(batch)
        for item in self.queue.put(Item(batch, receipt)):
            self._drop(item, item.batch, f"queue_full_{'newest' if item.batch is batch else 'oldest'}")

    async def run(self) -> None:
        """Deliver until cancelled. Unreachable targets are tried again for ever."""
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(self._gathering.concurrency):
                    senders.create_task(self._sender())
        finally:
            await self._close_broken()

    async def _sender(self) -> None:
        await self._open()
        while True:
            async with self._turn:
                items = await self.queue.gather(self._gathering)
            self._out.update(dict.fromkeys(items))
            await self._deliver(items)

    async def _open(self) -> None:
        async with self._opening:
            while not self._is_open:
                try:
                    await self.target.open()
                except Retry as exc:
                    self._failed(exc, after=exc.after)
                    await self.breaker.pause()
                except Exception as exc:  # noqa: BLE001 - a bug of a target never takes the process down (DESIGN §3.3)
                    self._bug(exc)
                    await self.breaker.pause()
                else:
                    self._is_open = True
                    self._generation += 1
                    if not self.breaker.failures:
                        self.breaker.success()

    async def _deliver(self, items: list[Item]) -> None:
        """Send until nothing of ``items`` is left."""
        while items:
            probing = await self.breaker.turn()
            try:
                items, alone = await self._attempt(items)
            finally:
                if probing:
                    self.breaker.probed()
            if alone:
                for item in items:
                    await self._deliver([item])
                return
            items = self._within_budget(items)

    async def _attempt(self, items: list[Item]) -> tuple[list[Item], bool]:
        """Send once; return what is left, and whether to go on item by item (one of them met a bug)."""
        await self._open()
        generation = self._generation
        started = time.monotonic()
        try:
            outcome = await self.target.send([item.batch for item in items])
            return self._settle(items, outcome), False
        except Retry as exc:
            self._failed(exc, after=exc.after)
            self._mark(items)
            return items, False
        except Reject as exc:
            self.breaker.success()
            self._note(f"rejected: {exc}", level=logging.ERROR)
            for item in items:
                self._drop(item, item.batch, "rejected")
            return [], False
        except Exception as exc:  # noqa: BLE001 - a bug of a target never takes the process down (DESIGN §3.3)
            return await self._after_bug(items, exc, generation)
        finally:
            self.stats.send_seconds.observe(time.monotonic() - started)

    def _settle(self, items: list[Item], outcome: Outcome) -> list[Item]:
        """Count what became of each event; return what to try again."""
        if not outcome.retry and not outcome.rejected:
            self.breaker.success()
            for item in items:
                self.stats.delivered += len(item.batch)
                self._finish(item, item.batch)
            return []
        retry, rejected = _by_batch(outcome.retry, items), _by_batch(outcome.rejected, items)
        left = [item for at, item in enumerate(items) if self._settle_one(item, retry[at], rejected[at], outcome.word)]
        if outcome.rejected:
            self._note(f"{outcome.word}: {outcome.rejected[0].reason}", level=logging.ERROR)
        if left:
            self._failed(outcome.retry[0].reason, after=outcome.after)
            self._mark(left)
        else:
            self.breaker.success()
        return left

    def _settle_one(self, item: Item, retry: Sequence[int], rejected: Sequence[int], word: str) -> bool:
        whole = item.batch
        delivered = len(whole) - len(retry) - len(rejected)
        self.stats.delivered += delivered
        if rejected:
            self.stats.dropped[word] += len(rejected)
        if not retry:
            self._finish(item, whole)
            return False
        if len(retry) < len(whole):
            item.batch = whole.take(sorted(retry))
            self.queue.resize(whole, item.batch)
        return True

    def _within_budget(self, items: list[Item]) -> list[Item]:
        budget = self._retry.budget
        if budget is None:
            return items
        now = time.monotonic()
        kept = []
        for item in items:
            if item.first_failure is not None and now - item.first_failure >= budget:
                self._drop(item, item.batch, "retry_budget")
            else:
                kept.append(item)
        return kept

    def _mark(self, items: Sequence[Item]) -> None:
        now = time.monotonic()
        for item in items:
            if item.first_failure is None:
                item.first_failure = now

    async def _after_bug(self, items: list[Item], exc: Exception, generation: int) -> tuple[list[Item], bool]:
        if generation == self._generation:
            self._bug(exc)
            self._is_open = False
            await self._close_broken()
        self._mark(items)
        left = []
        for item in items:
            item.bugs += 1
            if len(items) == 1 and item.bugs >= POISON_AFTER:
                self._drop(item, item.batch, "poison")
            else:
                left.append(item)
        return left, len(items) > 1

    async def _close_broken(self) -> None:
        try:
            await self.target.close()
        except Exception as exc:  # noqa: BLE001 - it is broken already; opening it again is what counts
            log.warning(
                "Closing the target %s failed: %r",
                self.stats.name,
                exc,
                extra={"event": "target_close_failed", "fields": {"target": self.stats.name}},
            )

    def _bug(self, exc: Exception) -> None:
        self.stats.restarts += 1
        log.error(
            "The target %s met a bug and is opened again: %r",
            self.stats.name,
            exc,
            exc_info=exc,
            extra={"event": "target_bug", "fields": {"target": self.stats.name}},
        )
        self.stats.trouble = f"bug: {exc!r}"[:500]
        self.stats.failed(self.stats.trouble)
        self.breaker.failure()

    def _failed(self, why: object, *, after: float | None) -> None:
        self.stats.retries += 1
        self.stats.trouble = str(why)[:500]
        was = self.breaker.state
        wait = self.breaker.failure(after)
        state = "" if was == self.breaker.state else f" ({self.breaker.state})"
        self._note(f"tried again in {wait:.1f} s{state}: {why}", level=logging.WARNING)

    def _note(self, message: str, *, level: int) -> None:
        """Keep the error for ``/status``; log it, but the same target only once in a while."""
        self.stats.failed(message)
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            fields = {"target": self.stats.name, "state": self.breaker.state}
            log.log(
                level, "Target %s: %s", self.stats.name, message, extra={"event": "target_trouble", "fields": fields}
            )

    def _drop(self, item: Item, batch: Batch, word: str) -> None:
        self.stats.dropped[word] += len(batch)
        self._finish(item, batch)

    def _finish(self, item: Item, batch: Batch) -> None:
        self._out.pop(item, None)
        # What was computed for this target is not charged to the queue of a slower one that still holds the batch.
        batch.memo.clear()
        self.queue.finish(batch)
        item.receipt.release()

    def hasten(self) -> None:
        """Wait for nothing any more: neither for events to send along, nor out a pause between tries."""
        self.queue.hasten()
        self.breaker.hasten()

    async def drain(self) -> None:
        """Wait until nothing is held."""
        self.hasten()
        await self.queue.idle()

    def abandon(self, *, release: bool = False) -> int:
        """After ``run`` was cancelled: count what is still held as dropped at shutdown; return how many events.

        When the process ends, their receipts are never done: a sender that waits for them keeps what it sent and sends
        it again. ``release`` ends the receipts: only this target goes, and nobody will ever deliver to it again.
        """
        held = self.queue.events
        items = [*self._out, *self.queue.abandon()]
        self._out.clear()
        if held:
            self.stats.dropped["shutdown"] += held
            self.queue.events = self.queue.bytes = 0
        if release:
            for item in items:
                item.receipt.release()
        return held


def _by_batch(lost: Sequence[Lost], items: Sequence[Item]) -> defaultdict[int, list[int]]:
    """Sort lost events by their batch, each once; ValueError if there is no such event (a bug of the target)."""
    rows: defaultdict[int, list[int]] = defaultdict(list)
    for batch, row in {(one.batch, one.row) for one in lost}:
        if not (0 <= batch < len(items) and 0 <= row < len(items[batch].batch)):
            raise ValueError(f"the outcome names event {row} of batch {batch}, which was not sent")
        rows[batch].append(row)
    return rows

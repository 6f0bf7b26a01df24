"""The targets' side of a process: one lane per target (its queue, its delivery, its task), and what goes where.

A lane is isolated: its own queue, policy, retries and task. Replacing a target drains the old lane in the background;
the new one opens when the old one has closed (both may write the same file).
"""

import asyncio
import logging
from collections.abc import Sequence

from rutta import components
from rutta.config import Route, TargetEntry
from rutta.delivery import Delivery, RetryPolicy
from rutta.errors import ConfigError, Problem
from rutta.intake import Gate
from rutta.message import NOTHING, Batch, Columns, Receipt
from rutta.queue import Queue
from rutta.routes import Routes
from rutta.stats import TargetStats
from rutta.targets import Target

log = logging.getLogger("rutta.lanes")


class Lane:
    """One target with all that is its own."""

    def __init__(self, entry: TargetEntry, target: Target, gate: Gate, *, stats: TargetStats | None = None) -> None:
        """``stats`` of the lane this one replaces are counted on."""
        self.entry = entry
        self.stats = stats or TargetStats(entry.name, entry.component)
        self._gate = gate
        common = entry.common
        self.queue = Queue(int(common.buffer.max_bytes), common.buffer.when_full, on_room=gate.opened)
        retry = RetryPolicy(
            float(common.retry.initial),
            float(common.retry.max),
            None if common.retry.budget is None else float(common.retry.budget),
        )
        self.delivery = Delivery(target, self.queue, self.stats, gathering=entry.gathering, retry=retry)
        self.task: asyncio.Task[None] | None = None
        self.after: asyncio.Task[None] | None = None
        self.before: Lane | None = None

    @property
    def held(self) -> int:
        """Events that its target holds: its own, and those of a lane it replaced and that shares its counters."""
        return self.queue.events + (0 if self.before is None else self.before.held)

    def start(self, tasks: asyncio.TaskGroup, *, after: asyncio.Task[None] | None = None) -> None:
        """Deliver in a task of ``tasks``, once ``after`` (the lane it replaces) is over."""
        self.after = after
        self.task = tasks.create_task(self._run(after), name=f"target {self.entry.name}")

    async def _run(self, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait({after})
        self.before = None
        await self.delivery.run()

    def put(self, batch: Batch, receipt: Receipt) -> None:
        """Queue a batch, and close the gate if that filled the queue."""
        was_full = self.queue.full
        self.delivery.put(batch, receipt)
        if self.queue.full and not was_full:
            self._gate.closed()

    async def stop(self, timeout: float, *, release: bool = False) -> int:
        """Deliver what is held within ``timeout`` seconds, close the target; return how many events were left.

        ``release`` is for a target that goes while the process stays: see ``Delivery.abandon``.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.delivery.drain()
        except TimeoutError:
            pass
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})
        if self.queue.full:
            self.queue.full = False
            self._gate.opened()
        return self.delivery.abandon(release=release)


class Lanes:
    """All lanes of a process. ``route`` is the hot path."""

    def __init__(self, gate: Gate, *, drain_timeout: float) -> None:
        """A lane that goes away gets ``drain_timeout`` seconds. ``tasks`` must be set before ``change``."""
        self.columns: Columns = NOTHING
        self.by_name: dict[str, Lane] = {}
        self.drain_timeout = drain_timeout
        self._gate = gate
        self.tasks: asyncio.TaskGroup
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self.left = 0  # events that targets taken out by a reload could not deliver
        self._order: tuple[Lane, ...] = ()
        self._routes = Routes((), ())

    def route(self, batch: Batch, receipt: Receipt) -> None:
        """Give a batch to the targets that are to have it."""
        if not self._routes:
            for lane in self._order:
                lane.put(batch, receipt)
            return
        for name, part in self._routes.split(batch).items():
            lane = self.by_name[name]
            left_out = len(batch) - (0 if part is None else len(part))
            if left_out:
                lane.stats.received += left_out
                lane.stats.dropped["unrouted"] += left_out
            if part is not None:
                lane.put(part, receipt)

    def change(self, entries: Sequence[TargetEntry], routes: Sequence[Route]) -> None:
        """Go over to these targets and routes; ``ConfigError`` leaves all as it was. Unchanged targets go on."""
        fresh = build([entry for entry in entries if not self._same(entry)])
        old = self.by_name
        self.by_name = {entry.name: fresh_lane(entry, fresh, old, self._gate) for entry in entries}
        self._order = tuple(self.by_name.values())
        self._routes = Routes(routes, tuple(self.by_name))
        targets = [lane.delivery.target for lane in self._order]
        self.columns = self._routes.columns.union(*(target.columns for target in targets))
        for name, lane in old.items():
            if self.by_name.get(name) is not lane:
                self._leaving[name] = self.tasks.create_task(self._leave(lane))
        for name, lane in self.by_name.items():
            if old.get(name) is not lane:
                replaced = old.get(name)
                lane.before = replaced if replaced is not None and replaced.stats is lane.stats else None
                lane.start(self.tasks, after=self._leaving.get(name))

    def _same(self, entry: TargetEntry) -> bool:
        lane = self.by_name.get(entry.name)
        return lane is not None and lane.entry == entry

    async def _leave(self, lane: Lane) -> None:
        left = await lane.stop(self.drain_timeout, release=True)
        self.left += left
        if lane.after is not None:  # never two lanes at one target, however fast reloads come
            await asyncio.wait({lane.after})
        if left:
            log.error(
                "Target %s was taken out with %d events undelivered.",
                lane.entry.name,
                left,
                extra={"event": "target_removed", "fields": {"target": lane.entry.name, "dropped": left}},
            )

    async def stop(self, timeout: float) -> int:
        """Stop all lanes at once, those that a reload takes out, too; return how many events were left."""
        left = sum(await asyncio.gather(*(lane.stop(timeout) for lane in self._order)))
        if leaving := [task for task in self._leaving.values() if not task.done()]:
            await asyncio.wait(leaving)
        return left + self.left


def build(entries: Sequence[TargetEntry]) -> dict[str, Target]:
    """Make the targets of entries; nothing is opened. Raises one ``ConfigError`` for all."""
    found: list[Problem] = []
    targets: dict[str, Target] = {}
    for entry in entries:
        try:
            targets[entry.name] = components.module("targets", entry.component).make(entry.settings, entry.name)
        except ConfigError as exc:
            found += [Problem(f"targets.{entry.name}", str(problem)) for problem in exc.problems]
    if found:
        raise ConfigError(found)
    return targets


def fresh_lane(entry: TargetEntry, fresh: dict[str, Target], old: dict[str, Lane], gate: Gate) -> Lane:
    """Return the lane of an entry: the one it has, or a new one that counts on."""
    before = old.get(entry.name)
    if entry.name not in fresh:
        assert before is not None  # noqa: S101 - what is not fresh is there
        return before
    stats = before.stats if before is not None and before.entry.component == entry.component else None
    return Lane(entry, fresh[entry.name], gate, stats=stats)

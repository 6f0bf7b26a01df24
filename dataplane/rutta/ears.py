"""The listeners' side of a process: bind, serve, replace at a reload, bind again after a bug, stop.

An ear is one listener with what is its own. A reload that cannot bind what it wants leaves the ears as they were.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rutta import components
from rutta.config import ListenerEntry
from rutta.errors import ConfigError, Problem
from rutta.listeners import Intake, Listener
from rutta.stats import ListenerStats

log = logging.getLogger("rutta.ears")

RESTART_AFTER: Final = 1.0  # seconds before a listener that met a bug is bound again
REBIND: Final = 1.0  # seconds that an address may take to be free after its socket was closed (ZeroMQ closes later)


class Ear:
    """One listener with what is its own: counters, addresses, task."""

    def __init__(self, entry: ListenerEntry, stats: ListenerStats | None = None) -> None:
        """Not bound yet; ``stats`` of the ear it replaces are counted on."""
        self.entry = entry
        self.listener = _make(entry)
        self.stats = stats or ListenerStats(entry.name, entry.component)
        self.bindings: tuple[str, ...] = ()
        self.task: asyncio.Task[None] | None = None
        self.stopping = False
        self.has_ended = False

    @property
    def is_over(self) -> bool:
        """Whether it was served, and is no more."""
        return self.task is not None and self.task.done()

    def stop(self) -> None:
        """Take in nothing new."""
        self.stopping = True
        self.listener.stop()

    async def bind(self, *, patience: float = 0.0) -> None:
        """Bind; ``patience``: seconds that an address which was just closed may take. ConfigError if it cannot be."""
        end = time.monotonic() + patience
        while True:
            try:
                self.bindings = tuple(await self.listener.bind())
                return
            except ConfigError:
                if time.monotonic() >= end:
                    raise
            except (OSError, OverflowError, ValueError) as exc:  # a number that the system does not take
                raise ConfigError(f"the listener {self.entry.name} cannot be bound: {exc}") from exc
            await asyncio.sleep(REBIND / 50)
            self.listener = _make(self.entry)

    def status(self) -> dict[str, Any]:
        """One listener for ``/status``."""
        stats = self.stats
        return {
            "name": stats.name,
            "component": stats.component,
            "bindings": list(self.bindings),
            "received": stats.received,
            "bytes": stats.bytes,
            "errors": dict(stats.errors),
            "kernelDrops": stats.kernel_drops,
            "restarts": stats.restarts,
            "lastError": stats.last_error,
            **self.listener.status(),
        }


class Ears:
    """All ears of a process."""

    def __init__(self, intake_of: Callable[[Ear], Intake], *, drain_timeout: float) -> None:
        """An ear that goes away gets ``drain_timeout`` seconds. ``tasks`` must be set before ``serve``.

        ``ended`` is called when all ears have come to the end of what there was to read (stdin).
        """
        self.by_name: dict[str, Ear] = {}
        self.drain_timeout = drain_timeout
        self.tasks: asyncio.TaskGroup
        self.ended: Callable[[], None] = lambda: None
        self._intake_of = intake_of

    async def change(self, entries: Sequence[ListenerEntry]) -> None:
        """Bind what is new, close what is gone or changed; ConfigError leaves what was served as it was.

        Whoever holds an address that a new one wants is closed before it, and bound again if that was in vain.
        """
        gone = {name: ear for name, ear in self.by_name.items() if ear.entry not in entries or ear.is_over}
        kept = {name: ear for name, ear in self.by_name.items() if name not in gone}
        fresh = [self._fresh(entry) for entry in entries if entry.name not in kept]
        in_the_way = {name: ear for name, ear in gone.items() if any(_collide(ear.entry, one.entry) for one in fresh)}
        for ear in in_the_way.values():
            await self._close(ear)
        try:
            await self._bind_all(fresh, patience=REBIND if in_the_way else 0.0)
        except ConfigError:
            await self._bind_again(in_the_way)
            raise
        for name, ear in gone.items():
            if name not in in_the_way:
                await self._close(ear)
        bound = {ear.entry.name: ear for ear in fresh}
        self.by_name = {entry.name: bound.get(entry.name) or kept[entry.name] for entry in entries}

    def _fresh(self, entry: ListenerEntry) -> Ear:
        before = self.by_name.get(entry.name)
        return Ear(entry, before.stats if before is not None and before.entry.component == entry.component else None)

    async def _bind_all(self, ears: Sequence[Ear], *, patience: float) -> None:
        """Bind all, or none and raise."""
        found: list[Problem] = []
        for ear in ears:
            try:
                await ear.bind(patience=patience)
            except ConfigError as exc:
                found += exc.problems
        if found:
            for ear in ears:
                if ear.bindings:
                    await self._discard(ear)
            raise ConfigError(found)

    async def _bind_again(self, closed: Mapping[str, Ear]) -> None:
        """Go back to what was closed for something that cannot be bound."""
        for name, ear in closed.items():
            again = Ear(ear.entry, ear.stats)
            try:
                await again.bind(patience=REBIND)
            except ConfigError as exc:
                log.error("The listener %s stays closed: %s", name, exc, extra={"event": "listener_closed"})
            else:
                self.by_name[name] = again
        self.serve()

    async def _discard(self, ear: Ear) -> None:
        """Close a listener that was bound and never served."""
        ear.stop()
        await ear.listener.serve(self._intake_of(ear))

    async def _close(self, ear: Ear) -> None:
        ear.stop()
        if ear.task is not None:
            await asyncio.wait({ear.task}, timeout=self.drain_timeout)
            ear.task.cancel()
            await asyncio.wait({ear.task})

    def serve(self) -> None:
        """Serve every ear that is not served yet."""
        for ear in self.by_name.values():
            if ear.task is None:
                ear.task = self.tasks.create_task(self.keep_serving(ear), name=f"listener {ear.entry.name}")
                log.info(
                    "Listener %s takes %s on %s.",
                    ear.entry.name,
                    ear.entry.component,
                    ", ".join(ear.bindings) or "its own",
                    extra={"event": "listening", "fields": {"listener": ear.entry.name, "bindings": ear.bindings}},
                )

    async def keep_serving(self, ear: Ear) -> None:
        """Serve, and bind again after a bug: no input may end a listener."""
        while True:
            try:
                await ear.listener.serve(self._intake_of(ear))
                self._note_end(ear)
                return
            except Exception as exc:  # noqa: BLE001 - a bug of a listener never takes the process down (DESIGN §3.3)
                if not await self._revive(ear, exc):
                    return

    def _note_end(self, ear: Ear) -> None:
        """Say it when there is nothing left to read."""
        if ear.stopping:
            return
        ear.has_ended = True
        log.info("The source %s has ended.", ear.entry.name, extra={"event": "source_ended"})
        if all(one.has_ended for one in self.by_name.values()):
            log.info("All sources have ended: stopping.", extra={"event": "sources_ended"})
            self.ended()

    async def _revive(self, ear: Ear, exc: Exception) -> bool:
        """Bind again, as often as it takes; False if the ear is to stop."""
        while not ear.stopping:
            ear.stats.restarts += 1
            ear.stats.failed(repr(exc))
            log.error(
                "The listener %s met a bug and is bound again: %r",
                ear.entry.name,
                exc,
                exc_info=exc,
                extra={"event": "listener_bug", "fields": {"listener": ear.entry.name}},
            )
            await asyncio.sleep(RESTART_AFTER)
            if ear.stopping:
                return False
            ear.listener = _make(ear.entry)
            try:
                await ear.bind()
            except ConfigError as again:
                exc = again
                continue
            if ear.stopping:
                ear.listener.stop()
            return True
        return False

    async def stop(self, *, links_first: bool) -> None:
        """Tell listeners to take in nothing new; ``links_first``: only the links, whose peers go elsewhere."""
        for ear in self.by_name.values():
            if ear.task is None:
                await self._discard(ear)
            elif ear.entry.component == "link" or not links_first:
                ear.stop()

    async def finished(self, timeout: float) -> None:
        """Wait until all that was read is handed over and answered, for ``timeout`` seconds, then end what is left."""
        serving = {ear.task for ear in self.by_name.values() if ear.task is not None}
        if serving:
            _, late = await asyncio.wait(serving, timeout=timeout)
            for task in late:
                task.cancel()


def _collide(one: ListenerEntry, other: ListenerEntry) -> bool:
    """Whether two listeners may want the same port; those that bind none never do."""
    return bool(_ports(one) & _ports(other))


def _ports(entry: ListenerEntry) -> set[str]:
    bind = getattr(entry.settings, "bind", "")
    return {one.rpartition(":")[2].strip() for one in bind.split(",")} - {"", "0"} if isinstance(bind, str) else set()


def _make(entry: ListenerEntry) -> Listener:
    made: Listener = components.module(entry.kind, entry.component).make(entry.settings, entry.name)
    return made

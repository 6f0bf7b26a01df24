"""The engine of a process, whatever its role: listeners → routes → queues → targets; start, reload, drain, stop.

A shipper is this engine with sources and links for targets, a proxy with links on both sides and blocks kept closed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from rutta import components
from rutta.codecs import Codec
from rutta.config import Config, ListenerEntry
from rutta.errors import ConfigError, Problem
from rutta.intake import BlockIntake, Gate, codecs_of
from rutta.lanes import Lane, Lanes, build
from rutta.listeners import Listener
from rutta.stats import ListenerStats

log = logging.getLogger("rutta.router")

RESTART_AFTER: Final = 1.0  # seconds before a listener that met a bug is bound again


class Ear:
    """One listener with what is its own: counters, addresses, task."""

    def __init__(self, entry: ListenerEntry, listener: Listener) -> None:
        """Not bound yet."""
        self.entry = entry
        self.listener = listener
        self.stats = ListenerStats(entry.name, entry.component)
        self.bindings: tuple[str, ...] = ()
        self.task: asyncio.Task[None] | None = None
        self.stopping = False

    def stop(self) -> None:
        """Take in nothing new."""
        self.stopping = True
        self.listener.stop()


class Router:
    """One process's engine. ``run`` owns all tasks, listeners and targets."""

    def __init__(self, config: Config, *, reload: Callable[[], Config] | None = None) -> None:
        """``reload`` reads the configuration again; it raises ConfigError."""
        self.config = config
        self.ears: dict[str, Ear] = {}
        self.ready = False
        self.reloads: dict[str, Any] = {"ok": True, "error": None, "count": 0}
        self.gate = Gate()
        self.lanes = Lanes(self.gate, drain_timeout=float(config.process.drain.timeout))
        self._read = reload
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self, stop: asyncio.Event, *, bound: Callable[[], None] = lambda: None) -> int:
        """Route until ``stop`` is set, then drain within the configured time; return how many events were left.

        Binds all listeners first and calls ``bound`` then. Raises ConfigError if one cannot be bound or built.
        """
        build(self.config.targets)  # its errors before anything is bound
        await self._change_ears(self.config.listeners)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = self.lanes.tasks = tasks
            self.lanes.change(self.config.targets, self.config.process.routes)
            self._warn()
            self._serve()
            self.ready = True
            bound()
            await stop.wait()
            return await self._stop()

    def _warn(self) -> None:
        blocking = [entry.name for entry in self.config.targets if entry.common.buffer.when_full == "Block"]
        if len(self.config.targets) > 1 and blocking:
            log.warning(
                "A full queue of %s holds all senders back, also for the other targets; "
                "set buffer.whenFull to DropNewest or DropOldest where that is not wanted.",
                " or ".join(blocking),
                extra={"event": "blocking_targets", "fields": {"targets": blocking}},
            )

    async def _change_ears(self, entries: tuple[ListenerEntry, ...]) -> None:
        """Bind what is new, stop what is gone or changed; ConfigError leaves what is bound as it was."""
        gone = {name: ear for name, ear in self.ears.items() if ear.entry not in entries}
        fresh = [Ear(entry, _make(entry)) for entry in entries if self._is_new(entry)]
        for ear in gone.values():
            if any(ear.entry.name == one.entry.name for one in fresh):
                await self._close_ear(ear)  # its address may be the new one's
        bound: list[Ear] = []
        found: list[Problem] = []
        for ear in fresh:
            try:
                ear.bindings = tuple(await ear.listener.bind())
                bound.append(ear)
            except ConfigError as exc:
                found += exc.problems
        if found:
            for ear in bound:
                await self._discard(ear)
            raise ConfigError(found)
        for ear in gone.values():
            if not ear.stopping:
                await self._close_ear(ear)
        kept = {name: ear for name, ear in self.ears.items() if name not in gone}
        self.ears = {entry.name: kept.get(entry.name) or _named(bound, entry.name) for entry in entries}

    def _is_new(self, entry: ListenerEntry) -> bool:
        ear = self.ears.get(entry.name)
        return ear is None or ear.entry != entry

    async def _discard(self, ear: Ear) -> None:
        """Close a listener that was bound and never served."""
        ear.stop()
        await ear.listener.serve(self._intake(ear))

    async def _close_ear(self, ear: Ear) -> None:
        ear.stop()
        if ear.task is not None:
            await asyncio.wait({ear.task}, timeout=float(self.config.process.drain.timeout))
            ear.task.cancel()
            await asyncio.wait({ear.task})

    def _serve(self) -> None:
        assert self._tasks is not None  # noqa: S101 - run made it
        for ear in self.ears.values():
            if ear.task is None:
                ear.task = self._tasks.create_task(self._keep_serving(ear), name=f"listener {ear.entry.name}")
                log.info(
                    "Listener %s takes %s on %s.",
                    ear.entry.name,
                    ear.entry.component,
                    ", ".join(ear.bindings) or "its own",
                    extra={"event": "listening", "fields": {"listener": ear.entry.name, "bindings": ear.bindings}},
                )

    async def _keep_serving(self, ear: Ear) -> None:
        """Serve, and bind again after a bug: no input may end a listener."""
        while True:
            try:
                await ear.listener.serve(self._intake(ear))
                return
            except Exception as exc:  # noqa: BLE001 - a bug of a listener never takes the process down (DESIGN §3.3)
                if not await self._revive(ear, exc):
                    return

    async def _revive(self, ear: Ear, exc: Exception) -> bool:
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
            try:
                ear.listener = _make(ear.entry)
                ear.bindings = tuple(await ear.listener.bind())
                return True
            except ConfigError as again:
                exc = again
        return False

    def _intake(self, ear: Ear) -> BlockIntake:
        lanes = self.lanes
        settings = ear.entry.settings
        codec = codecs_of(
            getattr(settings, "codec", None), strict=getattr(settings, "strict", False), opaque=self._opaque()
        )
        return BlockIntake(ear.stats, self.gate, lanes.route, codec=codec, columns=lambda: lanes.columns)

    def _opaque(self) -> Codec | None:
        if self.config.process.role != "Proxy":
            return None
        from rutta.link.opaque import Opaque  # proxies only: nobody else pays for ZeroMQ

        opaque: Codec = Opaque()
        return opaque

    async def reload(self) -> bool:
        """Read the configuration again and go over to it; a broken one keeps the old one and says so."""
        if self._read is None or not self.ready:
            return False
        self.reloads["count"] += 1
        self.reloads["at"] = time.time()
        try:
            config = self._read()
            build(config.targets)
            await self._change_ears(config.listeners)
            self.lanes.drain_timeout = float(config.process.drain.timeout)
            self.lanes.change(config.targets, config.process.routes)
        except ConfigError as exc:
            self.reloads.update(ok=False, error=str(exc))
            message = "The new configuration is broken and the old one goes on: %s"
            log.error(message, exc, extra={"event": "reload_failed"})
            return False
        self.config = config
        self.reloads.update(ok=True, error=None)
        self._serve()
        log.info("The configuration %s is in force.", config.digest, extra={"event": "reloaded"})
        return True

    async def _stop(self) -> int:
        """Stop as DESIGN §3.5: not ready, links leave, listeners close after the delay, what is held is delivered."""
        self.ready = False
        drain = self.config.process.drain
        links = [ear for ear in self.ears.values() if ear.entry.component == "link"]
        for ear in links:
            ear.stop()
        if drain.delay:
            await asyncio.sleep(float(drain.delay))
        for ear in self.ears.values():
            ear.stop()
        for lane in self.lanes.by_name.values():
            lane.queue.hasten()
        left_at = asyncio.get_running_loop().time() + float(drain.timeout)
        serving = {ear.task for ear in self.ears.values() if ear.task is not None}
        if serving:
            _, late = await asyncio.wait(serving, timeout=float(drain.timeout))
            for task in late:
                task.cancel()
        return await self.lanes.stop(max(0.1, left_at - asyncio.get_running_loop().time()))

    def status(self) -> Mapping[str, Any]:
        """What ``/status`` shows of the engine."""
        return {
            "configHash": self.config.digest,
            "ready": self.ready,
            "reload": self.reloads,
            "listeners": [_ear_status(ear) for ear in self.ears.values()],
            "targets": [lane_status(lane) for lane in self.lanes.by_name.values()],
        }


def lane_status(lane: Lane) -> dict[str, Any]:
    """One target for ``/status``; a target may add its own with a method ``status``."""
    stats, queue = lane.stats, lane.queue
    own: Mapping[str, Any] = getattr(lane.delivery.target, "status", dict)()
    return {
        "name": stats.name,
        "component": stats.component,
        "state": lane.delivery.breaker.state,
        "lastError": stats.last_error,
        "lastErrorAt": stats.last_error_at,
        "received": stats.received,
        "delivered": stats.delivered,
        "dropped": stats.drops(),
        "held": queue.events,
        "queue": {"bytes": queue.bytes, "limit": queue.limit, "whenFull": queue.when_full, "full": queue.full},
        "retries": stats.retries,
        "restarts": stats.restarts,
        **own,
    }


def _ear_status(ear: Ear) -> dict[str, Any]:
    stats = ear.stats
    return {
        "name": stats.name,
        "component": stats.component,
        "bindings": list(ear.bindings),
        "received": stats.received,
        "bytes": stats.bytes,
        "errors": dict(stats.errors),
        "kernelDrops": stats.kernel_drops,
        "restarts": stats.restarts,
        "lastError": stats.last_error,
        **ear.listener.status(),
    }


def _make(entry: ListenerEntry) -> Listener:
    made: Listener = components.module(entry.kind, entry.component).make(entry.settings, entry.name)
    return made


def _named(ears: list[Ear], name: str) -> Ear:
    return next(ear for ear in ears if ear.entry.name == name)

"""The engine of a process, whatever its role: listeners → routes → queues → targets; start, reload, drain, stop.

A shipper is this engine with sources and links for targets, a proxy with links on both sides and blocks kept closed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from rutta.codecs import Codec
from rutta.config import Config
from rutta.ears import Ear, Ears
from rutta.errors import ConfigError
from rutta.intake import BlockIntake, Gate, codecs_of
from rutta.lanes import Lane, Lanes, build

log = logging.getLogger("rutta.router")


class Router:
    """One process's engine. ``run`` owns all tasks, listeners and targets."""

    def __init__(self, config: Config, *, reload: Callable[[], Config] | None = None) -> None:
        """``reload`` reads the configuration again; it raises ConfigError."""
        self.config = config
        self.ready = False
        self.reloads: dict[str, Any] = {"ok": True, "error": None, "count": 0}
        self.gate = Gate()
        timeout = float(config.process.drain.timeout)
        self.lanes = Lanes(self.gate, drain_timeout=timeout)
        self._ears = Ears(self._intake, drain_timeout=timeout)
        self._read = reload
        self._changing = asyncio.Lock()

    @property
    def ears(self) -> Mapping[str, Ear]:
        """The listeners, by name."""
        return self._ears.by_name

    async def run(self, stop: asyncio.Event, *, bound: Callable[[], None] = lambda: None) -> int:
        """Route until ``stop`` is set, then drain within the configured time; return how many events were left.

        Sets ``stop`` itself when every listener has come to an end, as stdin does.

        Binds all listeners first and calls ``bound`` then. Raises ConfigError if one cannot be bound or built.
        """
        build(self.config.targets)  # its errors before anything is bound
        self._ears.ended = stop.set
        await self._ears.change(self.config.listeners)
        async with asyncio.TaskGroup() as tasks:
            self._ears.tasks = self.lanes.tasks = tasks
            self.lanes.change(self.config.targets, self.config.process.routes)
            self._warn()
            self._ears.serve()
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

    def _intake(self, ear: Ear) -> BlockIntake:
        lanes, settings = self.lanes, ear.entry.settings
        codec = codecs_of(
            getattr(settings, "codec", None),
            strict=getattr(settings, "strict", False),
            opaque=self._opaque(),
            only_links=self._only_links,
        )
        return BlockIntake(ear.stats, self.gate, lanes.route, codec=codec, columns=lambda: lanes.columns)

    def _only_links(self) -> bool:
        """Whether whatever comes goes to links, whoever is asked."""
        return not self.config.process.routes and all(entry.component == "link" for entry in self.config.targets)

    def _opaque(self) -> Codec | None:
        if self.config.process.role != "Proxy":
            return None
        from rutta.link.opaque import Opaque  # proxies only: nobody else pays for ZeroMQ

        opaque: Codec = Opaque()
        return opaque

    async def reload(self) -> bool:
        """Read the configuration again and go over to it; a broken one keeps the old one and says so."""
        async with self._changing:
            return self._read is not None and self.ready and await self._reload(self._read)

    async def _reload(self, read: Callable[[], Config]) -> bool:
        self.reloads["count"] += 1
        self.reloads["at"] = time.time()
        try:
            config = read()
            build(config.targets)
            await self._ears.change(config.listeners)
            if not self.ready:  # the process stops, and closes what was just bound
                return False
            self._ears.drain_timeout = self.lanes.drain_timeout = float(config.process.drain.timeout)
            self.lanes.change(config.targets, config.process.routes)
        except Exception as exc:
            self.reloads.update(ok=False, error=str(exc))
            message = "The new configuration is broken and the old one goes on: %s"
            trace = None if isinstance(exc, ConfigError) else exc
            log.error(message, exc, exc_info=trace, extra={"event": "reload_failed"})
            return False
        self.config = config
        self.reloads.update(ok=True, error=None)
        self._ears.serve()
        log.info("The configuration %s is in force.", config.digest, extra={"event": "reloaded"})
        return True

    async def _stop(self) -> int:
        """Stop as DESIGN §3.5: not ready, links leave, listeners close after the delay, what is held is delivered."""
        self.ready = False
        async with self._changing:  # a reload under way ends first
            pass
        drain, loop = self.config.process.drain, asyncio.get_running_loop()
        await self._ears.stop(links_first=True)
        if drain.delay:
            await asyncio.sleep(float(drain.delay))
        await self._ears.stop(links_first=False)
        for lane in self.lanes.by_name.values():
            lane.delivery.hasten()
        end = loop.time() + float(drain.timeout)
        await self._ears.finished(float(drain.timeout))
        return await self.lanes.stop(max(0.1, end - loop.time()))

    def status(self) -> Mapping[str, Any]:
        """What ``/status`` shows of the engine."""
        return {
            "configHash": self.config.digest,
            "ready": self.ready,
            "reload": self.reloads,
            "listeners": [ear.status() for ear in self.ears.values()],
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
        "trouble": stats.trouble if lane.delivery.breaker.failures else "",
        "lastError": stats.last_error,
        "lastErrorAt": stats.last_error_at,
        "received": stats.received,
        "delivered": stats.delivered,
        "dropped": stats.drops(),
        "held": lane.held,
        "queue": {"bytes": queue.bytes, "limit": queue.limit, "whenFull": queue.when_full, "full": queue.full},
        "retries": stats.retries,
        "restarts": stats.restarts,
        **own,
    }

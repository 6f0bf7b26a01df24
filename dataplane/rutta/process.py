"""One process from start to exit: signals, health page, reload, and a last line that says what became of all events."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from rutta import VERSION, admin, memory
from rutta import log as log_setup
from rutta.config import Config, Process
from rutta.router import Router

log = logging.getLogger("rutta.process")

WATCH_EVERY: Final = 2.0  # seconds between two looks at the config file (a ConfigMap changes by a symlink)
AT_ONCE: Final = 130


async def run(config: Config, *, reload: Callable[[], Config], watched: Path | None) -> int:
    """Run the engine until SIGTERM or SIGINT; return the exit code. Raises ConfigError if the start fails."""
    memory.keep()
    router = Router(config, reload=reload)
    stop = asyncio.Event()
    wish = asyncio.Event()
    started = time.monotonic()
    with signals(stop, wish):
        async with admin.serving(router, config.process.health), _reloading(router, wish, watched):
            left = await router.run(stop, bound=lambda: _say_started(config))
            _say_stopped(router, left, time.monotonic() - started)
    return 0


def _say_started(config: Config) -> None:
    process = config.process
    fields = {"version": VERSION, "role": process.role, "name": process.name, "config": config.digest}
    log.info("Rutta %s runs as %s.", VERSION, process.role.lower(), extra={"event": "started", "fields": fields})


def _say_stopped(router: Router, left: int, seconds: float) -> None:
    lanes = router.lanes.by_name.values()
    fields: dict[str, Any] = {
        "received": sum(ear.stats.received for ear in router.ears.values()),
        "delivered": sum(lane.stats.delivered for lane in lanes),
        "dropped": sum(lane.stats.dropped.total() for lane in lanes),
        "held": sum(lane.held for lane in lanes),
        "errors": sum(ear.stats.errors.total() for ear in router.ears.values()),
        "seconds": round(seconds, 3),
        "targets": {
            lane.stats.name: {
                "received": lane.stats.received, "delivered": lane.stats.delivered, "dropped": lane.stats.drops(),
            }
            for lane in lanes
        },
    }  # fmt: skip
    if left:
        log.error("%d events were not delivered in time and are lost here.", left, extra={"event": "left_behind"})
    log.info("Stopped.", extra={"event": "stopped", "fields": fields})


@contextlib.contextmanager
def signals(stop: asyncio.Event, wish: asyncio.Event | None = None) -> Any:
    """SIGTERM and SIGINT set ``stop``, a second one exits at once; SIGHUP sets ``wish``."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        if stop.is_set():
            os._exit(AT_ONCE)
        log.info("Stopping; a second signal exits at once.", extra={"event": "stopping"})
        stop.set()

    handlers = {signal.SIGTERM: end, signal.SIGINT: end}
    if wish is not None:
        handlers[signal.SIGHUP] = wish.set
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _reloading(router: Router, wish: asyncio.Event, watched: Path | None) -> AsyncIterator[None]:
    """Reload on SIGHUP and when the watched file's content changes."""
    loop = asyncio.get_running_loop()
    working = [loop.create_task(_reload(router, wish))]
    if watched is not None:
        working.append(loop.create_task(_watch(watched, wish)))
    try:
        yield
    finally:
        for task in working:
            task.cancel()
        await asyncio.wait(working)


async def _reload(router: Router, wish: asyncio.Event) -> None:
    while True:
        await wish.wait()
        wish.clear()
        before = router.config.process
        if await router.reload():
            _follow(before, router.config.process)


def _follow(before: Process, now: Process) -> None:
    """Take what a reload changes of the process itself, and say what only a restart can."""
    log_setup.set_up(now.log_level, now.log_format)
    if before.health != now.health:
        log.warning("The health page stays where it is until a restart.", extra={"event": "restart_needed"})


async def _watch(path: Path, wish: asyncio.Event) -> None:
    last = _content(path)
    while True:
        await asyncio.sleep(WATCH_EVERY)
        now = _content(path)
        if now != last:
            last = now
            wish.set()


def _content(path: Path) -> tuple[int, int, int] | None:
    """Identity of a file's content without reading it: device, inode and modification time through symlinks."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


async def forward(binds: Sequence[str], dials: Sequence[str], outs: Sequence[str], *, health: str | None) -> int:
    """Run the original's XSUB ⇄ XPUB proxy until a signal; return the exit code."""
    from rutta import proxy

    memory.keep()
    stop = asyncio.Event()
    with signals(stop):
        async with admin.serving_plain(health):
            log.info(
                "The proxy takes publishers on %s and serves subscribers on %s.",
                ", ".join([*binds, *dials]),
                ", ".join(outs),
                extra={"event": "started"},
            )
            await proxy.forward(binds, dials, outs, stop)
    return 0

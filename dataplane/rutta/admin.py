"""The health page: ``/healthz``, ``/readyz``, ``/metrics`` and ``/status`` on ``--health NIC:PORT``.

Healthy means that the event loop turns; ready means that listeners are bound and the configuration is loaded. A target
that is away makes neither untrue: that is what ``/status`` and the metrics are for.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec

from rutta import VERSION
from rutta.config import Health
from rutta.net import bindings
from rutta.net.http_message import TEXT, Request, Response
from rutta.net.http_server import Handler, HttpServer
from rutta.router import Router

log = logging.getLogger("rutta.admin")

LAG_EVERY: Final = 0.5  # seconds between two looks at the loop
LAG_LIMIT: Final = 5.0  # seconds that a turn of the loop may be late before /healthz says 503
LAG_MEMORY: Final = 20  # looks that are remembered

Pages = dict[str, Callable[[], Response]]


class LoopLag:
    """How late the event loop was in the last ten seconds."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._late: list[float] = [0.0]

    @property
    def worst(self) -> float:
        """Seconds."""
        return max(self._late)

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_EVERY)
            self._late = [*self._late[1 - LAG_MEMORY :], max(0.0, time.monotonic() - before - LAG_EVERY)]


def pages_of(router: Router, lag: LoopLag) -> Pages:
    """Return the page of each path."""
    from rutta.metrics import page, registry_of

    registry = registry_of(router)
    started = time.time()
    return {
        "/healthz": lambda: _health(lag),
        "/readyz": lambda: _text(200, "ready") if router.ready else _text(503, "not ready: starting or stopping"),
        "/metrics": lambda: Response(200, page(registry), "text/plain; version=0.0.4; charset=utf-8"),
        "/status": lambda: _json(_status(router, lag, started)),
    }


def _health(lag: LoopLag) -> Response:
    if lag.worst > LAG_LIMIT:
        return _text(503, f"the event loop was late by {lag.worst:.1f} s")
    return _text(200, "ok")


def _status(router: Router, lag: LoopLag, started: float) -> dict[str, Any]:
    process = router.config.process
    return {
        "version": VERSION,
        "role": process.role,
        "name": process.name,
        "pid": os.getpid(),
        "uptime": round(time.time() - started, 3),
        "loopLag": round(lag.worst, 4),
        **router.status(),
    }


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode() + b"\n", TEXT)


def _json(value: object) -> Response:
    return Response(200, msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2) + b"\n")


def handler_of(pages: Pages) -> Handler:
    """Answer GET and HEAD of the pages; ``/`` and the original's ``/health`` lead to where things are now."""

    def handle(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(405, b'"only GET"\n', headers=(("Allow", "GET, HEAD"),))
        if request.path == "/":
            return Response(302, b"", TEXT, headers=(("Location", "/status" if "/status" in pages else "/healthz"),))
        path = "/healthz" if request.path == "/health" else request.path
        if path not in pages:
            return Response(404, f'"there are {", ".join(pages)}"\n'.encode())
        return pages[path]()

    return handle


@contextlib.asynccontextmanager
async def _server(bind: str | None, pages: Callable[[LoopLag], Pages]) -> AsyncIterator[tuple[str, ...]]:
    """Serve pages inside the block; yields the addresses. Raises ConfigError if they cannot be bound."""
    if bind is None:
        yield ()
        return
    sockets = await bindings.bind(bind, listener="health")
    lag = LoopLag()
    server = HttpServer(sockets, handler_of(pages(lag)), name="health")
    watching = asyncio.get_running_loop().create_task(lag.watch())
    server.start()
    bound = tuple(map(bindings.shown, sockets))
    log.info("Health page on %s.", ", ".join(bound), extra={"event": "health_page", "fields": {"bindings": bound}})
    try:
        yield bound
    finally:
        watching.cancel()
        await server.close()


@contextlib.asynccontextmanager
async def serving(router: Router, health: Health | None) -> AsyncIterator[tuple[str, ...]]:
    """Serve a router's health page inside the block."""
    async with _server(None if health is None else health.bind, lambda lag: pages_of(router, lag)) as bound:
        yield bound


@contextlib.asynccontextmanager
async def serving_plain(bind: str | None) -> AsyncIterator[tuple[str, ...]]:
    """Serve a page for a process without an engine: it is healthy and ready while it answers."""

    def pages(lag: LoopLag) -> Pages:
        return {"/healthz": lambda: _health(lag), "/readyz": lambda: _text(200, "ready")}

    async with _server(bind, pages) as bound:
        yield bound

"""``/healthz`` ``/readyz`` ``/metrics`` of the operator."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Complaint = Callable[[], str]
"""Says what is wrong; empty: nothing."""


class Pages:
    """The pages, from ``open`` to ``close``. A loop that is stuck does not answer, which kubelet notices by itself."""

    def __init__(self, registry: CollectorRegistry, *, unhealthy: Complaint, unready: Complaint) -> None:
        self._registry, self._unhealthy, self._unready = registry, unhealthy, unready
        self._runner: web.AppRunner | None = None
        self.port = 0
        """where they are, once open"""

    async def open(self, host: str, port: int) -> None:
        """Serve. Raises OSError if the address cannot be bound."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Serve no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._unhealthy())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._unready())

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(complaint: str) -> web.Response:
    return web.Response(status=503 if complaint else 200, text=f"{complaint or 'ok'}\n")

"""Heals what watches miss: lists the metadata of everything, now and then, and compares uids and versions.

kopf does not tell of what vanished while a watch was broken, and a watch may freeze. A sweep forgets what is no more
and fetches what did not come; that it had to, several times while the watch brought nothing, is how a frozen one is
noticed, however rarely something changes.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Set
from typing import Final, NamedTuple

from rutta_operator import log
from rutta_operator.handlers import Feed
from rutta_operator.k8s.cluster import Cluster
from rutta_operator.k8s.kinds import NAMESPACE, OPTIONAL, RESOURCES, SELECTOR, Api
from rutta_operator.k8s.refusals import ApiError, Gone
from rutta_operator.metrics import Metrics
from rutta_operator.store import Store

_GRACE: Final = 10.0  # seconds that a watch may be behind
_SOON: Final = 30.0  # seconds until the next sweep if a watch was behind
_FROZEN: Final = 2  # sweeps that found a watch behind, while it brought nothing
_GLANCE: Final = 0.05  # seconds between two looks at whether the watches have come along


class Listed(NamedTuple):
    """An object that a sweep found."""

    kind: str
    uid: str
    version: int
    namespace: str
    name: str


class Sweep:
    """Compares the store with the API server."""

    def __init__(
        self, cluster: Cluster, store: Store, feed: Feed, metrics: Metrics, apis: Iterable[Api],
        namespaces: tuple[str, ...], *, every: float,
    ) -> None:  # fmt: skip
        self._cluster, self._store, self._feed, self._metrics = cluster, store, feed, metrics
        self._apis, self._every = tuple(apis), every
        self._spaces: tuple[str | None, ...] = namespaces or (None,)
        self.unwatched: tuple[Api, ...] = ()
        """kinds that came after the watches began: sweeps are all that tells of them"""
        self._wanted = asyncio.Event()
        self._behind: dict[str, int] = {}  # kind → sweeps that had to fetch what its watch did not bring
        self._brought: dict[str, int] = {}  # kind → what its watch had brought by the last of these
        self._hurry = False
        self._in_step = time.monotonic()

    def age(self) -> float:
        """Return how many seconds ago the watches were last known to be in step."""
        return time.monotonic() - self._in_step

    def frozen(self) -> str:
        """Say why watches are taken for frozen; empty if none is."""
        frozen = sorted(kind for kind, times in self._behind.items() if times >= _FROZEN)
        if not frozen:
            return ""
        return f"the watches of {', '.join(frozen)} bring nothing, and sweeps found what they did not bring"

    async def first(self) -> None:
        """Wait until the watches have brought everything that there is; what does not come is fetched."""
        while True:
            try:
                await self._sweep()
                return
            except ApiError as exc:
                log.warn("sweep_failed", f"The cluster cannot be listed yet: {exc.message}")
                await asyncio.sleep(1.0)

    async def run(self, done: Callable[[], None]) -> None:
        """Sweep every few minutes until cancelled; ``done`` is called after each."""
        while True:
            await self._rest()
            try:
                healed = await self._sweep()
            except ApiError as exc:
                log.warn("sweep_failed", f"A sweep failed, and is made again later: {exc.message}")
                continue
            self._hurry = bool(healed)
            self._judge(healed)
            done()

    def _judge(self, healed: Set[str]) -> None:
        """Count for each kind how often its watch was behind; one that has brought something since is well."""
        for kind in [one for one, brought in self._brought.items() if self._feed.brought[one] > brought]:
            self._behind.pop(kind, None)
            self._brought.pop(kind)
        for kind in healed:
            self._behind[kind] = self._behind.get(kind, 0) + 1
        self._brought |= {kind: self._feed.brought[kind] for kind in self._behind}

    async def _rest(self) -> None:
        """Wait for the next sweep."""
        seconds = min(_SOON, self._every) if self._hurry else self._every
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * random.uniform(0.9, 1.1)):  # noqa: S311
                await self._wanted.wait()
        self._wanted.clear()

    def soon(self) -> None:
        """Make the next sweep now: something may have been missed."""
        self._wanted.set()

    async def _sweep(self) -> set[str]:
        """Compare; return the kinds of what the watches should have brought and did not."""
        for one in self._missing(await self._listed(self.unwatched)):
            await self._fetch(one)
        missing = await self._wait(await self._listed(self._apis))
        healed = [one for one in missing if await self._fetch(one)]
        for one in healed:
            self._metrics.healed.labels(one.kind).inc()
            log.warn("healed", f"A watch did not bring {one.kind} {one.namespace}/{one.name}; it was fetched.")
        if not healed:
            self._in_step = time.monotonic()
        return {one.kind for one in healed}

    async def _listed(self, apis: Iterable[Api]) -> list[Listed]:
        return [one for api in apis for space in self._spaces_of(api) for one in await self._list(api, space)]

    def _spaces_of(self, api: Api) -> tuple[str | None, ...]:
        return self._spaces if api.namespaced else (None,)

    async def _list(self, api: Api, namespace: str | None) -> list[Listed]:
        """List objects; forget those that were known before and are no more."""
        known = self._store.versions(api.kind, namespace)
        selector = "" if api.kind in RESOURCES or api == NAMESPACE else SELECTOR
        found: list[Listed] = []
        with contextlib.suppress(Gone) if api.kind in OPTIONAL else contextlib.nullcontext():
            async for one in self._cluster.all_metadata(api, namespace, selector):
                version, space = int(one["resourceVersion"]), one.get("namespace", "")
                found.append(Listed(api.kind, one["uid"], version, space, one["name"]))
        self._feed.keep(api.kind, known, {one.uid for one in found})
        return found

    async def _wait(self, listed: list[Listed]) -> list[Listed]:
        """Give the watches time to bring what was listed; return what they do not, once nothing of it comes."""
        missing, since = self._missing(listed), time.monotonic()
        while missing and (left := since + _GRACE - time.monotonic()) > 0:
            self._store.moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._store.moved.wait()
            await asyncio.sleep(_GLANCE)
            still = self._missing(missing)
            missing, since = still, time.monotonic() if len(still) < len(missing) else since
        return missing

    def _missing(self, listed: list[Listed]) -> list[Listed]:
        return [one for one in listed if not self._store.has(one.kind, one.namespace, one.name, one.uid, one.version)]

    async def _fetch(self, one: Listed) -> bool:
        """Fetch what no watch brought; False if it is gone by now."""
        found = await self._cluster.find(one.kind, one.namespace, one.name)
        if found is not None:
            self._feed.take(one.kind, found)
        return found is not None

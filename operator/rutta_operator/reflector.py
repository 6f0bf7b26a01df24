"""What belongs to our resources → the feed: the objects of one kind are listed once, then watched.

The resources themselves are kopf's. For the others it does more than we need: every event costs nearly a millisecond
before a handler is called, every object some kilobytes, and a resource has eight of them. With a thousand resources
that was two fifths of a restart's CPU and an eighth of the memory.
"""

import asyncio
import random
import time
from typing import Final, NoReturn

from rutta_operator import log
from rutta_operator.handlers import Feed
from rutta_operator.k8s.cluster import Cluster, Object
from rutta_operator.k8s.kinds import NAMESPACE, SELECTOR, Api
from rutta_operator.k8s.refusals import ApiError, Gone
from rutta_operator.store import Store

_PAUSE: Final = (0.5, 30.0)  # seconds: the first, the longest
_WELL: Final = 5.0  # seconds after which a watch has been one


class Reflector:
    """Follows the objects of one kind, in a namespace or all of them; sweeps find what it misses."""

    def __init__(self, cluster: Cluster, store: Store, feed: Feed, api: Api, namespace: str | None) -> None:
        """Nothing is asked before ``run``."""
        self._cluster, self._store, self._feed = cluster, store, feed
        self._api, self._namespace = api, namespace
        self._selector = "" if api == NAMESPACE else SELECTOR
        self._version = ""  # from which a watch goes on; empty: all is to be listed

    async def run(self) -> NoReturn:
        """List and watch until cancelled, whatever the API server answers."""
        pause, longest = _PAUSE
        while True:
            began = time.monotonic()
            try:
                await self._follow()
            except ApiError as exc:
                if isinstance(exc, Gone):  # the version is too old, or the definition went, and comes as another one
                    self._version = ""
                if not _is_old(exc):
                    log.warn("watch_failed", f"The watch of {self._api.plural} begins again: {exc.message}")
            pause = _PAUSE[0] if time.monotonic() - began > _WELL else min(pause * 2, longest)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311

    async def _follow(self) -> None:
        """Watch until the server ends it, which it does now and then."""
        if not self._version:
            self._version = await self._list()
        async for event in self._cluster.watch(self._api, self._namespace, self._selector, self._version):
            self._take(event["type"], event["object"])

    def _take(self, what: str, body: Object) -> None:
        metadata = body["metadata"]
        if what == "DELETED":
            self._feed.go(self._api.kind, metadata.get("namespace", ""), metadata["name"], metadata["uid"])
        elif what != "BOOKMARK":
            self._come(body)
        self._version = metadata["resourceVersion"]

    def _come(self, body: Object) -> None:
        try:
            self._feed.come(self._api.kind, body)
        except Exception as exc:  # noqa: BLE001 - one object that we are not up to never holds up the others
            metadata = body["metadata"]
            place = f"{self._api.kind} {metadata.get('namespace', '')}/{metadata['name']}"
            log.crash("bug", f"A mistake in the operator: {place} cannot be read, and is left out.", exc)

    async def _list(self) -> str:
        """Take all that there is, forget what was known before and is no more; return the list's version."""
        known = self._store.versions(self._api.kind, self._namespace)
        version, found = "", set[str]()
        async for page in self._cluster.pages(self._api, self._namespace, self._selector):
            for item in page.items:
                found.add(item["metadata"]["uid"])
                self._come({"apiVersion": self._api.api_version, **item})
            version = page.version
        self._feed.keep(self._api.kind, known, found)
        return version


def _is_old(exc: ApiError) -> bool:
    """Tell whether a watch only began too late (410), which is no trouble."""
    return isinstance(exc, Gone) and exc.status == 410

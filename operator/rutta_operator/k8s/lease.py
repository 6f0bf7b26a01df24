"""Who works: the one that holds the Lease, for 15 s after each time that it said so; others wait until it is free.

Times are measured here and never compared with another machine's clock: a Lease is free when nobody has touched it for
its duration, as long as we have looked. https://kubernetes.io/docs/concepts/architecture/leases/
"""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Any, Final

from rutta_operator import log
from rutta_operator.k8s.cluster import Cluster, Object
from rutta_operator.k8s.refusals import ApiError, Conflict

DURATION: Final = 15  # seconds
_DEADLINE: Final = 10.0  # seconds without success until we stop by ourselves: before another may begin
_RETRY: Final = 2.0
_ANSWER: Final = 4.0  # seconds that one try may take


class Lost(Exception):
    """The Lease is no longer ours; somebody else may be at work."""


class Lease:
    """One Lease and our claim to it."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, identity: str) -> None:
        self._cluster, self._identity = cluster, identity
        self._metadata: dict[str, Any] = {"namespace": namespace, "name": name}
        self._seen: tuple[Any, float] = (None, 0.0)  # what the Lease said, and since when it has
        self._lease: Object | None = None
        self._renewed = 0.0  # when we began to say what was taken: others count from then at the earliest

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        told = None
        while True:
            holder = await self._try()
            if holder is None:
                log.info("leading", f"{self._identity} holds the Lease and works.")
                return
            if holder != told:
                log.info("standby", f"{holder} holds the Lease; this process follows and waits.", holder=holder)
                told = holder
            await asyncio.sleep(_RETRY * random.uniform(0.8, 1.0))  # noqa: S311

    async def _try(self) -> str | None:
        """Try to take the Lease; return who has it, None: we."""
        try:
            async with asyncio.timeout(_ANSWER):
                lease = await self._cluster.lease(self._metadata["namespace"], self._metadata["name"])
                holder = self._holder(lease)
                if holder is None:
                    await self._put(lease)
                return holder
        except Conflict:
            return "another process"
        except (ApiError, TimeoutError) as exc:
            log.warn("lease_unknown", f"The Lease cannot be read or taken: {exc or 'no answer'}.")
            return "nobody known"

    async def _put(self, lease: Object | None) -> None:
        asked = asyncio.get_running_loop().time()
        self._lease = await self._cluster.put_lease(self._claim(lease))
        self._renewed = asked

    def _holder(self, lease: Object | None) -> str | None:
        """Return who holds a Lease; None if it is free, or ours."""
        spec = {} if lease is None else lease.get("spec") or {}
        said = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if self._seen[0] != said:
            self._seen = said, time.monotonic()
        holder = spec.get("holderIdentity")
        expired = time.monotonic() - self._seen[1] > spec.get("leaseDurationSeconds", DURATION)
        return None if not holder or expired or holder == self._identity else str(holder)

    def _claim(self, lease: Object | None) -> Object:
        spec = {} if lease is None else lease.get("spec") or {}
        ours = spec.get("holderIdentity") == self._identity
        metadata = self._metadata if lease is None else lease["metadata"]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION,
                "acquireTime": spec.get("acquireTime") if ours else _now(),
                "renewTime": _now(),
                "leaseTransitions": spec.get("leaseTransitions", 0) + (not ours),
            },
        }

    async def keep(self) -> None:
        """Renew the Lease until cancelled. Raises Lost if that did not work for 10 s, or somebody else took it."""
        try:
            while True:
                async with asyncio.timeout_at(self._renewed + _DEADLINE):
                    await asyncio.sleep(_RETRY)
                    await self._try_renewing()
        except TimeoutError as exc:
            raise Lost(f"the Lease could not be renewed for {_DEADLINE:g} s") from exc

    async def _try_renewing(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER):
                await self._renew()
        except (ApiError, TimeoutError) as exc:
            log.warn("lease_late", f"The Lease could not be renewed: {exc or 'no answer'}.")

    async def _renew(self) -> None:
        if self._lease is None:  # what became of our last try is not known
            self._lease = await self._cluster.lease(self._metadata["namespace"], self._metadata["name"])
            if self._lease is not None and self._lease["spec"].get("holderIdentity") != self._identity:
                raise Lost(f"{self._lease['spec'].get('holderIdentity') or 'nobody'} holds the Lease now")
        lease, self._lease = self._lease, None
        await self._put(lease)

    async def release(self) -> None:
        """Give the Lease away at once, so that whoever waits need not wait for its end."""
        lease, self._lease = self._lease, None
        try:
            async with asyncio.timeout(_ANSWER):
                if lease is None:
                    lease = await self._cluster.lease(self._metadata["namespace"], self._metadata["name"])
                if lease is None or lease["spec"].get("holderIdentity") != self._identity:
                    return
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                await self._cluster.put_lease({**lease, "spec": spec})
        except (ApiError, TimeoutError) as exc:
            log.warn("lease_kept", f"The Lease could not be released, and ends by itself: {exc or 'no answer'}.")
            return
        log.info("released", "The Lease is released.")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

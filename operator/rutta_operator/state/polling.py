"""Ask one pod of each resource, now and then, how its targets are; tell when what it means has changed.

A pod is found by the DNS name of the health Service (headless, with not-ready pods), and stayed with as long as it
answers and knows: with another pod each time, two that differ would make a status flap, and steady state needs no DNS.
The operator has no right to proxy to Services, so out of a cluster, where the name does not resolve, there is Silence.

A pod that fails its first tries is looked at twice within seconds before it is told of; an open circuit is told at
once. So a wrong password is known after at most one round and the few seconds of the target's first tries.
"""

import asyncio
import heapq
import random
import socket
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import aiohttp

from rutta_operator.state.reading import Reading, Unreadable, carried_on, read, worth_telling
from rutta_operator.state.seen import Report, Silence
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import HEALTH_PORT

LOOK_TWICE: Final = 3.0  # seconds until the second look at bad news
MISSES: Final = 3  # rounds without an answer before that is told
WORDS: Final = 60.0  # seconds between two tellings when only the words of a failure are others
_TIMEOUT: Final = aiohttp.ClientTimeout(total=3.0)
_LARGEST: Final = 2**20  # bytes of a page
_AT_ONCE: Final = 32  # pods asked at a time
_SPREAD: Final = 0.1  # of a round, either way

Resolve = Callable[[str], Awaitable[list[str]]]


async def resolve(host: str) -> list[str]:
    """Return the addresses of a name; OSError if it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, HEALTH_PORT, type=socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})


class _Watched:
    """One resource that is asked for."""

    def __init__(self, well: frozenset[str]) -> None:
        self.well = well
        self.told: Report | Silence | None = None
        self.told_at = 0.0
        self.doubt: Report | None = None
        self.reading: Reading | None = None
        self.address: str | None = None
        self.round = 0  # of the addresses, while none of them knows
        self.misses = 0
        self.due = 0.0


class Poller:
    """Asks for the resources that it is to ``follow``, from ``run`` to its cancellation."""

    def __init__(
        self,
        changed: Callable[[Key], None],
        *,
        every: float = 15.0,
        port: int = HEALTH_PORT,
        resolve: Resolve = resolve,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``changed`` is called, on the loop, with each resource whose report means something else now."""
        self._changed, self._every, self._port = changed, every, port
        self._resolve, self._clock = resolve, clock
        self._watched: dict[Key, _Watched] = {}
        self._due: list[tuple[float, Key]] = []
        self._wake = asyncio.Event()
        self._session: aiohttp.ClientSession

    def follow(self, key: Key, well: Collection[str] = ()) -> None:
        """Ask for a resource from now on; harmless if it is asked for already.

        ``well``: targets that were Healthy when somebody was asked last, by an operator before this one.
        """
        if key not in self._watched:
            self._watched[key] = _Watched(frozenset(well))
            self._plan(key, random.uniform(0, min(self._every, 2.0)))  # noqa: S311 - spreads load, guards nothing

    def forget(self, key: Key) -> None:
        """Ask no more; what was reported is forgotten."""
        self._watched.pop(key, None)

    def report(self, key: Key) -> Report | Silence | None:
        """Return what is known; None while it was not asked."""
        watched = self._watched.get(key)
        return None if watched is None else watched.told

    def _plan(self, key: Key, after: float) -> None:
        due = self._watched[key].due = self._clock() + after
        heapq.heappush(self._due, (due, key))
        self._wake.set()

    async def run(self) -> None:
        """Ask, round after round, until cancelled."""
        # a connection is not kept: rounds are longer than servers and NAT keep idle ones, and thousands cost memory
        connector = aiohttp.TCPConnector(limit=_AT_ONCE, force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False) as self._session,
            asyncio.TaskGroup() as tasks,
        ):
            room = asyncio.Semaphore(_AT_ONCE)
            while True:
                key = await self._next()
                await room.acquire()
                tasks.create_task(self._round(key)).add_done_callback(lambda _: room.release())

    async def _next(self) -> Key:
        """Wait until somebody is due."""
        while True:
            while self._due and not self._is_meant(*self._due[0]):
                heapq.heappop(self._due)
            wait = self._due[0][0] - self._clock() if self._due else None
            if wait is not None and wait <= 0:
                return heapq.heappop(self._due)[1]
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _is_meant(self, due: float, key: Key) -> bool:
        """Tell whether an appointment still stands: its resource may have been forgotten, and followed anew."""
        return key in self._watched and self._watched[key].due == due

    async def _round(self, key: Key) -> None:
        watched = self._watched.get(key)
        if watched is None:
            return
        try:
            is_doubted = await self._ask(key, watched)
        finally:
            spread = 1 + random.uniform(-_SPREAD, _SPREAD)  # noqa: S311 - spreads load, guards nothing
        if self._watched.get(key) is watched:
            self._plan(key, min(LOOK_TWICE, self._every) if is_doubted else self._every * spread)

    async def _ask(self, key: Key, watched: _Watched) -> bool:
        """Look once; return whether what was seen is to be looked at again soon."""
        try:
            page = await self._fetch(await self._address(key, watched))
            reading = read(page, key, watched.reading)
        except (OSError, aiohttp.ClientError, TimeoutError, Unreadable) as exc:
            return self._missed(key, watched, exc)
        watched.misses, watched.reading = 0, reading
        if not reading.knows:
            self._leave(watched)
        return self._weigh(key, watched, reading)

    async def _address(self, key: Key, watched: _Watched) -> str:
        if watched.address is None:
            found = await self._resolve(names.dns(key, names.health(key)))
            watched.address = found[watched.round % len(found)]
        return watched.address

    def _leave(self, watched: _Watched) -> None:
        """Ask another pod in the next round."""
        watched.address, watched.reading = None, None
        watched.round += 1

    async def _fetch(self, address: str) -> bytes:
        host = f"[{address}]" if ":" in address else address
        async with self._session.get(f"http://{host}:{self._port}/status", allow_redirects=False) as answer:
            if answer.status != 200:
                raise Unreadable(f"the health port answered {answer.status}")
            page = await answer.content.read(_LARGEST + 1)
            while (more := await answer.content.read(_LARGEST + 1 - len(page))) and len(page) <= _LARGEST:
                page += more
        if len(page) > _LARGEST:
            raise Unreadable("the answer at the health port is too large")
        return page

    def _missed(self, key: Key, watched: _Watched, exc: Exception) -> bool:
        self._leave(watched)
        watched.misses += 1
        watched.doubt = None
        if watched.misses >= MISSES and not isinstance(watched.told, Silence):
            self._tell(key, watched, Silence(_why(exc)))
        return False

    def _weigh(self, key: Key, watched: _Watched, reading: Reading) -> bool:
        told = watched.told
        now = carried_on(told if isinstance(told, Report) else None, reading.report, watched.well)
        if told == now:
            watched.doubt = None
        elif isinstance(told, Report) and not worth_telling(told, now):
            if self._clock() - watched.told_at >= WORDS:
                self._tell(key, watched, now)
        elif reading.is_firm or (watched.doubt is not None and not worth_telling(watched.doubt, now)):
            self._tell(key, watched, now)
        else:
            watched.doubt = now
            return True
        return False

    def _tell(self, key: Key, watched: _Watched, what: Report | Silence) -> None:
        watched.told, watched.told_at, watched.doubt = what, self._clock(), None
        self._changed(key)


def _why(exc: Exception) -> str:
    if isinstance(exc, Unreadable):
        return f"{exc}."
    if isinstance(exc, TimeoutError):
        return "no answer at the health port within 3 s."
    if isinstance(exc, OSError) and not isinstance(exc, aiohttp.ClientError):
        return "the health Service has no pods, or its name cannot be resolved here."
    return "nothing answers at the health port."

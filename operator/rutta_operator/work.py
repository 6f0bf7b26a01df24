"""Whose turn it is: keys that wait, keys at work. A key is never worked on twice at once, and waits once at most.

A key that failed comes again after 0.1 s, then twice as long each time up to a minute, with jitter; one that is added
meanwhile, since something changed, comes at once.
"""

import asyncio
import random
from collections.abc import Iterable
from typing import Final

from rutta_operator.wiring.graph import Key

_FIRST: Final = 0.1  # seconds
_LONGEST: Final = 60.0


class Work:
    """A queue without doubles; for one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Key, None] = {}  # in order of arrival
        self._busy: set[Key] = set()
        self._again: set[Key] = set()  # added while at work
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._ready = asyncio.Semaphore(0)

    def __len__(self) -> int:
        """Return how many keys wait or are at work."""
        return len(self._waiting) + len(self._busy)

    def add(self, key: Key) -> None:
        """Put a key on the queue, unless it waits there."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = None
            self._ready.release()

    def extend(self, keys: Iterable[Key]) -> None:
        """Put keys on the queue."""
        for key in keys:
            self.add(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Put a key on the queue later; the earlier of two times counts."""
        loop = asyncio.get_running_loop()
        planned = self._later.get(key)
        if planned is not None and planned.when() <= loop.time() + seconds:
            return
        if planned is not None:
            planned.cancel()
        self._later[key] = loop.call_later(seconds, self._due, key)

    def _due(self, key: Key) -> None:
        self._later.pop(key, None)
        self.add(key)

    async def take(self) -> Key:
        """Wait for a key and return it; ``done`` or ``failed`` must follow."""
        await self._ready.acquire()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._busy.add(key)
        return key

    def done(self, key: Key) -> None:
        """Say that the work on a key went well."""
        self._failures.pop(key, None)
        self._end(key)

    def failures(self, key: Key) -> int:
        """Return how often in a row the work on a key did not go well."""
        return self._failures.get(key, 0)

    def failed(self, key: Key) -> float:
        """Say that the work on a key did not go well; return after how many seconds it comes again."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(_FIRST * (1 << min(count - 1, 16)), _LONGEST)
        delay = longest * random.uniform(0.5, 1.0)  # noqa: S311
        self.add_after(key, delay)
        self._end(key)
        return delay

    def forget(self, key: Key) -> None:
        """Drop what was planned for a key that is no more."""
        self._failures.pop(key, None)
        planned = self._later.pop(key, None)
        if planned is not None:
            planned.cancel()

    def _end(self, key: Key) -> None:
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

"""When to try a target again: jittered exponential backoff, and a circuit that opens after repeated failures.

Closed: everybody may send. After a failure all senders of the target wait; after ``OPEN_AFTER`` failures in a row the
circuit is open, and only one sender at a time probes until one succeeds.
"""

import asyncio
import contextlib
import random
import time
from typing import Final, Literal

State = Literal["Starting", "Healthy", "Retrying", "CircuitOpen"]

OPEN_AFTER: Final = 5


class Breaker:
    """One target's circuit; shared by all its senders."""

    def __init__(self, *, initial: float, maximum: float) -> None:
        """``initial`` and ``maximum`` bound the wait between tries, in seconds."""
        self.state: State = "Starting"
        self.failures = 0
        self._initial = initial
        self._maximum = maximum
        self._not_before = 0.0
        self._probe = asyncio.Lock()
        self._well = asyncio.Event()  # set by a success: whoever waits need not wait out the pause

    async def turn(self) -> bool:
        """Wait until a try makes sense; True if this caller is the probe and must call ``probed``."""
        while True:
            if self.state == "CircuitOpen":
                await self._probe.acquire()
                if self.state != "CircuitOpen":
                    self._probe.release()
                    continue
                try:
                    await self.pause()
                except asyncio.CancelledError:
                    self._probe.release()
                    raise
                return True
            if time.monotonic() >= self._not_before:
                return False
            await self.pause()

    async def pause(self) -> None:
        """Wait until the next try may be made."""
        while (wait := self._not_before - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._well.wait()

    def probed(self) -> None:
        """The probe is over."""
        self._probe.release()

    def success(self) -> None:
        """A send went through."""
        self.state = "Healthy"
        self.failures = 0
        self._not_before = 0.0
        self._well.set()

    def hasten(self) -> None:
        """Stop waiting out the present pause: the process stops, and this may be the last chance."""
        self._not_before = 0.0
        self._well.set()

    def failure(self, after: float | None = None) -> float:
        """A send failed; return how long to wait. ``after`` is what the other side asked for, a minimum."""
        self.failures += 1
        self._well.clear()
        self.state = "CircuitOpen" if self.failures >= OPEN_AFTER else "Retrying"
        ceiling = min(self._maximum, self._initial * 2.0 ** min(self.failures - 1, 30))
        # Half fixed, half random: no herd after an outage, no immediate storm either.
        wait: float = ceiling / 2 + random.random() * ceiling / 2  # noqa: S311 - spreads load, guards nothing
        if after is not None:
            wait = max(wait, after)
        self._not_before = max(self._not_before, time.monotonic() + wait)
        return wait

"""All processes of a topology: started together, started again when they die, stopped tier by tier.

Each process has a ``Seat``; whoever dies in it is replaced, after a pause that doubles. Stopping goes from where events
come in to where they go out, so that every tier has a tier behind it while it empties.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from rutta_operator.local.child import Child, Counts
from rutta_operator.local.launch import Launch
from rutta_operator.local.screen import Screen

PAUSE: Final = 1.0  # seconds before the first new start
_LONGEST_PAUSE: Final = 30.0
_SOUND: Final = 60.0  # seconds of life after which a death counts as the first again
_PATIENCE: Final = 3.0  # seconds of stopping after which a user is told what is waited for
_GRACE: Final = 10.0  # seconds beyond a process's own time to stop before it is killed


class StartFailed(Exception):
    """A process did not become ready; its log has been shown."""


class Seat:
    """Keeps one process running until it is told to stop."""

    def __init__(self, launch: Launch, label: str, program: Sequence[str], screen: Screen, pause: float) -> None:
        """``pause`` is the one before the first new start, in seconds."""
        self.launch, self.label = launch, label
        self.child: Child | None = None
        self.ready = asyncio.Event()
        self.counts = Counts()
        self.uncounted = 0
        """runs that ended without saying what became of their events"""
        self.killed = False
        self._program, self._screen, self._first_pause = program, screen, pause
        self._stopping = asyncio.Event()

    async def keep(self, on_new: Callable[["Seat"], None]) -> None:
        """Run the process, again and again, until ``stop``. ``on_new`` is called for each that became ready.

        Raises:
            StartFailed: the first one ended before it was ready.
        """
        pause = self._first_pause
        while not self._stopping.is_set():
            began = time.monotonic()
            self.child = child = await Child.start(self.launch, self._program, self._screen, self.label)
            if self._stopping.is_set():  # ``stop`` came while it was being started, and found nothing to stop
                child.send(signal.SIGTERM)
            code = await self._live(child, on_new)
            self.counts = self.counts.plus(child.counts or Counts())
            if self._stopping.is_set():
                return
            self.uncounted += child.counts is None
            if not self.ready.is_set():
                raise StartFailed(f"{self.label} ended before it was ready ({_how(code)}).")
            pause = self._first_pause if time.monotonic() - began > _SOUND else pause
            self._screen.say(f"{self.label} died ({_how(code)}); starting it again in {pause:g} s.")
            await _either(self._stopping.wait(), asyncio.sleep(pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _live(self, child: Child, on_new: Callable[["Seat"], None]) -> int:
        """Wait for the end of a process, and tell when it became ready."""
        ready = asyncio.create_task(child.ready())
        end = asyncio.create_task(child.wait())
        try:
            await asyncio.wait([ready, end], return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                self.ready.set()
                on_new(self)
            return await end
        except asyncio.CancelledError:
            child.send(signal.SIGKILL)
            await end
            raise
        finally:
            ready.cancel()

    async def stop(self) -> None:
        """Stop the process in order; kill it if it takes longer than it may."""
        self._stopping.set()
        child = self.child
        if child is None:
            return
        runs = child.runs
        before = await child.status() if runs else None
        child.send(signal.SIGTERM)
        waiting = asyncio.get_running_loop().call_later(_PATIENCE, self._say_waiting)
        try:
            await asyncio.wait_for(child.wait(), self.launch.grace + _GRACE)
        except TimeoutError:
            self._screen.say(f"{self.label} did not stop in {self.launch.grace + _GRACE:g} s and is killed.")
            self.kill()
            await child.wait()
        finally:
            waiting.cancel()
        if runs and child.counts is None:
            self.counts = self.counts.plus(before or Counts())  # what it knew just before
            self.uncounted += before is None

    def _say_waiting(self) -> None:
        if not self.killed:
            text = f"{self.label} still has something to deliver; it may take {self.launch.grace:g} s. Ctrl-C kills."
            self._screen.say(text)

    def kill(self) -> None:
        """End the process at once."""
        self._stopping.set()
        self.killed = True
        if self.child is not None:
            self.child.send(signal.SIGKILL)


class Crew:
    """All seats."""

    def __init__(
        self, launches: Sequence[Launch], labels: Sequence[str], program: Sequence[str], screen: Screen,
        *, pause: float = PAUSE, start_timeout: float,
    ) -> None:  # fmt: skip
        """``program`` is the beginning of each command line; ``start_timeout`` bounds the start of all, in seconds."""
        self.seats = [
            Seat(launch, label, program, screen, pause) for launch, label in zip(launches, labels, strict=True)
        ]
        self._screen, self._start_timeout = screen, start_timeout
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Stop in order; called again, kill what still runs."""
        if self._stop.is_set():
            self._screen.say("Killing what still runs.")
            for seat in self.seats:
                seat.kill()
        elif any(seat.child for seat in self.seats):
            self._screen.say("Stopping; again kills.")
        self._stop.set()

    async def run(self, on_all: Callable[[], None], on_new: Callable[[Seat], None]) -> None:
        """Run everything until ``stop``; ``on_all`` is called once all are ready, ``on_new`` for each that is.

        Raises:
            StartFailed: a process did not become ready in time; all have been stopped.
        """
        keeping = [asyncio.create_task(seat.keep(on_new)) for seat in self.seats]
        try:
            await self._all_ready(keeping)
            if not self._stop.is_set():
                on_all()
            await _either(self._stop.wait(), *keeping)
        finally:
            self._stop.set()
            for tier in self._tiers():
                await asyncio.gather(*(seat.stop() for seat in tier))
            await asyncio.gather(*keeping, return_exceptions=True)

    async def _all_ready(self, keeping: Iterable["asyncio.Task[None]"]) -> None:
        """Wait until all are ready, or the end of the first that fails, or a stop."""
        ready = asyncio.gather(*(seat.ready.wait() for seat in self.seats))
        try:
            async with asyncio.timeout(self._start_timeout):
                await _either(ready, self._stop.wait(), *keeping)
        except TimeoutError:
            late = ", ".join(seat.label for seat in self.seats if not seat.ready.is_set())
            raise StartFailed(f"{late} did not become ready in {self._start_timeout:g} s.") from None
        finally:
            ready.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ready

    def _tiers(self) -> list[list[Seat]]:
        """Return the seats in the order of stopping, those that stop together in one list."""
        numbers = sorted({seat.launch.tier for seat in self.seats})
        return [[seat for seat in self.seats if seat.launch.tier == number] for number in numbers]


async def _either(*works: Awaitable[object]) -> None:
    """Wait for the first of several to end, and raise what it raised; futures given go on, coroutines are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task, work in zip(tasks, works, strict=True):
            if task is not work:
                task.cancel()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

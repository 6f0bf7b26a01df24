"""Holds a listener back: stops its reading while its intake is full, and starts it again."""

import asyncio
from collections.abc import Callable

from rutta.listeners import Intake


class Valve:
    """Calls ``shut`` when the intake is full, and ``open_again`` when there is room."""

    def __init__(self, intake: Intake, *, shut: Callable[[], None], open_again: Callable[[], None]) -> None:
        """The listener calls ``check`` after each offer and ``close`` at its end."""
        self._intake = intake
        self._shut = shut
        self._open = open_again
        self._task: asyncio.Task[None] | None = None

    @property
    def is_shut(self) -> bool:
        """Whether reading is stopped."""
        return self._task is not None

    def check(self) -> None:
        """Stop reading if the intake is full."""
        if self._task is None and self._intake.full:
            self._shut()
            self._task = asyncio.get_running_loop().create_task(self._reopen())

    async def _reopen(self) -> None:
        while self._intake.full:
            await self._intake.room()
        self._task = None
        self._open()

    async def close(self) -> None:
        """Stop waiting; reading stays as it is."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.wait([task])
            self._task = None


async def room_or(intake: Intake, stopping: asyncio.Event) -> None:
    """Wait until the intake has room or ``stopping`` is set."""
    waits = [asyncio.ensure_future(intake.room()), asyncio.ensure_future(stopping.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()


async def room_within(intake: Intake, seconds: float) -> bool:
    """Wait for room so long; say whether there is."""
    if not intake.full:
        return True
    try:
        async with asyncio.timeout(seconds):
            await intake.room()
    except TimeoutError:
        return False
    return True

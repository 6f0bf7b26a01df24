"""A source's surroundings: an intake that remembers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from rutta.message import Block, Receipt


class FakeIntake:
    """Remembers what it was offered; is full when told to be."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.refused: Counter[str] = Counter()
        self.full_after: int | None = None
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        return not self._room.is_set()

    def drain(self) -> None:
        self._room.set()

    def offer(self, block: Block) -> Receipt:
        self.blocks.append(block)
        if self.full_after == len(self.blocks):
            self._room.clear()
        receipt = Receipt(1)
        receipt.release()
        return receipt

    async def room(self) -> None:
        await self._room.wait()

    def refuse(self, word: str, count: int = 1) -> None:
        self.refused[word] += count

    def kernel_drops(self, count: int) -> None:
        raise AssertionError("files have no kernel drops")

    @property
    def lines(self) -> list[bytes]:
        return [line for block in self.blocks for line in block.data.split(b"\n")[:-1]]


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Wait until a condition holds that nobody signals."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    return wait

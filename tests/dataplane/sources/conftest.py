"""A source's surroundings: an intake that remembers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from rutta.message import Block, Receipt
from rutta.tail import checkpoints, register, saving, seams, tail


class FakeIntake:
    """Remembers what it was offered; is full when told to be."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.refused: Counter[str] = Counter()
        self.full_after: int | None = None
        self.is_holding = False  # whether receipts are not done until ``release``
        self._held: list[Receipt] = []
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
        if self.is_holding:
            self._held.append(receipt)
        else:
            receipt.release()
        return receipt

    def release(self, count: int | None = None) -> None:
        """Let the first receipts be done; all by default."""
        done, self._held = self._held[:count], [] if count is None else self._held[count:]
        for receipt in done:
            receipt.release()

    def release_one(self, at: int) -> None:
        """Let a receipt be done, whichever."""
        if self._held:
            self._held.pop(at % len(self._held)).release()

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
def new_intake() -> Callable[[], FakeIntake]:
    return FakeIntake


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what takes seconds take hundredths."""
    monkeypatch.setattr(tail, "RESCAN", 0.01)
    monkeypatch.setattr(tail, "SETTLE", 0.001)
    monkeypatch.setattr(register, "STALE", 0.1)
    monkeypatch.setattr(seams, "SETTLED", 0.03)
    monkeypatch.setattr(saving, "EVERY", 0.005)
    monkeypatch.setattr(saving, "SHARE", 0)
    monkeypatch.setattr(checkpoints, "LOCK_EVERY", 0.005)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Wait until a condition holds that nobody signals."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    return wait

"""What the tests of links share: intakes that keep what they get, and links that end with their test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from rutta import conversion
from rutta.errors import ConfigError
from rutta.link.opaque import Opaque
from rutta.listeners import link as link_listener
from rutta.message import NOTHING, Batch, Block, Receipt, new_origin
from rutta.targets import link as link_target

WAIT = 20.0  # seconds that a condition may take before a test fails


class Rows:
    """Lines, as a codec would have them."""

    def __init__(self, lines: Sequence[bytes], codec: str = "json") -> None:
        self._lines = list(lines)
        self.codec = codec

    def __len__(self) -> int:
        return len(self._lines)

    def payload(self) -> bytes:
        return b"".join([line + b"\n" for line in self._lines])

    def lines(self) -> Sequence[bytes]:
        return self._lines

    def take(self, rows: Sequence[int]) -> "Rows":
        return Rows([self._lines[row] for row in rows], self.codec)


class FakeIntake:
    """Keeps blocks and their receipts; ``full`` is as the test sets it."""

    def __init__(self, *, finish: bool = True) -> None:
        self.blocks: list[Block] = []
        self.receipts: list[Receipt] = []
        self.refused: list[tuple[str, int]] = []
        self.finish = finish
        self.full = False
        self._room = asyncio.Event()

    def offer(self, block: Block) -> Receipt:
        self.blocks.append(block)
        receipt = Receipt(block.count)
        if self.finish:
            receipt.release()
        else:
            self.receipts.append(receipt)
        return receipt

    def finish_all(self) -> None:
        receipts, self.receipts = self.receipts, []
        for receipt in receipts:
            receipt.release()

    async def room(self) -> None:
        while self.full:
            self._room.clear()
            await self._room.wait()

    def empty(self) -> None:
        self.full = False
        self._room.set()

    def refuse(self, word: str, count: int = 1) -> None:
        self.refused.append((word, count))

    def kernel_drops(self, count: int) -> None:
        raise AssertionError("no kernel here")

    @property
    def events(self) -> list[bytes]:
        return [line for block in self.blocks for line in block.data.splitlines()]


class Passing(FakeIntake):
    """The engine of a proxy in ten lines: what comes in goes to a target, and is done when that has it."""

    def __init__(self, target: Any, group: asyncio.TaskGroup) -> None:
        super().__init__(finish=False)
        self._target = target
        self._group = group

    def offer(self, block: Block) -> Receipt:
        batch = Opaque().decode(block, NOTHING)
        receipt = Receipt(len(batch))
        self._group.create_task(self._pass(batch, receipt))
        return receipt

    async def _pass(self, batch: Batch, receipt: Receipt) -> None:
        outcome = await self._target.send([batch])
        assert not outcome.rejected
        receipt.release()


class Receiving:
    """A listener that serves in the background."""

    def __init__(self, listener: Any, intake: FakeIntake, addresses: Sequence[str], task: asyncio.Task[None]) -> None:
        self.listener = listener
        self.intake = intake
        self.address = addresses[0]
        self.task = task

    async def stop(self) -> None:
        """Stop in order."""
        self.listener.stop()
        async with asyncio.timeout(WAIT):
            await self.task

    async def kill(self) -> None:
        """Stop without a word."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


class Links:
    """Makes links and ends them."""

    Intake = FakeIntake
    Passing = Passing
    Rows = Rows

    def __init__(self, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack

    async def receive(self, intake: FakeIntake | None = None, **config: Any) -> Receiving:
        listener = link_listener.make(
            conversion.convert({"bind": "127.0.0.1:0", "heartbeat": "0.1s", **config}, link_listener.Config), "in"
        )
        return await self.serve(listener, intake)

    async def serve(self, listener: Any, intake: FakeIntake | None = None) -> Receiving:
        intake = intake or FakeIntake()
        addresses = await self._bind(listener)
        one = Receiving(listener, intake, addresses, asyncio.create_task(listener.serve(intake)))
        self._stack.push_async_callback(one.kill)
        return one

    @staticmethod
    async def _bind(listener: Any) -> Sequence[str]:
        """Bind; a port that ZeroMQ's thread has not let go of yet is tried again."""
        async with asyncio.timeout(WAIT):
            while True:
                try:
                    return await listener.bind()
                except ConfigError as exc:
                    if "has this port" not in str(exc):
                        raise
                    await asyncio.sleep(0.005)

    async def send_to(self, *addresses: str, resolver: Any = None, **config: Any) -> Any:
        given: dict[str, Any] = {"heartbeat": "0.1s", **config}
        if addresses:
            given["addresses"] = list(addresses)
        kind = conversion.convert(given, link_target.Config)
        target = link_target.Link(kind, "out", resolver=resolver) if resolver else link_target.make(kind, "out")
        await target.open()
        self._stack.push_async_callback(target.close)
        return target

    @staticmethod
    def batch(lines: Sequence[bytes], *, codec: str = "json", **given: Any) -> Batch:
        made = {"origin": new_origin(), "received": 1, "size": sum(map(len, lines)) + len(lines), **given}
        return Batch(Rows(lines, codec), **made)

    @staticmethod
    async def until(is_so: Callable[[], Any]) -> None:
        """Wait until a condition holds; looked at often, failed after ``WAIT``."""
        async with asyncio.timeout(WAIT):
            while not is_so():
                await asyncio.sleep(0.005)


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    async with contextlib.AsyncExitStack() as stack:
        yield Links(stack)

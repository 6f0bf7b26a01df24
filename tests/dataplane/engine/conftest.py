"""Fakes of the engine's tests: rows in a list, and a target that answers as it is told."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rutta.delivery import Delivery, RetryPolicy
from rutta.message import NOTHING, Batch, Origin, Receipt
from rutta.queue import Queue, WhenFull
from rutta.stats import TargetStats
from rutta.targets import DELIVERED, Gathering, Outcome


class ListRows:
    """Rows that are a list of names; level is the row's number modulo 7."""

    codec = "json"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def __len__(self) -> int:
        return len(self.names)

    def payload(self) -> bytes:
        return b"".join(name.encode() + b"\n" for name in self.names)

    def lines(self) -> Sequence[bytes]:
        return [name.encode() for name in self.names]

    def column(self, name: str) -> Sequence[Any]:
        if name == "name":
            return self.names
        if name == "level":
            return [int(name.rpartition(".")[2]) % 7 for name in self.names]
        return [None] * len(self.names)

    def events(self) -> Sequence[Any]:
        raise AssertionError("nobody asked for whole events")

    def take(self, rows: Sequence[int]) -> "ListRows":
        return ListRows([self.names[row] for row in rows])


class ToldTarget:
    """Answers each send with the next of ``answers`` (an outcome, an exception, or a callable); then delivers."""

    columns = NOTHING

    def __init__(self, answers: Sequence[Any] = ()) -> None:
        self.answers = list(answers)
        self.sent: list[list[str]] = []
        self.delivered: list[str] = []
        self.opened = self.closed = 0
        self.hold: asyncio.Event | None = None

    async def open(self) -> None:
        self.opened += 1

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        names = [name for batch in batches for name in batch.rows.names]
        self.sent.append(names)
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answers.pop(0) if self.answers else DELIVERED
        if callable(answer) and not isinstance(answer, type):
            answer = answer(batches)
        if isinstance(answer, BaseException):
            raise answer
        lost = {(one.batch, one.row) for one in (*answer.retry, *answer.rejected)}
        self.delivered += [
            name
            for at, batch in enumerate(batches)
            for row, name in enumerate(batch.rows.names)
            if (at, row) not in lost
        ]
        return answer

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    def make(*names: str, size: int | None = None) -> Batch:
        return Batch(ListRows(names), size=size or 100 * len(names), origin=Origin(b"o" * 16, 1), received=1)

    return make


@pytest.fixture
def told() -> type[ToldTarget]:
    return ToldTarget


@pytest.fixture
def make_delivery() -> Callable[..., Delivery]:
    def make(
        target: ToldTarget,
        *,
        limit: int = 10_000,
        when_full: WhenFull = "Block",
        gathering: Gathering = Gathering(max_delay=0),
        retry: RetryPolicy = RetryPolicy(0.0001, 0.001),
    ) -> Delivery:
        return Delivery(target, Queue(limit, when_full), TargetStats("t", "told"), gathering=gathering, retry=retry)

    return make


@pytest.fixture
def receipt() -> Receipt:
    return Receipt(1)

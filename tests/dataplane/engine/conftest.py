"""Fakes of the engine's tests: rows in a list, and a target that answers as it is told."""

import asyncio
import contextlib
import types
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from rutta import components
from rutta.config import Config, Drain, ListenerEntry, Process, TargetEntry
from rutta.delivery import Delivery, RetryPolicy
from rutta.errors import ConfigError
from rutta.message import NOTHING, Batch, Block, Failure, Origin, Receipt
from rutta.queue import Queue, WhenFull
from rutta.router import Router
from rutta.settings import Duration, Size
from rutta.stats import TargetStats
from rutta.target_settings import Buffer, TargetSettings
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


class Settings(msgspec.Struct, frozen=True):
    codec: str = "words"
    strict: bool = False
    tag: int = 0


class FakeListener:
    made: list["FakeListener"] = []

    def __init__(self, settings, name):
        self.settings, self.name = settings, name
        self.stopped = asyncio.Event()
        self.intake = None
        self.bug = None
        self.serving = asyncio.Event()
        self.made.append(self)

    async def bind(self):
        if self.settings.tag < 0:
            raise ConfigError(f"{self.name} is taken")
        return [f"127.0.0.1:{self.settings.tag}"]

    async def serve(self, intake):
        self.intake = intake
        self.serving.set()
        if self.bug is not None:
            bug, self.bug = self.bug, None
            raise bug
        await self.stopped.wait()

    def stop(self):
        self.stopped.set()

    def status(self):
        return {"fake": True}

    def say(self, words, **kinds):
        return self.intake.offer(Block(words.encode(), **kinds))


@pytest.fixture
def engine(monkeypatch, told):
    """Make configurations of fakes: ``words`` decodes words to events (``!x`` is an error), targets do as told."""
    FakeListener.made = []
    monkeypatch.setattr(FakeListener, "bind", FakeListener.bind)  # tests may replace it
    targets = {}

    class Words:
        seen_columns = []

        def decode(self, block, columns):
            from rutta.message import Batch

            Words.seen_columns.append(columns)
            words = block.data.decode().split()
            good = [word for word in words if word[0] != "!"]
            errors = [Failure(row, "malformed", word) for row, word in enumerate(words) if word[0] == "!"]
            if errors and block.atomic:
                good = []
            return Batch.of(block, Rows(good), size=100 * max(1, len(good)), errors=errors)

    class Rows:
        codec = "json"

        def __init__(self, names):
            self.names = names

        def __len__(self):
            return len(self.names)

        def column(self, name):
            return self.names if name == "name" else [int(one.rpartition(".")[2] or 0) % 7 for one in self.names]

        def take(self, rows):
            return Rows([self.names[row] for row in rows])

    def module(kind, name):
        if kind == "codecs":
            return types.SimpleNamespace(make=lambda strict: Words())
        if kind == "targets":
            return types.SimpleNamespace(make=lambda settings, name: targets.setdefault((name, settings.tag), told()))
        return types.SimpleNamespace(make=FakeListener)

    monkeypatch.setattr(components, "module", module)
    monkeypatch.setattr(components, "names", lambda kind: ("words", "fake"))

    def config(*names, tags=(), routes=(), limit=10_000, when_full="Block", listeners=(("in", 1),), drain=1.0):
        entries = [
            TargetEntry(name, "fake", Settings(tag=tag), TargetSettings(buffer=Buffer(Size(limit), when_full)))
            for name, tag in zip(names, tags or [0] * len(names), strict=True)
        ]
        process = Process(routes=list(routes), drain=Drain(timeout=Duration(drain)))
        ears = [ListenerEntry(name, "listeners", "fake", Settings(tag=tag)) for name, tag in listeners]
        return Config(process, tuple(ears), tuple(entries), str(hash((names, tuple(tags), listeners))))

    return types.SimpleNamespace(
        config=config, targets=targets, listeners=FakeListener.made, listener=FakeListener, codec=Words
    )


@contextlib.asynccontextmanager
async def _running(config, **options):
    router = Router(config, **options)
    stop, bound = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(router.run(stop, bound=bound.set))
    waiting = asyncio.create_task(bound.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    waiting.cancel()
    if task.done():
        task.result()
    for ear in router.ears.values():
        await asyncio.wait_for(ear.listener.serving.wait(), 5)
    try:
        yield router
    finally:
        stop.set()
        router.left = await asyncio.wait_for(task, 10)


async def _until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
def running():
    return _running


@pytest.fixture
def until():
    return _until

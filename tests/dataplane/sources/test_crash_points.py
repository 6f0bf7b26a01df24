"""A crash at every single step: of reading, handing over, and each system call that writes a checkpoint."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rutta.message import Block, Receipt
from rutta.settings import Duration
from rutta.sources import file
from rutta.tail import checkpoints, reading
from rutta.tail.checkpoints import Checkpoints, Entry, encode

LINE = b"line %06d of a log that is long enough to be known again\n"
LENGTH = len(LINE % 0)
MOST = 400  # steps, of which every one is tried


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Lets so many steps pass; at the next one, and ever after, there is no process any more."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @property
    def is_blown(self) -> bool:
        return self.left < 0

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:
            self.step()
            return function(*arguments, **options)

        return guarded

    def write(self, descriptor: int, data: Any) -> int:
        """A write that is cut in its middle."""
        try:
            self.step()
        except Crash:
            os.write(descriptor, data[: len(data) // 2])
            raise
        return os.write(descriptor, data)


class System:
    """What checkpoints use of ``os``, with a fuse before each call that changes something."""

    def __init__(self, fuse: Fuse) -> None:
        self.write = fuse.write
        self.open, self.fsync, self.rename = fuse.around(os.open), fuse.around(os.fsync), fuse.around(os.rename)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@contextlib.contextmanager
def fused(fuse: Fuse) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "os", System(fuse))
        yield


def entries(done: int) -> list[bytes]:
    return [encode(Entry(f"/var/log/{one}", 1, one, (done,))) for one in range(20)]


def test_a_crash_at_any_step_of_saving_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    found = set()
    for steps in range(20):
        state = Checkpoints(str(tmp_path), f"logs{steps}")
        state.save(state.content(entries(1)) or b"")
        with fused(fuse := Fuse(steps)), contextlib.suppress(Crash):
            state.save(state.content(entries(2)) or b"")
        loaded = Checkpoints(str(tmp_path), f"logs{steps}").load()
        assert loaded is not None
        assert loaded in ([*map(checkpoints._decode, entries(1))], [*map(checkpoints._decode, entries(2))])
        found.add((loaded[0].done[0], fuse.is_blown))
        if not fuse.is_blown:
            break
    assert found == {(1, True), (2, True), (2, False)}


class Intake:
    """Takes blocks, and is done with them in another order than they came."""

    full = False

    def __init__(self, fuse: Fuse) -> None:
        self.lines: list[bytes] = []
        self.done: set[bytes] = set()
        self._fuse = fuse
        self._held: list[tuple[Receipt, list[bytes]]] = []

    def offer(self, block: Block) -> Receipt:
        self._fuse.step()
        lines = block.data.split(b"\n")[:-1]
        self.lines += lines
        receipt = Receipt(1)
        self._held.append((receipt, lines))
        if len(self._held) == 3:
            self.finish(2)
            self.finish(0)
        return receipt

    def finish(self, at: int) -> None:
        receipt, lines = self._held.pop(at)
        receipt.release()
        self.done.update(lines)

    def finish_all(self) -> None:
        while self._held:
            self.finish(-1)

    def refuse(self, word: str, count: int = 1) -> None:
        raise AssertionError(word)


class Log:
    """A log that is written, and rotated by rename; the generations are kept."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.log"
        self.count = 0
        self._first: dict[int, int] = {}

    def write(self, lines: int) -> None:
        with self.path.open("ab") as log:
            self._first.setdefault(os.fstat(log.fileno()).st_ino, self.count)
            log.write(b"".join(LINE % number for number in range(self.count, self.count + lines)))
        self.count += lines

    def rotate(self) -> None:
        if (older := self.path.with_name("a.log.1")).exists():
            older.rename(self.path.with_name("a.log.2"))
        self.path.rename(older)
        self.write(20)

    def lines(self, first: int = 0, last: int | None = None) -> set[bytes]:
        return {(LINE % number)[:-1] for number in range(first, self.count if last is None else last)}

    def recorded(self, state: list[Entry]) -> set[bytes]:
        """Return the lines that a state says are done."""
        found: set[bytes] = set()
        for entry in state:
            first = self._first[entry.inode]
            found |= self.lines(first, first + entry.done[0] // LENGTH)
        return found


async def run(folder: Path, fuse: Fuse, intake: Intake, script: Callable[[], Iterator[Callable[[], bool]]]) -> None:
    """Follow the log while the script runs, whose steps are what it waits for; stop, or crash."""
    config = file.Config(
        paths=[str(folder / "a.log")], start_at="Beginning", state=str(folder / "state"), poll_interval=Duration(0.01)
    )
    tail = file.make(config, "logs").tail

    async def process() -> None:
        tail.bind()
        await tail.serve(intake)  # type: ignore[arg-type]

    task = asyncio.create_task(process())
    async with asyncio.timeout(10):
        for condition in script():
            while not (fuse.is_blown or condition()):
                await asyncio.sleep(0.001)
            if fuse.is_blown:
                task.cancel()
                break
        tail.stop()
        await asyncio.wait({task})
        if tail._saver is not None and tail._saver._task is not None:
            await asyncio.wait({tail._saver._task})
            assert isinstance(tail._saver._task.exception(), Crash | None)
    assert task.cancelled() or isinstance(task.exception(), Crash | None)
    if tail._checkpoints is not None:  # what the kernel does for a process that is gone
        tail._checkpoints.unlock()
    tail.catalogue.register.close()


def crash_at(steps: int, folder: Path) -> bool:
    """Crash there, look at what is on record, go on; False if there are not so many steps."""
    fuse, log = Fuse(steps), Log(folder)
    before, after = Intake(fuse), Intake(Fuse(10**9))

    def first() -> Iterator[Callable[[], bool]]:
        log.write(30)
        yield lambda: len(before.lines) == 30
        log.write(10)
        log.rotate()
        yield lambda: len(before.lines) >= 60
        before.finish_all()

    with fused(fuse):
        asyncio.run(run(folder, fuse, before, first))
    state = Checkpoints(str(folder / "state"), "logs").load() or []
    recorded = log.recorded(state)
    assert recorded <= before.done, "the state says of lines that they are done which are not"

    if state:  # what was never seen before it was rotated is not read
        log.write(10)
        log.rotate()

    def second() -> Iterator[Callable[[], bool]]:
        yield lambda: recorded | set(after.lines) == log.lines()
        after.finish_all()

    asyncio.run(run(folder, Fuse(10**9), after, second))
    assert not recorded & set(after.lines), "lines that are done on record came again"
    assert len(after.lines) == len(set(after.lines))
    return fuse.is_blown


@pytest.mark.usefixtures("hurry")
def test_a_crash_at_any_step_loses_nothing_and_repeats_nothing_that_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE", 5 * LENGTH)
    for steps in range(MOST):
        folder = tmp_path / str(steps)
        folder.mkdir()
        if not crash_at(steps, folder):
            assert steps > 30
            return
    raise AssertionError(f"more than {MOST} steps")

"""A log that is written, rotated and compressed in any order, beside a reader that crashes now and then."""

import asyncio
import contextlib
import gzip
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rutta.settings import Duration
from rutta.sources import file
from rutta.tail import saving

pytestmark = pytest.mark.usefixtures("hurry")

STEPS = ("half", "rename", "copytruncate", "compress", "crash", "settle", "look")
OPERATIONS = st.lists(
    st.one_of(st.tuples(st.just("write"), st.integers(1, 30)), st.sampled_from([(step,) for step in STEPS])),
    max_size=14,
)
LONG = 2000  # schedules of the long version


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"line %06d of a log that is long enough to be known again\n" % one for one in range(first, last))


class Writer:
    """Writes numbered lines into a log and rotates it; knows what must arrive."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "a.log"
        self.folder = folder
        self.count = 0
        self.half = b""
        self.log.touch()

    @property
    def lines(self) -> set[bytes]:
        return set(numbered(0, self.count).splitlines())

    def write(self, lines: int) -> None:
        first = self.count + bool(self.half)
        self._append(self.half + numbered(first, first + lines))
        self.count = first + lines
        self.half = b""

    def begin_line(self) -> None:
        if not self.half:
            line = numbered(self.count, self.count + 1)
            self._append(line[:20])
            self.half = line[20:]

    def _append(self, data: bytes) -> None:
        with self.log.open("ab") as log:
            log.write(data)

    def shift(self) -> None:
        self.write(0)
        for number in range(20, 0, -1):
            for suffix in ("", ".gz"):
                with contextlib.suppress(FileNotFoundError):
                    (self.folder / f"a.log.{number}{suffix}").rename(self.folder / f"a.log.{number + 1}{suffix}")

    def rename(self) -> None:
        self.shift()
        self.log.rename(self.folder / "a.log.1")
        self.log.touch()

    def copytruncate(self) -> None:
        self.shift()
        self.write(3)
        shutil.copyfile(self.log, self.folder / "a.log.1")
        os.truncate(self.log, 0)

    def compress(self) -> None:
        for number in range(2, 22):
            plain = self.folder / f"a.log.{number}"
            if plain.exists():
                with gzip.open(f"{plain}.gz", "wb") as packed:
                    packed.write(plain.read_bytes())
                plain.unlink()


class Schedule:
    """Does it all; checks that everything arrives, and what is done and written down only once."""

    def __init__(self, folder: Path, intake: Any, eventually: Callable[..., Any]) -> None:
        self.folder = folder
        self.intake = intake
        self.writer = Writer(folder)
        self.safe: set[bytes] = set()
        self._eventually = eventually
        self._since = 0  # how many lines had come when the last check was made

    async def run(self, operations: list[Any]) -> None:
        await self._begin()
        try:
            for name, *arguments in [("write", 20), ("settle",), *operations, ("settle",)]:
                await self._do(name, *arguments)
        finally:
            self.intake.release()
            self.source.stop()
            await self.task

    async def _do(self, name: str, *arguments: int) -> None:
        if name == "write":
            self.writer.write(*arguments)
        elif name == "half":
            self.writer.begin_line()
        elif name == "look":
            await asyncio.sleep(0.012)
        elif name == "crash":
            await self._crash()
        elif name == "settle":
            await self._settle()
        elif name == "copytruncate":  # a log that was never seen before it is truncated tells nothing
            self.writer.write(1)
            await self._all_read()
            self.writer.copytruncate()
            await self._eventually(self._has_all)
        else:
            getattr(self.writer, name)()

    async def _begin(self) -> None:
        config = file.Config(
            paths=[str(self.writer.log)], poll_interval=Duration(0.01), start_at="Beginning",
            state=str(self.folder / "state"),
        )  # fmt: skip
        self.source = file.make(config, "logs")
        await self.source.bind()
        self.task = asyncio.create_task(self.source.serve(self.intake))

    async def _crash(self) -> None:
        """End it without its last checkpoint, as kill -9 does, and start it again."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(saving.Saver, "end", _let_it_finish)
            self.task.cancel()
            await asyncio.wait({self.task})
        self._check()
        self._since = len(self.intake.lines)
        self.intake.release()
        await self._begin()

    async def _settle(self) -> None:
        self.writer.write(0)
        await self._eventually(self._has_all)
        await self._eventually(self._is_settled)
        self._check()
        self.safe, self._since = set(self.intake.lines), len(self.intake.lines)

    def _check(self) -> None:
        again = self.safe & set(self.intake.lines[self._since :])
        assert not again, f"{len(again)} lines that were done came again, {min(again)!r} first"

    def _has_all(self) -> bool:
        return set(self.intake.lines) == self.writer.lines

    async def _all_read(self) -> None:
        await self._eventually(self._has_all)
        await self._eventually(lambda: self.source.status()["behindBytes"] == 0)

    def _is_settled(self) -> bool:
        self.intake.release()
        status = self.source.status()
        return bool(self.source.tail.is_saved and status["count"] > 0 and status["behindBytes"] == 0)


async def _let_it_finish(saver: saving.Saver, *_: Any) -> None:
    """A save that is under way in its thread is not stopped by us; it comes before the restart."""
    if saver._task is not None:
        await asyncio.wait({saver._task})


@pytest.fixture
def follow(
    tmp_path_factory: pytest.TempPathFactory, new_intake: Any, eventually: Callable[..., Any]
) -> Callable[[list[Any]], None]:
    def run(operations: list[Any]) -> None:
        intake = new_intake()
        intake.is_holding = True
        folder = tmp_path_factory.mktemp("log")
        asyncio.run(Schedule(folder, intake, eventually).run(operations))
        shutil.rmtree(folder)

    return run


# Found by the long version. An empty generation whose inode the compressed form of a finished one was given:
EMPTY = [("look",), ("copytruncate",), ("compress",), ("rename",), ("look",), ("crash",), ("rename",), ("compress",)]
# a generation that came and was compressed between two looks, with the one before it:
BETWEEN = [("rename",), ("write", 45), ("rename",), ("rename",), ("compress",), ("settle",)]
# a finished generation that was compressed, so written to, while nothing ran:
LATER = [("copytruncate",), ("settle",), ("rename",), ("look",), ("look",), ("crash",), ("rename",), ("compress",)]


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
@example(operations=EMPTY)
@example(operations=BETWEEN)
@example(operations=LATER)
def test_no_schedule_of_writing_rotating_and_crashing_loses_a_line_or_repeats_what_is_done(
    operations: list[Any], follow: Callable[[list[Any]], None]
) -> None:
    follow(operations)


@pytest.mark.fuzz
@pytest.mark.skipif("RUTTA_FUZZ" not in os.environ, reason="the long version: make fuzz")
@pytest.mark.timeout(3600)
def test_no_long_schedule_loses_a_line_or_repeats_what_is_done(follow: Callable[[list[Any]], None]) -> None:
    for seed in range(LONG):
        chance = random.Random(seed)
        names = chance.choices(["write", "write", "rename", "crash", "look", *STEPS], k=chance.randrange(1, 16))
        operations = [("write", chance.randrange(1, 30)) if name == "write" else (name,) for name in names]
        try:
            follow(operations)
        except (AssertionError, TimeoutError) as exc:
            raise AssertionError(f"schedule {seed}: {operations}: {exc}") from exc

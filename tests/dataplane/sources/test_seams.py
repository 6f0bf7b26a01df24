"""Lines and traces that begin in one generation of a container's log and end in the next: whole, once, never lost.

containerd ends the old file with what it has of a line, tagged as a part, whenever the kubelet rotates.
"""

import asyncio
import contextlib
import gzip
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rutta.containers import shaper
from rutta.containers.multiline import Traces
from rutta.conversion import convert
from rutta.message import Receipt
from rutta.sources import container_logs
from rutta.tail.followed import Followed
from rutta.tail.limits import Bucket
from rutta.tail.marks import Pin

pytestmark = pytest.mark.usefixtures("hurry")


class Log:
    """The log of one container, written and rotated as containerd and the kubelet do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pods" / "shop_web-1_uid-1" / "app"
        self.folder.mkdir(parents=True)
        self.live = self.folder / "0.log"
        self.live.touch()
        self.rotations = 0

    def write(self, text: bytes, tag: bytes = b"F", stream: bytes = b"stdout") -> None:
        with self.live.open("ab") as file:
            file.write(b"2026-11-22T20:00:01.5Z %b %b %b\n" % (stream, tag, text))

    def rename(self) -> Path:
        self.rotations += 1
        older = self.folder / f"0.log.20261122-1000{self.rotations:02}"
        self.live.rename(older)
        return older

    def rotate(self) -> Path:
        older = self.rename()
        self.live.touch()
        return older


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def make(folder: Path, **settings: Any) -> container_logs.ContainerLogs:
    config = {"path": str(folder / "pods"), "state": str(folder / "state"), "pollInterval": "5ms", **settings}
    return container_logs.ContainerLogs(convert(config, container_logs.Config), "pods", environment={})


@contextlib.asynccontextmanager
async def running(source: container_logs.ContainerLogs, intake: Any) -> AsyncIterator[None]:
    """Run from its first look to the end of the block, and kill it: what is under way is not waited for."""
    await source.bind()
    task = asyncio.create_task(source.serve(intake))
    try:
        while not source.tail.catalogue.files:
            await asyncio.sleep(0.001)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_line_that_is_cut_by_a_rotation_is_whole(
    tmp_path: Path, log: Log, intake: Any, eventually: Any
) -> None:
    async with running(make(tmp_path), intake):
        log.write(b"first")
        log.write(b"one li", b"P")
        log.write(b"to stderr ", b"P", b"stderr")
        await eventually(lambda: intake.lines == [b"first"])
        log.rotate()
        log.write(b"ne")
        log.write(b"next")
        log.write(b"as well", stream=b"stderr")
        await eventually(lambda: len(intake.lines) == 4)
    assert sorted(intake.lines) == [b"first", b"next", b"one line", b"to stderr as well"]
    assert not intake.refused


async def test_a_line_may_go_on_for_several_generations(tmp_path: Path, log: Log, intake: Any, eventually: Any) -> None:
    async with running(make(tmp_path), intake):
        log.write(b"a", b"P")
        log.rotate()
        log.write(b"b", b"P")
        log.rotate()
        log.rotate()
        log.write(b"c")
        await eventually(lambda: intake.lines == [b"abc"])


async def test_generations_that_wait_behind_a_full_queue_are_read_in_order(
    tmp_path: Path, log: Log, intake: Any, eventually: Any
) -> None:
    intake.full_after = 1
    async with running(make(tmp_path), intake):
        log.write(b"0")
        await eventually(lambda: intake.full)
        for number in range(1, 5):
            log.write(b"%d, whole" % number)
            log.write(b"%d, be" % number, b"P")
            older = log.rotate()
            await asyncio.sleep(0.2)  # longer than anybody may write to what was rotated away
            if number == 2:
                older.with_suffix(older.suffix + ".gz").write_bytes(gzip.compress(older.read_bytes()))
                older.unlink()
            log.write(b"gun")
        intake.drain()
        await eventually(lambda: len(intake.lines) == 9)
    expected = [text for number in range(1, 5) for text in (b"%d, whole" % number, b"%d, begun" % number)]
    assert intake.lines == [b"0", *expected]


async def test_what_was_rotated_and_compressed_while_nothing_ran_is_joined(
    tmp_path: Path, log: Log, new_intake: Callable[[], Any], eventually: Any
) -> None:
    first = new_intake()
    async with running(source := make(tmp_path), first):
        log.write(b"done")
        log.write(b"one li", b"P")
        files = source.tail.catalogue.files
        await eventually(lambda: first.lines == [b"done"] and any(one.shaper.is_holding for one in files.values()))
    older = log.rotate()
    older.with_suffix(older.suffix + ".gz").write_bytes(gzip.compress(older.read_bytes()))
    older.unlink()
    log.write(b"ne")
    second = new_intake()
    async with running(make(tmp_path), second):
        await eventually(lambda: second.lines == [b"one line"])


async def test_a_joined_line_that_was_not_done_comes_again_and_one_that_was_does_not(
    tmp_path: Path, log: Log, new_intake: Callable[[], Any], eventually: Any
) -> None:
    intakes = [new_intake() for _ in range(3)]
    intakes[0].is_holding = True
    log.write(b"one li", b"P")
    async with running(make(tmp_path), intakes[0]):
        log.rotate()
        log.write(b"ne")
        await eventually(lambda: intakes[0].lines == [b"one line"])
        await asyncio.sleep(0.2)  # the older file is over by now
    async with running(source := make(tmp_path), intakes[1]):
        await eventually(lambda: intakes[1].lines == [b"one line"])
        await eventually(lambda: source.tail.is_saved)
    async with running(make(tmp_path), intakes[2]):
        log.write(b"last")
        await eventually(lambda: intakes[2].lines == [b"last"])


async def test_a_trace_that_is_cut_by_a_rotation_is_one_event(
    tmp_path: Path, log: Log, intake: Any, eventually: Any
) -> None:
    async with running(make(tmp_path, multiline={"traces": True, "patience": "300ms"}), intake):
        log.write(b"it went wrong")
        log.write(b"Traceback (most recent call last):")
        log.write(b'  File "main.py", li', b"P")
        log.rotate()
        log.write(b"ne 3, in <module>")
        log.write(b"ValueError: x")
        await eventually(lambda: len(intake.lines) == 1)
    assert b'"it went wrong\\nTraceback (most recent call last):\\n  File ' in intake.lines[0]
    assert b"ValueError: x" in intake.lines[0]
    assert b"line 3" in intake.lines[0]


async def test_a_rest_that_never_comes_is_not_waited_for(
    tmp_path: Path, log: Log, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shaper, "PATIENCE", 0.1)
    async with running(make(tmp_path), intake):
        log.write(b"half a li", b"P", b"stderr")
        log.rotate()
        log.write(b"other")
        await eventually(lambda: sorted(intake.lines) == [b"half a li", b"other"])


async def test_while_the_queue_is_full_nothing_is_given_up_for_incomplete(
    tmp_path: Path, log: Log, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shaper, "PATIENCE", 0.05)
    log.write(b"whole")
    log.write(b"begin", b"P", b"stderr")
    intake.full_after = 1
    async with running(make(tmp_path), intake):
        await eventually(lambda: intake.full)
        log.write(b"ning", stream=b"stderr")
        await asyncio.sleep(0.2)
        assert intake.lines == [b"whole"]
        intake.drain()
        await eventually(lambda: intake.lines == [b"whole", b"beginning"])


async def test_what_is_held_back_by_the_rate_when_it_is_rotated_away_is_read_all_the_same(
    tmp_path: Path, log: Log, intake: Any, eventually: Any
) -> None:
    lines = [b"%05d %b" % (number, b"x" * 200) for number in range(3_000)]
    for line in lines:
        log.write(line)
    async with running(make(tmp_path, maxBytesPerSecond="400Ki"), intake):
        await eventually(lambda: intake.lines)
        log.rotate()
        log.write(b"last")
        await eventually(lambda: len(intake.lines) == len(lines) + 1)
    assert intake.lines == [*lines, b"last"]


async def test_the_runtime_may_be_late_with_the_new_file_and_with_the_last_line_of_the_old_one(
    tmp_path: Path, log: Log, intake: Any, eventually: Any
) -> None:
    log.write(b"first")
    async with running(make(tmp_path), intake):
        await eventually(lambda: intake.lines == [b"first"])
        older = log.rename()
        await asyncio.sleep(0.08)  # longer than it settles
        log.write(b"ne")
        with older.open("ab") as file:
            await asyncio.sleep(0.015)
            file.write(b"2026-11-22T20:00:01.5Z stdout P one li\n")
        await eventually(lambda: intake.lines == [b"first", b"one line"])


@pytest.mark.parametrize("slow", [b"stdout", b"stderr"])
async def test_what_the_new_file_is_done_with_is_not_begun_with_once_more(
    tmp_path: Path, log: Log, new_intake: Callable[[], Any], eventually: Any, slow: bytes
) -> None:
    """Blocks are done in any order: the older file is read again for its first one."""
    first, second = new_intake(), new_intake()
    first.is_holding = True
    async with running(source := make(tmp_path), first):
        log.write(b"slow", stream=slow)
        await eventually(lambda: first.lines == [b"slow"])
        log.write(b"one li", b"P")
        log.rotate()
        log.write(b"ne")
        await eventually(lambda: first.lines == [b"slow", b"one line"])
        first.release_one(1)
    log.write(b"next")
    async with running(source := make(tmp_path), second):
        await eventually(lambda: len(second.lines) >= 2 and source.tail.is_saved)
    assert sorted(second.lines) == [b"next", b"slow"]


async def test_a_file_is_let_go_of_when_the_next_one_is_cut_short(
    tmp_path: Path, log: Log, intake: Any, eventually: Any
) -> None:
    log.write(b"begun", b"P", b"stderr")
    async with running(source := make(tmp_path), intake):
        await asyncio.sleep(0.02)
        log.rotate()
        log.write(b"a line")
        await eventually(lambda: intake.lines == [b"a line"])
        log.live.write_bytes(b"")
        log.write(b"b")
        await eventually(lambda: intake.lines == [b"a line", b"b"] and source.tail.is_saved)
    assert intake.refused == {"framing": 1}


async def test_a_file_keeps_its_own_rule_of_joining(tmp_path: Path, log: Log) -> None:
    def lines(rule: Callable[[], Any] | None) -> shaper.ContainerLines:
        return shaper.ContainerLines(shaper.Settings(1000, "auto", rule=rule), lambda _: {}, lambda *_: None)

    def shape(one: shaper.ContainerLines, tag: bytes, text: bytes) -> list[bytes]:
        data = bytearray(b"2026-11-22T20:00:01.5Z stdout %b %b\n" % (tag, text))
        return [made.block.data for made in one.shape(data, len(data), 0)]

    older, newer = lines(None), lines(Traces)
    assert shape(older, b"P", b"it we") == []
    newer.inherit(older, [0, 1])
    assert not older.is_holding
    assert shape(newer, b"F", b"nt wrong") == []
    assert shape(newer, b"F", b"\tat frame") == []
    assert [made.block.data for made in newer.finish()] == [b'{"message":"it went wrong\\n\\tat frame"}\n']


def test_what_goes_on_in_the_next_file_is_undone_whatever_else_is() -> None:
    pin, early, late = Pin(38), Receipt(1), Receipt(1)
    one = Followed("/a/0.log", (1, 1), shaper.ContainerLines(shaper.Settings(9, "auto"), dict, print), Bucket(0, 0.0))
    one.position, one.pins[0] = 100, pin
    one.marks[0].sent(77, late)
    assert one.lows() == [38, 100]
    pin.mark.sent(38, early)
    pin.is_held = False
    late.release()
    assert one.lows() == [38, 100]
    assert not one.is_done
    early.release()
    assert one.lows() == [100, 100]
    assert one.is_done


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_is_cut_and_killed_every_line_comes_whole(
    tmp_path: Path, log: Log, new_intake: Callable[[], Any], eventually: Any, seed: int
) -> None:
    """Lines of two streams, cut at random rotations, by shippers that are killed at random; some receipts are done."""
    dice, came, written = random.Random(seed), Counter[bytes](), []
    for run in range(4):
        intake = new_intake()
        intake.is_holding = True
        async with running(make(tmp_path), intake):
            for number in range(30):
                stream = dice.choice((b"stdout", b"stderr"))
                line = b"%d/%d %b the line" % (run, number, stream)
                if dice.random() < 0.3:
                    cut = dice.randrange(1, len(line))
                    log.write(line[:cut], b"P", stream)
                    log.rotate()
                    log.write(line[cut:], stream=stream)
                else:
                    log.write(line, stream=stream)
                written.append(line)
                if dice.random() < 0.3:
                    await asyncio.sleep(dice.random() * 0.05)
                if dice.random() < 0.5:
                    intake.release_one(dice.randrange(100))
        came.update(intake.lines)
    last = new_intake()
    async with running(source := make(tmp_path), last):
        await eventually(lambda: set(written) <= set(came) | set(last.lines) and source.tail.is_saved)
    came.update(last.lines)
    assert set(came) == set(written), "torn lines"

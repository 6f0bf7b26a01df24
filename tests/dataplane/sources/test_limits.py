"""What holds the reader back: the rate of a file, its neighbours, full queues; and what says how far behind it is."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry

from rutta.message import Block, Receipt
from rutta.settings import Duration, Size
from rutta.sources import file
from rutta.tail import followed, metrics, reading
from rutta.tail.limits import BURST, Bucket
from rutta.tail.shaping import Lines

pytestmark = pytest.mark.usefixtures("hurry")

LINE = b"x" * 99 + b"\n"


def make(folder: Path, **more: Any) -> file.Files:
    common = {"poll_interval": Duration(0.01), "start_at": "Beginning"}
    return file.make(file.Config(paths=[str(folder / "*.log")], **{**common, **more}), "logs")


@contextlib.asynccontextmanager
async def running(source: file.Files, intake: Any) -> AsyncIterator[None]:
    await source.bind()
    task = asyncio.create_task(source.serve(intake))
    try:
        yield
    finally:
        source.stop()
        async with asyncio.timeout(10):
            await task


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as writer:
        writer.write(data)


def test_a_bucket_gives_its_rate_a_burst_after_quiet_and_waits_for_what_was_overdrawn() -> None:
    bucket = Bucket(1000, 0.0)
    bucket.take(int(1000 * BURST))
    assert bucket.is_empty(0.0)
    assert not bucket.is_empty(0.5)
    bucket.take(1500)  # a piece may overdraw it
    assert bucket.is_empty(1.4)
    assert not bucket.is_empty(1.6)
    bucket.is_empty(1000.0)
    bucket.take(int(1000 * BURST))
    assert bucket.is_empty(1000.0)
    assert not Bucket(0, 0.0).is_empty(0.0)


async def test_above_its_rate_a_file_waits_counted_and_its_neighbours_do_not(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE", 1000)
    append(tmp_path / "a.log", LINE * 100)
    append(tmp_path / "b.log", b"quiet\n")
    source = make(tmp_path, max_bytes_per_second=Size(1000))
    async with running(source, intake):
        await eventually(lambda: b"quiet" in intake.lines and source.status()["limited"]["waits"] > 2)
        status = source.status()
        assert 0 < status["behindBytes"] < 10_000
        assert (status["limited"]["droppedLines"], status["abandonedBytes"]) == (0, 0)
        monkeypatch.setattr(Bucket, "is_empty", lambda *_: False)
        await eventually(lambda: len(intake.lines) == 101)


async def test_above_its_rate_lines_are_dropped_counted_when_that_was_chosen(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE", 1000)
    monkeypatch.setattr(Bucket, "is_empty", lambda bucket, _: bucket._left <= 0)  # no time passes
    append(tmp_path / "a.log", LINE * 100)
    append(tmp_path / "b.log", b"quiet\n")
    source = make(tmp_path, max_bytes_per_second=Size(1000), over_rate="Drop")
    async with running(source, intake):
        await eventually(lambda: source.status()["behindBytes"] == 0 and len(intake.lines) == 21)
        limited = source.status()["limited"]
    assert limited == {"waits": 0, "droppedLines": 80, "droppedBytes": 8000}
    page = generate_latest(Collected(source)).decode()
    assert 'rutta_rate_dropped_lines_total{listener="logs"} 80.0' in page
    assert 'rutta_rate_dropped_bytes_total{listener="logs"} 8000.0' in page


class Collected(CollectorRegistry):
    """A page of one source's metrics."""

    def __init__(self, source: file.Files) -> None:
        super().__init__()
        self.register(self)
        self.source = source

    def collect(self) -> Any:
        return metrics.families([("logs", self.source.status())]) if hasattr(self, "source") else ()


class Noisy:
    """An intake whose one container writes two pieces for each that is taken: it is never caught up with."""

    full = False

    def __init__(self, log: Path) -> None:
        self.quiet: list[bytes] = []
        self.noisy_pieces = 0
        self.noisy_between = 0
        self._log = log
        self._since = 0

    def offer(self, block: Block) -> Receipt:
        receipt = Receipt(1)
        receipt.release()
        if block.context["file"] == str(self._log):
            self.noisy_pieces += 1
            self._since += 1
            append(self._log, LINE * 20)
        else:
            self.quiet += block.data.split(b"\n")[:-1]
            self.noisy_between = max(self.noisy_between, self._since)
            self._since = 0
        return receipt

    def refuse(self, word: str, count: int = 1) -> None:
        raise AssertionError(word)


async def test_a_container_that_writes_faster_than_it_is_read_starves_nobody(
    tmp_path: Path, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE", 1000)
    append(tmp_path / "noisy.log", LINE * 200)
    intake, source = Noisy(tmp_path / "noisy.log"), make(tmp_path)
    async with running(source, intake):
        for turn in range(5):
            for number in range(50):
                append(tmp_path / f"{number}.log", b"%d of %d\n" % (turn, number))
            await eventually(lambda turn=turn: len(intake.quiet) == 50 * (turn + 1))
            before = intake.noisy_pieces
            await eventually(lambda before=before: intake.noisy_pieces > before)  # nor is it left behind itself
        assert source.status()["behindBytes"] > 0
        intake._log = tmp_path / "nobody"
    assert sorted(intake.quiet[:250]) == sorted(
        b"%d of %d" % (turn, number) for turn in range(5) for number in range(50)
    )


async def test_between_two_pieces_of_one_file_every_other_with_something_new_has_its_turn(
    tmp_path: Path, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE", 1000)
    append(tmp_path / "noisy.log", LINE * 2000)
    for number in range(50):
        append(tmp_path / f"{number}.log", LINE * 100)
    intake, source = Noisy(tmp_path / "noisy.log"), make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: len(intake.quiet) == 5000)
        assert intake.noisy_between == 1
        intake._log = tmp_path / "nobody"


def test_seconds_behind_are_those_of_the_oldest_byte_that_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    append(log, LINE * 10)
    os.utime(log, (1000, 1000))
    key = (log.stat().st_dev, log.stat().st_ino)
    one = followed.Followed(str(log), key, Lines({}, lambda *_: None, 1000), Bucket(0, 0.0))
    one.open()
    one.look(1005.0)
    assert one.behind(1005.0) == (1000, 5.0)
    append(log, LINE * 10)
    one.look(1010.0)
    assert one.behind(1012.0) == (2000, 12.0)
    one.position = 1500
    assert one.behind(1012.0) == (500, 2.0)
    one.position = 2000
    assert one.behind(1012.0) == (0, 0.0)
    one.close()


async def test_how_far_behind_it_is_rises_while_the_queue_is_full_and_falls_after(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "a.log"
    append(log, LINE)
    intake.full_after = 1
    source = make(tmp_path)

    def shown(name: str) -> float:
        page = generate_latest(Collected(source)).decode()
        (line,) = [line for line in page.splitlines() if line.startswith(name + "{")]
        return float(line.rsplit(" ", 1)[1])

    async with running(source, intake):
        await eventually(lambda: intake.full)
        assert shown("rutta_behind_bytes") == 0
        for count in range(1, 4):
            append(log, LINE)
            assert shown("rutta_behind_bytes") == 100 * count
        os.utime(log, (os.stat(log).st_mtime - 60,) * 2)
        before = shown("rutta_behind_seconds")
        await eventually(lambda: shown("rutta_behind_seconds") > before)
        assert len(intake.lines) == 1
        intake.drain()
        await eventually(lambda: shown("rutta_behind_bytes") == shown("rutta_behind_seconds") == 0)
    assert len(intake.lines) == 4

"""The file source, on real files: appended, renamed, cut short, removed, unreadable."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rutta.conversion import convert
from rutta.errors import ConfigError
from rutta.settings import Duration, Size
from rutta.sources import file
from rutta.tail import fingerprint, reading, register, tail


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "RESCAN", 0.01)
    monkeypatch.setattr(register, "STALE", 0.1)


def make(*paths: Path, **settings: Any) -> file.Files:
    common = {"poll_interval": Duration(0.01), "start_at": "Beginning"}
    return file.make(file.Config(paths=list(map(str, paths)), **{**common, **settings}), "logs")


@contextlib.asynccontextmanager
async def following(source: file.Files, intake: Any) -> AsyncIterator[None]:
    await source.bind()
    task = asyncio.create_task(source.serve(intake))
    try:
        yield
    finally:
        source.stop()
        async with asyncio.timeout(5):
            await task


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as writer:
        writer.write(data)


async def test_appended_lines_come_as_blocks_with_their_file_as_context(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "a.log"
    append(log, b"one\ntwo\n")
    async with following(make(log), intake):
        await eventually(lambda: intake.lines == [b"one", b"two"])
        append(log, b"three\r\n")
        await eventually(lambda: intake.lines == [b"one", b"two", b"three"])
    assert [block.context for block in intake.blocks] == [{"file": str(log)}] * 2


async def test_it_starts_at_the_end_of_what_is_there_and_at_the_beginning_of_what_comes(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    append(old, b"before\n")
    async with following(make(tmp_path / "*.log", start_at="End"), intake):
        append(new, b"first\n")
        append(old, b"after\n")
        await eventually(lambda: sorted(intake.lines) == [b"after", b"first"])


async def test_a_line_that_is_half_written_at_start_comes_whole(tmp_path: Path, intake: Any, eventually: Any) -> None:
    log = tmp_path / "a.log"
    append(log, b"before\nha")
    async with following(make(log, start_at="End"), intake):
        append(log, b"lf\n")
        await eventually(lambda: intake.lines == [b"half"])


async def test_a_line_comes_when_it_is_whole(tmp_path: Path, intake: Any, eventually: Any) -> None:
    log = tmp_path / "a.log"
    append(log, b"one\nha")
    async with following(make(log), intake):
        await eventually(lambda: intake.lines == [b"one"])
        append(log, b"lf\n")
        await eventually(lambda: intake.lines == [b"one", b"half"])


async def test_a_renamed_file_is_read_to_its_end_and_its_successor_from_the_beginning(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log, rotated = tmp_path / "a.log", tmp_path / "a.log.1"
    append(log, b"one\nha")
    async with following(make(log), intake):
        await eventually(lambda: intake.lines == [b"one"])
        log.rename(rotated)
        append(log, b"new\n")
        await eventually(lambda: intake.lines == [b"one", b"new"])
        append(rotated, b"lf\nstale writer\nend without newline")
        await eventually(lambda: len(intake.lines) == 5)
        assert intake.lines[2:] == [b"half", b"stale writer", b"end without newline"]
        assert {block.context["file"] for block in intake.blocks} == {str(log)}


async def test_a_renamed_file_that_is_followed_by_its_new_name_too_is_not_read_again(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "a.log"
    append(log, b"one\n")
    source = make(tmp_path / "a.log*")
    async with following(source, intake):
        await eventually(lambda: intake.lines == [b"one"])
        log.rename(tmp_path / "a.log.1")
        append(log, b"two\n")
        await eventually(lambda: intake.lines == [b"one", b"two"])
        append(tmp_path / "a.log.1", b"late\n")
        await eventually(lambda: intake.lines == [b"one", b"two", b"late"])


async def test_two_rotations_between_looks_lose_nothing(tmp_path: Path, intake: Any, eventually: Any) -> None:
    log = tmp_path / "a.log"
    append(log, b"one\n")
    async with following(make(tmp_path / "a.log*"), intake):
        await eventually(lambda: intake.lines == [b"one"])
        log.rename(tmp_path / "a.log.2")
        append(log, b"two\n")
        log.rename(tmp_path / "a.log.1")
        append(log, b"three\n")
        await eventually(lambda: sorted(intake.lines) == [b"one", b"three", b"two"])


@pytest.mark.parametrize("new", [b"a\n", b"another beginning, longer than before\nb\n"], ids=["shorter", "longer"])
async def test_a_file_that_was_cut_short_is_read_from_its_beginning(
    new: bytes, tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "a.log"
    append(log, b"one\ntwo\nha")
    source = make(log)
    async with following(source, intake):
        await eventually(lambda: intake.lines == [b"one", b"two"])
        await eventually(lambda: source.status()["behindBytes"] == 2)
        log.write_bytes(new)
        await eventually(lambda: intake.lines[2:] == new.split(b"\n")[:-1])
        assert source.status()["abandonedBytes"] == 2


async def test_a_removed_file_is_let_go(tmp_path: Path, intake: Any, eventually: Any) -> None:
    log = tmp_path / "a.log"
    append(log, b"one\nlast")
    source = make(log)
    async with following(source, intake):
        await eventually(lambda: intake.lines == [b"one"])
        log.unlink()
        await eventually(lambda: source.status()["count"] == 0)
        assert intake.lines == [b"one", b"last"]
        append(log, b"again\n")
        await eventually(lambda: intake.lines[2:] == [b"again"])


async def test_a_link_that_is_set_to_another_file_is_followed(tmp_path: Path, intake: Any, eventually: Any) -> None:
    log = tmp_path / "current"
    append(tmp_path / "1", b"one\n")
    append(tmp_path / "2", b"two\n")
    log.symlink_to("1")
    async with following(make(log), intake):
        await eventually(lambda: intake.lines == [b"one"])
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").replace(log)
        await eventually(lambda: intake.lines == [b"one", b"two"])


async def test_a_file_under_two_names_is_read_once(tmp_path: Path, intake: Any, eventually: Any) -> None:
    append(tmp_path / "a.log", b"one\n")
    os.link(tmp_path / "a.log", tmp_path / "b.log")
    async with following(make(tmp_path / "*.log"), intake):
        await eventually(lambda: intake.lines == [b"one"])
        append(tmp_path / "b.log", b"two\n")
        await eventually(lambda: intake.lines == [b"one", b"two"])


async def test_files_with_the_same_beginning_are_two(tmp_path: Path, intake: Any, eventually: Any) -> None:
    for name in ("a.log", "b.log"):
        append(tmp_path / name, b"x" * 2000 + b"\n")
    async with following(make(tmp_path / "*.log"), intake):
        await eventually(lambda: len(intake.lines) == 2)


async def test_a_file_that_cannot_be_opened_is_said_once_and_tried_again(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log, good = tmp_path / "a.log", tmp_path / "b.log"
    append(log, b"one\n")
    append(good, b"good\n")
    really, refusals = os.open, []

    def refuse(path: Any, *more: Any, **options: Any) -> int:
        if path == str(log):
            refusals.append(path)
            raise PermissionError(13, "Permission denied")
        return really(path, *more, **options)

    async with following(make(tmp_path / "*.log"), intake):
        await eventually(lambda: sorted(intake.lines) == [b"good", b"one"])
    intake.blocks.clear()
    monkeypatch.setattr(fingerprint.os, "open", refuse)
    async with following(make(tmp_path / "*.log"), intake):
        await eventually(lambda: len(refusals) > 2)
        assert intake.lines == [b"good"]
        monkeypatch.setattr(fingerprint.os, "open", really)
        await eventually(lambda: sorted(intake.lines) == [b"good", b"one"])
    assert [record.__dict__["event"] for record in caplog.records].count("file_unreadable") == 1


async def test_what_is_no_regular_file_is_left_alone(tmp_path: Path, intake: Any, eventually: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    append(tmp_path / "z.log", b"one\n")
    async with following(make(tmp_path / "*"), intake):
        await eventually(lambda: intake.lines == [b"one"])


async def test_excluded_files_are_left_out_and_others_found_at_any_depth(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    append(tmp_path / "a" / "b" / "x.log", b"deep\n")
    append(tmp_path / "a" / "x.gz", b"packed\n")
    async with following(make(tmp_path / "**", exclude=[str(tmp_path / "**" / "*.gz")]), intake):
        await eventually(lambda: intake.lines == [b"deep"])
        append(tmp_path / "a" / "y.log", b"end\n")
        await eventually(lambda: intake.lines == [b"deep", b"end"])


async def test_over_long_lines_are_counted_and_their_neighbours_kept(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "a.log"
    append(log, b"one\n" + b"x" * 5000 + b"\ntwo\n" + b"\x00\xff\n")
    async with following(make(log, max_line_bytes=Size(100)), intake):
        await eventually(lambda: intake.lines == [b"one", b"two", b"\x00\xff"])
    assert intake.refused == {"oversize": 1}


async def test_nothing_is_read_while_the_intake_is_full(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE", 1000)
    log = tmp_path / "a.log"
    append(log, b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 99)
    intake.full_after = 2
    source = make(log)
    async with following(source, intake):
        await eventually(lambda: len(intake.blocks) == 2)
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert len(intake.lines) == 20
        assert source.status()["files"] == [{"file": str(log), "offset": 2000, "behind": 8000}]
        intake.drain()
        await eventually(lambda: len(intake.lines) == 100)


async def test_stop_while_the_intake_is_full_returns(tmp_path: Path, intake: Any, eventually: Any) -> None:
    append(tmp_path / "a.log", b"one\n")
    intake.full_after = 1
    async with following(make(tmp_path / "a.log"), intake):
        await eventually(lambda: intake.full)
        await asyncio.sleep(0.03)
    assert intake.lines == [b"one"]


async def test_what_is_written_right_before_the_stop_is_read(tmp_path: Path, intake: Any, eventually: Any) -> None:
    """A sidecar is stopped after the app beside it, whose last lines nobody else will read."""
    log, new = tmp_path / "a.log", tmp_path / "b.log"
    append(log, b"first\n")
    async with following(make(tmp_path / "*.log", poll_interval=Duration(60.0)), intake):
        await eventually(lambda: intake.lines == [b"first"])
        append(log, b"last\n")
        append(new, b"of a new file\n")
    assert sorted(intake.lines) == [b"first", b"last", b"of a new file"]


async def test_a_long_file_does_not_keep_the_others_waiting(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE", 1000)
    append(tmp_path / "a.log", b"a\n" * 5000)
    append(tmp_path / "b.log", b"b\n")
    async with following(make(tmp_path / "*.log"), intake):
        await eventually(lambda: len(intake.lines) == 5001)
    assert intake.lines.index(b"b") < 1000


async def test_random_writing_and_rotation_loses_and_repeats_nothing(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    chance = random.Random(7)
    log, number = tmp_path / "a.log", 0
    log.touch()
    writer = log.open("ab", buffering=0)
    async with following(make(tmp_path / "a.log*"), intake):
        for rotation in range(8):
            for _ in range(chance.randrange(1, 60)):
                line = b"%06d\n" % number
                cut = chance.randrange(len(line))
                number += 1
                writer.write(line[:cut])
                if chance.random() < 0.2:
                    await asyncio.sleep(0)
                writer.write(line[cut:])
            if chance.random() < 0.5:
                await asyncio.sleep(0.015)
            log.rename(tmp_path / f"a.log.{rotation}")
            writer.close()
            writer = log.open("ab", buffering=0)
        writer.close()
        await eventually(lambda: len(intake.lines) >= number)
    assert sorted(intake.lines) == [b"%06d" % one for one in range(number)]


async def test_status_says_how_far_each_file_is_read(tmp_path: Path, intake: Any, eventually: Any) -> None:
    log = tmp_path / "a.log"
    append(log, b"one\n")
    source = make(log)
    async with following(source, intake):
        await eventually(lambda: intake.lines == [b"one"])
        status = source.status()
        assert (status["paths"], status["count"], status["open"], status["behindBytes"]) == ([str(log)], 1, 1, 0)
        assert status["files"] == [{"file": str(log), "offset": 4, "behind": 0}]


def test_no_path_is_no_configuration() -> None:
    with pytest.raises(ConfigError) as caught:
        convert({"paths": []}, file.Config)
    assert "length >= 1" in str(caught.value)

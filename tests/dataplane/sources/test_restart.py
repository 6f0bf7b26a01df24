"""The file source across restarts: nothing that is on disk is lost, nothing that is done comes again."""

import asyncio
import contextlib
import gzip
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rutta.errors import ConfigError
from rutta.settings import Duration
from rutta.sources import file

pytestmark = pytest.mark.usefixtures("hurry")


def make(folder: Path, **more: Any) -> file.Files:
    common = {"poll_interval": Duration(0.01), "start_at": "Beginning", "state": str(folder / "state")}
    return file.make(file.Config(paths=[str(folder / "a.log")], **{**common, **more}), "logs")


@contextlib.asynccontextmanager
async def running(source: file.Files, intake: Any) -> AsyncIterator["asyncio.Task[None]"]:
    await source.bind()
    task = asyncio.create_task(source.serve(intake))
    try:
        yield task
    finally:
        source.stop()
        async with asyncio.timeout(10):
            await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def ship(folder: Path, intake: Any, eventually: Any, lines: list[bytes], **more: Any) -> None:
    """Start, wait for exactly these lines, stop."""
    before = len(intake.lines)
    async with running(make(folder, **more), intake):
        await eventually(lambda: len(intake.lines) >= before + len(lines))
    assert intake.lines[before:] == lines


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as writer:
        writer.write(data)


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"line %06d of a log that is long enough to be known again\n" % one for one in range(first, last))


def lines_of(first: int, last: int) -> list[bytes]:
    return numbered(first, last).splitlines()


async def test_it_goes_on_where_it_was_done(tmp_path: Path, intake: Any, eventually: Any) -> None:
    append(tmp_path / "a.log", numbered(0, 10) + b"ha")
    await ship(tmp_path, intake, eventually, lines_of(0, 10))
    append(tmp_path / "a.log", b"lf\n")
    await ship(tmp_path, intake, eventually, [b"half"])


async def test_what_was_not_done_comes_again(tmp_path: Path, intake: Any, eventually: Any) -> None:
    append(tmp_path / "a.log", numbered(0, 10))
    intake.is_holding = True
    async with running(make(tmp_path), intake) as task:
        await eventually(lambda: len(intake.lines) == 10)
        task.cancel()
    intake.is_holding = False
    await ship(tmp_path, intake, eventually, lines_of(0, 10))


async def test_a_stop_waits_for_what_was_read(tmp_path: Path, intake: Any, eventually: Any) -> None:
    append(tmp_path / "a.log", numbered(0, 10))
    intake.is_holding = True
    source = make(tmp_path)
    await source.bind()
    task = asyncio.create_task(source.serve(intake))
    await eventually(lambda: len(intake.lines) == 10)
    source.stop()
    await asyncio.sleep(0.02)
    assert not task.done()
    intake.release()
    await task
    append(tmp_path / "a.log", numbered(10, 11))
    intake.is_holding = False
    await ship(tmp_path, intake, eventually, lines_of(10, 11))


async def test_a_file_that_came_while_nothing_ran_is_read_from_its_beginning(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    append(tmp_path / "b.log", b"old\n")
    source = make(tmp_path, start_at="End")
    async with running(source, intake):
        await eventually((tmp_path / "state" / "logs.files").exists)
    append(tmp_path / "a.log", numbered(0, 3))
    await ship(tmp_path, intake, eventually, lines_of(0, 3), start_at="End")


async def test_files_renamed_compressed_and_replaced_meanwhile_are_finished_first(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "a.log"
    append(log, numbered(0, 50))
    await ship(tmp_path, intake, eventually, lines_of(0, 50))
    append(log, numbered(50, 60))
    with gzip.open(tmp_path / "a.log.2.gz", "wb") as packed:
        packed.write(log.read_bytes())
    log.unlink()
    (tmp_path / "a.log.1").write_bytes(numbered(60, 70))
    log.write_bytes(numbered(70, 80))
    before = len(intake.lines)
    async with running(make(tmp_path), intake):
        await eventually(lambda: len(intake.lines) >= before + 30)
    assert sorted(intake.lines[before:]) == lines_of(50, 80)
    await ship(tmp_path, intake, eventually, [])


async def test_kubelets_names_tell_the_order_of_generations(tmp_path: Path, intake: Any, eventually: Any) -> None:
    log = tmp_path / "a.log"
    (tmp_path / "a.log.20261122-100000.gz").write_bytes(gzip.compress(b"older than all that is known\n"))
    append(log, numbered(0, 50))
    await ship(tmp_path, intake, eventually, lines_of(0, 50))
    log.rename(tmp_path / "a.log.20261122-110000")
    append(tmp_path / "a.log.20261122-110000", numbered(50, 52))
    (tmp_path / "a.log.20261122-120000").write_bytes(numbered(52, 54))
    log.write_bytes(numbered(54, 56))
    before = len(intake.lines)
    async with running(make(tmp_path), intake):
        await eventually(lambda: len(intake.lines) >= before + 6)
    assert sorted(intake.lines[before:]) == lines_of(50, 56)


@pytest.mark.parametrize("running_meanwhile", [True, False], ids=["while it runs", "while nothing runs"])
async def test_what_copytruncate_cuts_off_is_read_in_the_copy(
    running_meanwhile: bool, tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "a.log"
    append(log, numbered(0, 50))
    async with running(make(tmp_path), intake):
        await eventually(lambda: len(intake.lines) == 50)
        if running_meanwhile:
            cut(tmp_path)
            await eventually(lambda: len(intake.lines) == 80)
    if not running_meanwhile:
        cut(tmp_path)
        await ship(tmp_path, intake, eventually, lines_of(60, 80) + lines_of(50, 60))
    assert sorted(intake.lines) == lines_of(0, 80)


def cut(folder: Path) -> None:
    """Write, copy, truncate, write again, before anybody looks."""
    log = folder / "a.log"
    append(log, numbered(50, 60))
    shutil.copyfile(log, folder / "a.log.1")
    os.truncate(log, 0)
    append(log, numbered(60, 80))


async def test_an_inode_that_another_file_has_now_is_not_that_file(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "a.log"
    append(log, numbered(0, 50))
    await ship(tmp_path, intake, eventually, lines_of(0, 50))
    log.write_bytes(numbered(100, 200))  # the same inode, other content
    await ship(tmp_path, intake, eventually, lines_of(100, 200))


BROKEN = {
    "changed": lambda content: content.replace(b"path", b"pith"),
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "zeros": lambda content: bytes(len(content)),
    "another version": lambda content: content.replace(b"rutta-files-1", b"rutta-files-9"),
    "no text": lambda _: bytes(range(256)),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_state_is_set_aside_and_said(
    how: str, tmp_path: Path, intake: Any, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    append(tmp_path / "a.log", numbered(0, 5))
    await ship(tmp_path, intake, eventually, lines_of(0, 5))
    state = tmp_path / "state" / "logs.files"
    broken = BROKEN[how](state.read_bytes())
    state.write_bytes(broken)
    await ship(tmp_path, intake, eventually, lines_of(0, 5))
    assert (tmp_path / "state" / "logs.files.broken").read_bytes() == broken
    assert [record.__dict__["event"] for record in caplog.records].count("state_broken") == 1


async def test_files_that_are_gone_are_forgotten(tmp_path: Path, intake: Any, eventually: Any) -> None:
    log, state = tmp_path / "a.log", tmp_path / "state" / "logs.files"
    append(log, numbered(0, 5))
    async with running(make(tmp_path), intake):
        await eventually(lambda: state.exists() and b"a.log" in state.read_bytes())
        log.unlink()
        await eventually(lambda: b"a.log" not in state.read_bytes())


async def test_a_state_that_cannot_be_written_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be written to"):
        await make(tmp_path).bind()


async def test_a_second_process_begins_when_the_first_has_stopped(
    tmp_path: Path, intake: Any, new_intake: Any, eventually: Any
) -> None:
    log, second = tmp_path / "a.log", new_intake()
    append(log, numbered(0, 5))
    async with running(make(tmp_path), intake):
        await eventually(lambda: len(intake.lines) == 5)
        other = make(tmp_path)
        await other.bind()
        waiting = asyncio.create_task(other.serve(second))
        append(log, numbered(5, 7))
        await eventually(lambda: len(intake.lines) == 7)
    append(log, numbered(7, 9))
    await eventually(lambda: second.lines == lines_of(7, 9))
    other.stop()
    await waiting

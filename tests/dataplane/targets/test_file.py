"""The file target: what is delivered, what is tried again, and what of it costs nothing."""

import asyncio
import gzip
import json
import os
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rutta import conversion, formats, settings
from rutta.disk import rotation
from rutta.errors import ConfigError, Retry
from rutta.message import Batch
from rutta.targets import DELIVERED
from rutta.targets import file as module
from rutta.targets.file import Config, File, from_uri, make

Make = Callable[..., Awaitable[File]]


@pytest_asyncio.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Make]:
    """``await opened(codec="json")`` is an open target that writes to ``tmp_path/"x.log"``."""
    made: list[File] = []

    async def build(**given: Any) -> File:
        target = make(conversion.convert({"path": f"{tmp_path}/x.log", **given}, Config), "out")
        made.append(target)
        await target.open()
        return target

    yield build
    for target in made:
        await target.close()


def packed(folder: Path) -> list[str]:
    """Texts of the one event in each compressed file, oldest first."""
    return [json.loads(gzip.decompress(path.read_bytes()))["event"] for path in sorted(folder.glob("*.gz"))]


async def until(condition: Callable[[], bool]) -> None:
    """Wait, bounded, until something done on another thread is seen."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_events_are_written_as_they_came(opened: Make, batch: Callable[..., Batch], tmp_path: Path) -> None:
    target = await opened()
    batches = [batch({"event": "a"}, {"event": "b"}), batch({"event": "c"})]
    assert await target.send(batches) == DELIVERED
    assert (tmp_path / "x.log").read_bytes() == b"".join(one.rows.payload() for one in batches)
    assert target.status()["bytes"] == (tmp_path / "x.log").stat().st_size


async def test_ndjson_as_it_came_is_the_very_bytes_of_the_block(
    opened: Make, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await opened()
    one = batch({"event": "a"})
    handed: list[bytes] = []

    def take(fd: int, buffers: list[bytes]) -> int:
        handed.extend(buffers)
        return sum(map(len, buffers))

    monkeypatch.setattr(os, "writev", take)
    await target.send([one])
    assert handed[0] is one.rows.payload()
    assert not target.columns


@pytest.mark.parametrize("codec", ["ndjson", "json", "logfmt", "plain", "msgpack"])
async def test_each_codec_writes_what_the_formats_make_of_it(
    opened: Make, batch: Callable[..., Batch], tmp_path: Path, codec: Any
) -> None:
    target = await opened(codec=codec)
    one = batch({"event": "a", "name": "n"}, {"event": "b"})
    await target.send([one])
    assert (tmp_path / "x.log").read_bytes() == formats.encode(one, formats.Format(codec))
    assert target.columns == formats.columns_of(formats.Format(codec))


async def test_only_the_columns_that_were_asked_for_are_written(
    opened: Make, batch: Callable[..., Batch], tmp_path: Path
) -> None:
    target = await opened(columns=["level", "event"])
    await target.send([batch({"event": "x", "level": "warn", "name": "n"}, {"event": "y"})])
    lines = [json.loads(line) for line in (tmp_path / "x.log").read_bytes().splitlines()]
    assert lines == [{"level": "warn", "event": "x"}, {"event": "y"}]
    assert target.columns == formats.columns_of(formats.Format("ndjson", ("level", "event")))


async def test_closed_files_are_compressed_and_the_oldest_deleted(
    opened: Make, batch: Callable[..., Batch], tmp_path: Path
) -> None:
    target = await opened(rotate={"maxBytes": 60}, keep={"files": 2}, compression="Gzip")
    for number in range(6):
        await target.send([batch({"event": f"number {number}"})])
    await until(lambda: len(list(tmp_path.glob("*.gz"))) == 2 and len(list(tmp_path.iterdir())) == 3)
    assert packed(tmp_path) == ["number 3", "number 4"]
    assert json.loads((tmp_path / "x.log").read_bytes())["event"] == "number 5"
    assert target.status()["rotations"] == 5


async def test_time_rotates_and_deletes_also_when_no_event_comes(
    opened: Make, batch: Callable[..., Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROUND", 0.01)
    target = await opened(rotate={"every": "100ms"}, keep={"age": "200ms"})
    await target.send([batch({"event": "soon gone"})])
    await until(lambda: target.status()["rotations"] == 1)
    await until(lambda: [path.name for path in tmp_path.iterdir()] == ["x.log"])
    assert (tmp_path / "x.log").read_bytes() == b""


@pytest.mark.parametrize(("policy", "at_once"), [("Always", 1), ("Never", 0)])
async def test_always_means_on_the_disk_before_the_send_returns(
    opened: Make, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch, policy: str, at_once: int
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    target = await opened(fsync=policy)
    await target.send([batch({"event": "a"})])
    assert len(synced) == at_once
    await target.close()
    assert bool(synced) == bool(at_once)


async def test_interval_means_on_the_disk_soon_also_when_nothing_more_comes(
    opened: Make, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    target = await opened(fsync="Interval", fsyncInterval="10ms")
    await target.send([batch({"event": "a"}), batch({"event": "b"})])
    await until(lambda: len(synced) == 1)


async def test_a_full_disk_is_tried_again_with_its_reason(batch: Callable[..., Batch]) -> None:
    target = make(Config(path="/dev/full"), "out")
    await target.open()
    with pytest.raises(Retry, match="/dev/full cannot be written: the disk is full"):
        await target.send([batch({"event": "a"})])
    await target.close()


async def test_of_a_send_that_stopped_half_way_only_the_rest_is_tried_again(
    opened: Make, batch: Callable[..., Batch], split_outcome: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = await opened()
    batches = [batch({"event": "a"}), batch({"event": "b"}, {"event": "c"}, {"event": "d"})]
    writev, room = os.writev, len(batches[0].rows.payload()) + len(batches[1].rows.lines()[0]) + 5

    def tight(fd: int, buffers: list[bytes]) -> int:
        """Take what has room, then say that the disk is full."""
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        data = b"".join(buffers)[:room]
        room -= len(data)
        return writev(fd, [data])

    monkeypatch.setattr(os, "writev", tight)
    outcome = await target.send(batches)
    assert split_outcome(outcome) == ([(1, 1), (1, 2)], [])
    assert "the disk is full" in outcome.retry[0].reason
    monkeypatch.undo()
    await target.send([batches[1].take([1, 2])])
    assert [json.loads(line)["event"] for line in (tmp_path / "x.log").read_bytes().splitlines()] == list("abcd")


async def test_a_slow_disk_does_not_hold_the_loop(
    opened: Make, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await opened()
    gate, writing, writev = threading.Event(), threading.Event(), os.writev

    def slow(fd: int, buffers: list[bytes]) -> int:
        writing.set()
        assert gate.wait(10)
        return writev(fd, buffers)

    monkeypatch.setattr(os, "writev", slow)
    sending = asyncio.create_task(target.send([batch({"event": "a"})]))
    await until(writing.is_set)
    assert not sending.done()
    gate.set()
    assert await sending == DELIVERED


async def test_a_pipe_gets_the_events_and_is_never_rotated(
    opened: Make, batch: Callable[..., Batch], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "x.log")
    with pytest.raises(Retry, match="nobody reads this pipe"):
        await opened()
    reader = os.open(tmp_path / "x.log", os.O_RDONLY | os.O_NONBLOCK)
    target = await opened(rotate={"maxBytes": 1}, keep={"files": 0})
    one = batch({"event": "a"}, {"event": "b"})
    assert await target.send([one]) == DELIVERED
    assert os.read(reader, 10_000) == one.rows.payload()
    os.close(reader)
    with pytest.raises(Retry, match="nobody reads this pipe any more"):
        await target.send([one])


async def test_a_pipe_whose_reader_is_slow_is_waited_for_and_lets_go_at_close(
    opened: Make, batch: Callable[..., Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rutta.disk.writing._GLANCE", 10)
    os.mkfifo(tmp_path / "x.log")
    reader = os.open(tmp_path / "x.log", os.O_RDONLY | os.O_NONBLOCK)
    target = await opened()
    one = batch(*({"event": "x" * 1000} for _ in range(200)))
    sending = asyncio.create_task(target.send([one]))
    got = b""
    async with asyncio.timeout(5):
        while len(got) < len(one.rows.payload()):
            await asyncio.sleep(0.001)
            try:
                got += os.read(reader, 50_000)
            except BlockingIOError:
                continue
    assert await sending == DELIVERED
    assert got == one.rows.payload()
    stuck = asyncio.create_task(target.send([one]))
    await until(lambda: _readable(reader))
    async with asyncio.timeout(5):
        await target.close()
        outcome = await stuck
    assert outcome.retry
    os.close(reader)


def _readable(fd: int) -> bool:
    import select

    return bool(select.select([fd], [], [], 0)[0])


async def test_dev_null_takes_everything_and_nothing_beside_it_is_touched(batch: Callable[..., Batch]) -> None:
    given = {"path": "/dev/null", "rotate": {"maxBytes": 1}, "keep": {"files": 0}}
    target = make(conversion.convert(given, Config), "o")
    await target.open()
    assert await target.send([batch({"event": "a"})]) == DELIVERED
    await target.close()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


async def test_a_dash_is_standard_output(batch: Callable[..., Batch], capfd: pytest.CaptureFixture[str]) -> None:
    target = make(Config(path="-"), "out")
    await target.open()
    one = batch({"event": "to stdout"})
    await target.send([one])
    await target.close()
    assert capfd.readouterr().out.encode() == one.rows.payload()


async def test_a_folder_that_cannot_be_made_is_tried_again_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = make(Config(path=f"{tmp_path}/file/x.log"), "out")
    with pytest.raises(Retry, match=r"x\.log cannot be written: Not a directory"):
        await target.open()
    await target.close()


async def test_it_can_be_opened_again_after_close(opened: Make, batch: Callable[..., Batch], tmp_path: Path) -> None:
    target = await opened()
    await target.send([batch({"event": "a"})])
    await target.close()
    await target.open()
    await target.send([batch({"event": "b"})])
    assert (tmp_path / "x.log").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///var/log/x.log?codec=json", "/var/log/x.log"),
        ("file:///var/log/a%20b-{date}.log", "/var/log/a b-{date}.log"),
        ("file://./relative/x.log", "relative/x.log"),
        ("file://-", "-"),
        ("file://-?codec=logfmt", "-"),
        ("file://-/", "-"),
    ],
)
def test_the_path_of_a_uri_is_the_file(uri: str, path: str) -> None:
    assert from_uri(uri) == {"path": path}


def test_a_uri_without_a_path_leaves_it_to_the_query() -> None:
    assert from_uri("file://./?path=x.log") == {}


def test_a_uri_that_names_a_host_is_refused() -> None:
    with pytest.raises(ConfigError, match="file:///PATH"):
        from_uri("file://var/log/x.log")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "-", "rotate": {"maxBytes": "1Mi"}}, "standard output"),
        ({"path": "{day}.log"}, "placeholders"),
        ({"path": "x", "codec": "json", "columns": ["level"]}, "columns go with codec ndjson"),
        ({"path": "x", "fileMode": "rw"}, "fileMode"),
        ({"path": "x", "fsync": "Alway"}, "did you mean Always"),
        ({"path": "x", "keep": {"file": 3}}, "did you mean 'files'"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_reason(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conversion.convert(given, Config)


def test_rotation_settings_are_the_same_struct_in_the_schema() -> None:
    assert "maxBytes" in settings.schema(Config)["$defs"][rotation.Rotate.__name__]["properties"]

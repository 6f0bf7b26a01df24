"""How files are found: by what the kernel tells, by looking, with watches used up; thousands of them; quiet ones."""

import asyncio
import contextlib
import errno
import gzip
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from inotify_simple import INotify

from rutta.conversion import convert
from rutta.settings import Duration
from rutta.sources import container_logs, file
from rutta.tail import tail, watch
from rutta.tail.checkpoints import encode

NEVER = 3600.0


def make(folder: Path, **more: Any) -> file.Files:
    common = {"poll_interval": Duration(0.01), "start_at": "Beginning", "state": str(folder / "state")}
    return file.make(file.Config(paths=[str(folder / "logs" / "**" / "*.log")], **{**common, **more}), "logs")


@contextlib.asynccontextmanager
async def running(source: Any, intake: Any) -> AsyncIterator[None]:
    await source.bind()
    task = asyncio.create_task(source.serve(intake))
    try:
        yield
    finally:
        source.stop()
        async with asyncio.timeout(10):
            await task


def append(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as writer:
        writer.write(data)


class Instance:
    """An inotify instance that fails, forgets, or has had enough."""

    def __init__(self, really: Any, most: int) -> None:
        self.really = really
        self.left = most
        self.overflows = False

    def fileno(self) -> int:
        return int(self.really.fileno())

    def add_watch(self, path: str, mask: int) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self.really.add_watch(path, mask))

    def rm_watch(self, number: int) -> None:
        self.really.rm_watch(number)

    def read(self, timeout: int) -> list[Any]:
        found = self.really.read(timeout=timeout)
        if found and self.overflows:
            self.overflows = False
            return [(-1, watch._OVERFLOW, 0, "")]
        return list(found)

    def close(self) -> None:
        self.really.close()


@pytest.fixture
def instance() -> Callable[[Any, int], Instance]:
    def put(source: Any, most: int) -> Instance:
        made = Instance(INotify(nonblocking=True), most)
        source.tail._make_watcher = lambda: watch.Watcher(made)
        return made

    return put


def containers(folder: Path) -> container_logs.ContainerLogs:
    config = {"path": str(folder / "pods"), "state": str(folder / "state"), "pollInterval": "10ms"}
    return container_logs.ContainerLogs(convert(config, container_logs.Config), "pods", environment={"NODE_NAME": "n"})


def container_line(folder: Path, pod: str, text: bytes) -> None:
    append(folder / "pods" / f"shop_{pod}_uid" / "app" / "0.log", b"2026-11-22T20:00:01Z stdout F " + text + b"\n")


async def test_new_pods_are_told_by_the_kernel(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "RESCAN", NEVER)
    monkeypatch.setattr(container_logs, "RESCAN", NEVER)
    container_line(tmp_path, "old", b"old")
    async with running(containers(tmp_path), intake):
        await eventually(lambda: intake.lines == [b"old"])
        for number in range(20):
            container_line(tmp_path, f"p-{number}", b"%d" % number)
            await eventually(lambda number=number: intake.lines[-1] == b"%d" % number)


async def test_a_folder_that_is_not_there_yet_is_looked_for(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "RESCAN", 0.01)
    monkeypatch.setattr(container_logs, "RESCAN", NEVER)
    async with running(containers(tmp_path), intake):
        await asyncio.sleep(0.05)
        container_line(tmp_path, "first", b"first")
        await eventually(lambda: intake.lines == [b"first"])


@pytest.mark.parametrize("most", [None, 0, 3], ids=["no inotify", "no watch", "three watches"])
async def test_new_pods_are_looked_for_where_the_kernel_does_not_tell(
    most: int | None, tmp_path: Path, intake: Any, eventually: Any, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "IDLE", -1.0)
    monkeypatch.setattr(container_logs, "RESCAN", NEVER)
    looks: list[float] = []
    source = containers(tmp_path)
    if most is None:
        source.tail._make_watcher = lambda: None
    else:
        instance(source, most)
    really = source.tail.catalogue.__class__.scan

    def scan(catalogue: Any, **how: Any) -> None:
        looks.append(asyncio.get_running_loop().time())
        really(catalogue, **how)

    monkeypatch.setattr(source.tail.catalogue.__class__, "scan", scan)
    container_line(tmp_path, "old", b"old")
    assert tail.RESCAN <= 1.0
    monkeypatch.setattr(tail, "RESCAN", 0.01)
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"old"])
        container_line(tmp_path, "new", b"new")
        container_line(tmp_path, "old", b"more")
        await eventually(lambda: sorted(intake.lines) == [b"more", b"new", b"old"])
    assert len(looks) > 2


async def test_when_the_kernels_news_overflow_everything_is_looked_at_again(
    tmp_path: Path, intake: Any, eventually: Any, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "RESCAN", NEVER)
    monkeypatch.setattr(container_logs, "RESCAN", NEVER)
    source = containers(tmp_path)
    made = instance(source, 1000)
    container_line(tmp_path, "old", b"old")
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"old"])
        made.overflows = True
        container_line(tmp_path, "new", b"new")
        await eventually(lambda: intake.lines == [b"old", b"new"])


async def test_thousands_of_files_are_read_and_let_go_of(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "IDLE", 0.0)
    count = 3000
    for number in range(count):
        append(tmp_path / "logs" / str(number % 3) / f"{number}.log", b"line of %d\n" % number)
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: len(intake.lines) == count)
        await eventually(lambda: source.status()["open"] == 0)
        assert source.status()["count"] == count
        for number in range(0, count, 100):
            append(tmp_path / "logs" / str(number % 3) / f"{number}.log", b"again\n")
        await eventually(lambda: intake.lines.count(b"again") == count / 100)
    assert set(intake.lines) == {b"again", *(b"line of %d" % number for number in range(count))}


async def test_no_more_files_are_kept_open_than_allowed(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "OPEN", 10)
    for number in range(100):
        append(tmp_path / "logs" / f"{number}.log", b"line of %d\n" % number)
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: len(intake.lines) == 100)
        await eventually(lambda: source.status()["open"] <= 10)


@pytest.mark.usefixtures("hurry")
async def test_a_quiet_file_that_is_compressed_away_is_read_on_in_what_it_has_become(
    tmp_path: Path, intake: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "IDLE", 0.0)
    log = tmp_path / "logs" / "a.log"
    text = b"".join(b"line %06d of a log\n" % number for number in range(20))
    append(log, text)
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: len(intake.lines) == 20 and source.status()["open"] == 0)
        (tmp_path / "logs" / "a.log.1.gz").write_bytes(gzip.compress(text + b"late\n"))
        os.unlink(log)
        await eventually(lambda: intake.lines[20:] == [b"late"])
        await eventually(lambda: source.status()["count"] == 0)
        assert source.status()["abandonedBytes"] == 0


async def test_a_disk_with_another_number_after_a_reboot_is_the_same(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    log = tmp_path / "logs" / "a.log"
    append(log, b"".join(b"line %06d of a log\n" % number for number in range(20)))
    async with running(make(tmp_path), intake):
        await eventually(lambda: len(intake.lines) == 20)
    source = make(tmp_path)
    checkpoints = source.tail._checkpoints
    assert checkpoints is not None
    entries = checkpoints.load() or []
    moved = [encode(msgspec.structs.replace(one, device=one.device + 7)) for one in entries]
    checkpoints.save(checkpoints.content(moved) or b"")
    append(log, b"new\n")
    async with running(source, intake):
        await eventually(lambda: len(intake.lines) == 21)
    assert intake.lines[20:] == [b"new"]


@pytest.mark.parametrize(
    ("poll", "spent", "expected"),
    [(0.25, 0.0, 0.25), (0.25, 0.001, 0.25), (0.25, 0.01, 0.5), (0.25, 3.0, 1.0), (5.0, 3.0, 5.0), (0.0, 0.0, 0.01)],
)
def test_looks_are_rarer_where_reading_takes_long_but_never_later_than_a_second(
    poll: float, spent: float, expected: float
) -> None:
    assert tail.pause(poll, spent) == expected

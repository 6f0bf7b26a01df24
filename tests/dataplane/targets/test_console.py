"""The console: what it prints, in one piece, and what it does when nobody reads."""

import asyncio
import os
import pty
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from rutta import conversion, formats
from rutta.errors import ConfigError, Retry
from rutta.message import Batch
from rutta.targets import DELIVERED, console
from rutta.targets.console import Config, Console, is_coloured, make

Make = Callable[..., Awaitable[Console]]


@pytest_asyncio.fixture
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """``await opened(fd, format="json")`` is an open console that prints to ``fd``."""
    made: list[Console] = []

    async def build(fd: int | None = None, **given: Any) -> Console:
        if fd is not None:
            monkeypatch.setitem(console._DESCRIPTORS, "Stdout", fd)
        target = make(conversion.convert(given, Config), "console")
        made.append(target)
        await target.open()
        return target

    yield build
    for target in made:
        await target.close()


@pytest.mark.parametrize("word", ["logfmt", "ndjson", "json", "plain"])
async def test_each_format_prints_what_the_formats_make_of_it(
    opened: Make, batch: Callable[..., Batch], capfd: pytest.CaptureFixture[str], word: Any
) -> None:
    target = await opened(format=word)
    one = batch({"event": "a", "level": "warn"}, {"event": "b"})
    assert await target.send([one]) == DELIVERED
    assert capfd.readouterr().out.encode() == formats.encode(one, formats.Format(word))


async def test_the_default_is_the_line_of_the_original(
    opened: Make, batch: Callable[..., Batch], capfd: pytest.CaptureFixture[str]
) -> None:
    target = await opened()
    await target.send([batch({"event": "hi {who}", "level": "info", "fields": {"who": "you"}})])
    assert capfd.readouterr().out.startswith("lvl=info")


async def test_stderr_when_it_is_asked_for(
    opened: Make, batch: Callable[..., Batch], capfd: pytest.CaptureFixture[str]
) -> None:
    target = await opened(output="Stderr")
    await target.send([batch({"event": "a"})])
    printed = capfd.readouterr()
    assert (printed.out, bool(printed.err)) == ("", True)


async def test_a_send_of_many_batches_is_one_write(
    opened: Make, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[bytes] = []

    def note(fd: int, buffers: list[bytes]) -> int:
        writes.append(b"".join(buffers))
        return len(writes[-1])

    monkeypatch.setattr(os, "writev", note)
    target = await opened()
    await target.send([batch({"event": str(number)}) for number in range(50)])
    assert len(writes) == 1
    assert writes[0].count(b"\n") == 50


async def test_lines_of_two_consoles_never_mix(opened: Make, batch: Callable[..., Batch]) -> None:
    reader, writer = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        while data := os.read(reader, 65536):
            got.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    targets = [await opened(writer, format="ndjson") for _ in range(2)]
    batches = [batch({"event": letter * 900}, {"event": letter * 900}) for letter in "ab"]  # < PIPE_BUF each send
    await asyncio.gather(*(target.send([one]) for _ in range(40) for target, one in zip(targets, batches, strict=True)))
    for target in targets:
        await target.close()
    os.close(writer)
    thread.join(5)
    os.close(reader)
    expected = {line for one in batches for line in one.rows.lines()}
    lines = b"".join(got).splitlines()
    assert len(lines) == 160
    assert set(lines) == expected


async def test_a_non_blocking_output_that_is_full_is_waited_for(opened: Make, batch: Callable[..., Batch]) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    target = await opened(writer, format="ndjson")
    one = batch(*({"event": "x" * 1000} for _ in range(300)))
    sending = asyncio.create_task(target.send([one]))
    got = b""
    while len(got) < len(one.rows.payload()):
        got += await asyncio.to_thread(os.read, reader, 65536)
    assert await sending == DELIVERED
    assert got == one.rows.payload()
    os.close(reader)
    os.close(writer)


async def test_a_closed_pipe_keeps_the_events_and_says_so(opened: Make, batch: Callable[..., Batch]) -> None:
    reader, writer = os.pipe()
    target = await opened(writer)
    os.close(reader)
    with pytest.raises(Retry, match=r"The console \(Stdout\) cannot be written: nobody reads this pipe any more"):
        await target.send([batch({"event": "a"})])
    os.close(writer)


async def test_what_was_printed_before_a_failure_is_not_printed_again(
    opened: Make, batch: Callable[..., Batch], split_outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = batch({"event": "a"}, {"event": "b"}, {"event": "c"})
    first = len(one.rows.lines()[0]) + 1
    printed: list[bytes] = []

    def tight(fd: int, buffers: list[bytes]) -> int:
        if printed:
            raise OSError(28, "No space left on device")
        printed.append(b"".join(buffers)[: first + 4])
        return first + 4

    def take_all(fd: int, buffers: list[bytes]) -> int:
        printed.append(b"".join(buffers))
        return len(printed[-1])

    target = await opened(format="ndjson")
    monkeypatch.setattr(os, "writev", tight)
    assert split_outcome(await target.send([one])) == ([(0, 1), (0, 2)], [])
    monkeypatch.setattr(os, "writev", take_all)
    await target.send([one.take([1, 2])])
    lines = b"".join(printed).splitlines()
    assert lines[0] == one.rows.lines()[0]
    assert lines[2:] == list(one.rows.lines())[1:], "the torn line is ended, then the rest follows whole"


async def test_flush_waits_for_the_disk_when_the_output_is_a_file(
    opened: Make, batch: Callable[..., Batch], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with (tmp_path / "out").open("wb") as file:
        target = await opened(file.fileno(), flush=True)
        await target.send([batch({"event": "a"})])
        assert synced == [file.fileno()]


async def test_flush_is_no_error_where_there_is_no_disk(opened: Make, batch: Callable[..., Batch]) -> None:
    reader, writer = os.pipe()
    target = await opened(writer, flush=True)
    assert await target.send([batch({"event": "a"})]) == DELIVERED
    os.close(reader)
    os.close(writer)


async def test_the_resource_ends_each_line(
    opened: Make, batch: Callable[..., Batch], capfd: pytest.CaptureFixture[str]
) -> None:
    target = await opened(includeResource=True)
    await target.send([batch({"event": "a"}, {"event": "b"})])
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(' service="Logary Rutta" hostname=' in line and " version=" in line for line in lines)


async def test_a_terminal_shows_levels_in_colour(
    opened: Make, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    outer, inner = pty.openpty()
    target = await opened(inner)
    await target.send([batch({"event": "lvl=error in a text", "level": "error"})])
    shown = os.read(outer, 10_000)
    os.close(outer)
    os.close(inner)
    assert shown.startswith(b"\x1b[31mlvl=error\x1b[0m")
    assert shown.count(b"\x1b[") == 2


@pytest.mark.parametrize(
    ("wish", "environment", "terminal", "coloured"),
    [
        ("Auto", {}, True, True),
        ("Auto", {}, False, False),
        ("Auto", {"NO_COLOR": "1"}, True, False),
        ("Auto", {"TERM": "dumb"}, True, False),
        ("Always", {"NO_COLOR": "1"}, False, True),
        ("Never", {}, True, False),
    ],
)
def test_colour_is_for_terminals_unless_somebody_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, wish: str, environment: dict[str, str], terminal: bool, coloured: bool
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_coloured(wish, 1, lambda fd: terminal) is coloured


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": "json", "includeResource": True}, "includeResource goes with format logfmt"),
        ({"format": "xml"}, "'xml' is not one of"),
        ({"colour": "Always", "format": "json"}, "colour goes with format logfmt"),
        ({"fmt": "json"}, "did you mean 'format'"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_reason(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conversion.convert(given, Config)

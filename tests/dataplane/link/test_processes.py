"""Links between processes: in-order stops lose nothing, kill -9 loses nothing in AtLeastOnce. By sequence numbers."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("link_end.py")


class Process:
    """One end of a link in a process of its own."""

    def __init__(self, process: Any, address: str) -> None:
        self.process = process
        self.address = address

    async def end(self, how: signal.Signals) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        return int(await self.process.wait())


@pytest.fixture
async def start() -> AsyncIterator[Any]:
    running: list[Process] = []

    async def make(
        kind: str, where: str | Path, *, bind: str = "127.0.0.1:0", delivery: str, beat: str = "0.2s"
    ) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), kind, str(where), bind, delivery, beat, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        one = Process(process, (await process.stdout.readline()).decode().strip())
        running.append(one)
        return one

    yield make
    for one in running:
        await one.end(signal.SIGKILL)


class Load:
    """Keeps sending batches of 20 numbered lines, eight at a time, from the start to ``end``."""

    def __init__(self, links: Any, target: Any) -> None:
        self.target = target
        self.settled = 0
        self.rejected = 0
        self._links = links
        self._made = 0
        self._ending = False
        self._running = asyncio.gather(*(self._some() for _ in range(8)))

    async def _some(self) -> None:
        while not self._ending:
            first, self._made = self._made * 20, self._made + 1
            outcome = await self.target.send([self._links.batch([b"%d" % (first + row) for row in range(20)])])
            self.rejected += len(outcome.rejected)
            self.settled += 1
            await asyncio.sleep(0.001)

    async def more(self, blocks: int) -> None:
        """Wait until so many more blocks are settled."""
        goal = self.settled + blocks
        await self._links.until(lambda: self.settled >= goal)

    async def end(self) -> set[int]:
        """Send no more; return all numbers that were sent."""
        self._ending = True
        await self._running
        return set(range(self._made * 20))


def written(*paths: Path) -> Counter[int]:
    return Counter(int(line) for path in paths if path.exists() for line in path.read_bytes().splitlines())


@pytest.mark.parametrize("delivery", ["AtMostOnce", "AtLeastOnce"])
async def test_a_router_that_is_stopped_in_order_loses_nothing(
    links: Any, start: Any, tmp_path: Path, delivery: str
) -> None:
    beat = "2s"  # who is starved for some heartbeats counts as dead, and this is about none that dies
    ends = [await start("file", tmp_path / f"{at}", delivery=delivery, beat=beat) for at in (0, 1)]
    load = Load(links, await links.send_to(*(end.address for end in ends), heartbeat=beat))
    for at in (0, 1, 0):
        await load.more(50)
        assert await ends[at].end(signal.SIGTERM) == 0
        ends[at] = await start("file", tmp_path / f"{at}", bind=ends[at].address, delivery=delivery, beat=beat)
    sent = await load.end()
    for end in ends:
        await end.end(signal.SIGTERM)
    assert written(tmp_path / "0", tmp_path / "1") == Counter(sent)
    assert load.rejected == 0


async def test_a_killed_router_loses_nothing_in_at_least_once(links: Any, start: Any, tmp_path: Path) -> None:
    ends = [await start("file", tmp_path / f"{at}", delivery="AtLeastOnce") for at in (0, 1)]
    target = await links.send_to(*(end.address for end in ends), heartbeat="0.2s")
    load = Load(links, target)
    for at in (0, 1):
        await load.more(50)
        await ends[at].end(signal.SIGKILL)
        ends[at] = await start("file", tmp_path / f"{at}", bind=ends[at].address, delivery="AtLeastOnce")
    sent = await load.end()
    got = written(tmp_path / "0", tmp_path / "1")
    assert set(got) == sent
    assert got.total() - len(got) <= 20 * target.status()["sentAgain"]


async def test_a_killed_router_costs_what_is_counted_in_at_most_once(links: Any, start: Any, tmp_path: Path) -> None:
    ends = [await start("file", tmp_path / f"{at}", delivery="AtMostOnce") for at in (0, 1)]
    load = Load(links, await links.send_to(*(end.address for end in ends), heartbeat="0.2s"))
    await load.more(100)
    await ends[0].end(signal.SIGKILL)
    await load.more(100)
    sent = await load.end()
    await ends[1].end(signal.SIGTERM)
    got = written(tmp_path / "0", tmp_path / "1")
    assert got.total() == len(got), "delivered twice"
    memory_of_the_dead = 8 * 20  # acknowledged on receipt, not written: at most what was under way
    assert len(sent) - len(got) <= load.rejected + memory_of_the_dead


async def test_a_chain_with_proxies_that_restart_and_are_killed_loses_nothing(
    links: Any, start: Any, tmp_path: Path
) -> None:
    """Sender → one of two proxies → a proxy → the router; each tier AtLeastOnce."""
    router = await start("file", tmp_path / "out", delivery="AtLeastOnce")
    inner = await start("pass", router.address, delivery="AtLeastOnce")
    outer = [await start("pass", inner.address, delivery="AtLeastOnce") for _ in (0, 1)]
    load = Load(links, await links.send_to(*(end.address for end in outer), heartbeat="0.2s"))
    await load.more(50)
    await outer[0].end(signal.SIGKILL)
    await load.more(50)
    assert await outer[1].end(signal.SIGTERM) == 0
    await start("pass", inner.address, bind=outer[0].address, delivery="AtLeastOnce")
    await load.more(50)
    await inner.end(signal.SIGKILL)
    await start("pass", router.address, bind=inner.address, delivery="AtLeastOnce")
    await load.more(50)
    sent = await load.end()
    assert written(tmp_path / "out") == Counter(sent), "the router knows a block by its origin, whatever way it came"


async def test_a_router_that_hangs_holds_no_more_than_its_credit(links: Any, start: Any, tmp_path: Path) -> None:
    hanging = await start("file", tmp_path / "hanging", delivery="AtLeastOnce")
    target = await links.send_to(hanging.address, heartbeat="0.2s")
    await links.until(lambda: target.status()["connected"] == 1)
    hanging.process.send_signal(signal.SIGSTOP)
    sending = [asyncio.create_task(target.send([links.batch([b"%d" % n + b"x" * 65_536])])) for n in range(200)]
    await links.until(lambda: sum(peer["died"] for peer in target.status()["peers"]))
    assert target.status()["bytes"] <= 16 * 2**20 // 4 + 65_600
    os.kill(hanging.process.pid, signal.SIGCONT)
    await asyncio.gather(*sending)
    lines = {line.rstrip(b"x") for line in (tmp_path / "hanging").read_bytes().splitlines()}
    assert lines == {b"%d" % n for n in range(200)}

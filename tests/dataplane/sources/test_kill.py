"""kill -9 of a shipper under load, and of the proxy and the router behind it: nothing is lost, and what is repeated is
what was not done.

Lines have one length and are numbered, so what a checkpoint says of a file at the moment of a kill tells which lines
were done. A line may come once, and once more for each kill at which it was not done.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

PATIENCE = 60.0
FEW, MANY = 6, 50
LINE = b"2026-11-22T20:00:01.%09dZ stdout F line %09d\n"
LENGTH = len(LINE % (0, 0))


class Load(threading.Thread):
    """Writes ten thousand numbered lines a second into a container's log, and rotates it as the kubelet does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.count = 0
        self.first: dict[int, int] = {}  # inode → number of the first line; generations are kept, so none comes again
        self.stopping = threading.Event()
        folder.mkdir(parents=True)

    def run(self) -> None:
        while not self.stopping.wait(0.002):
            self._write()
            if self.count % 20_000 == 0:
                (self.folder / "0.log").rename(self.folder / f"0.log.20261122-{self.count // 20_000:06}")

    def _write(self) -> None:
        with (self.folder / "0.log").open("ab") as log:
            self.first.setdefault(os.fstat(log.fileno()).st_ino, self.count)
            log.write(b"".join(LINE % (number, number) for number in range(self.count, self.count + 20)))
        self.count += 20


class Account:
    """How often each line may come."""

    def __init__(self, state: Path, load: Load) -> None:
        self._state = state
        self._load = load
        self._kills: list[tuple[dict[int, int], int]] = []

    def saved(self) -> int:
        """Return when the state was written."""
        return self._state.stat().st_mtime_ns if self._state.exists() else 0

    def killed(self) -> None:
        """Remember what was done: of each generation, by the number of its first line, up to which line."""
        done: dict[int, int] = {}
        if self._state.exists():
            for line in self._state.read_bytes().splitlines()[1:]:
                entry = json.loads(line)
                first = self._load.first[entry["inode"]]
                done[first] = first + min(entry["done"]) // LENGTH
        self._kills.append((done, self._load.count))

    def is_done(self, number: int, kill: int) -> bool:
        """Whether a line was done then; one of a generation that was forgotten is, one that came later is not."""
        done, count = self._kills[kill]
        starts = [first for first in self._load.first.values() if first <= number]
        first = max(starts)
        if number >= count or not done:
            return False
        return number < done[first] if first in done else first < max(done)

    def check(self, arrived: list[int]) -> int:
        """Check all that arrived; return how many lines came again."""
        counted = Counter(arrived)
        lost = set(range(self._load.count)) - counted.keys()
        assert not lost, f"{len(lost)} lines are lost, {min(lost)} first"
        again = {number: count for number, count in counted.items() if count > 1}
        for number, count in again.items():
            undone = sum(not self.is_done(number, kill) for kill in range(len(self._kills)))
            assert count <= 1 + undone, f"line {number} came {count} times; it was not done at {undone} kills"
        return len(arrived) - len(counted)


class Tiers:
    """A shipper, a proxy and a router, joined by links that promise AtLeastOnce."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        link, relay = free_port(), free_port()
        receive = {"proxy": relay, "router": link}
        listeners = {
            role: [{"link": {"bind": f"127.0.0.1:{port}", "delivery": "AtLeastOnce", "heartbeat": "0.5s"}}]
            for role, port in receive.items()
        }
        send = {
            role: [{"link": {"addresses": [f"127.0.0.1:{port}"], "heartbeat": "0.5s"}}]
            for role, port in (("shipper", relay), ("proxy", link))
        }
        logs = {"path": str(folder / "pods"), "state": str(folder / "state"), "pollInterval": "10ms"}
        self._write(
            "router", listeners=listeners["router"], targets=[{"file": {"path": str(self.out), "codec": "plain"}}]
        )
        self._write("proxy", listeners=listeners["proxy"], targets=send["proxy"])
        self._write("shipper", sources=[{"name": "pods", "containerLogs": logs}], targets=send["shipper"])

    def _write(self, role: str, **document: object) -> None:
        (self.folder / f"{role}.yaml").write_text(yaml.safe_dump({"role": role.title(), "name": role, **document}))

    def start(self, role: str) -> None:
        command = [sys.executable, "-m", "rutta", role, "--config", str(self.folder / f"{role}.yaml")]
        with (self.folder / f"{role}.log").open("ab") as log:
            self.processes[role] = subprocess.Popen(command, stderr=log, stdout=log)

    def kill(self, role: str) -> None:
        self.processes[role].kill()
        self.processes[role].wait()

    def arrived(self) -> list[int]:
        """Return the numbers of whole lines; one that a kill cut in the middle of is none, for it comes again."""
        if not self.out.exists():
            return []
        lines = self.out.read_bytes().split(b"\n")[:-1]
        return [int(line[-9:]) for line in lines if len(line) == len(b"line ") + 9 and line[-9:].isdigit()]

    def newest(self) -> int:
        """Return the highest number of the last few thousand lines."""
        if not self.out.exists():
            return -1
        with self.out.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 64 * 1024))
            return max((int(line[-9:]) for line in file.read().split(b"\n")[1:-1] if line[-9:].isdigit()), default=-1)

    def stop(self) -> None:
        for role in ("shipper", "proxy", "router"):
            if self.processes[role].poll() is None:
                self.processes[role].terminate()
                assert self.processes[role].wait(PATIENCE) == 0


def free_port() -> int:
    """A free port outside the range from which the kernel takes ports by itself."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randint(15000, 30000)))
            except OSError:
                continue
            return int(probe.getsockname()[1])


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[Tiers]:
    made = Tiers(tmp_path)
    for role in ("router", "proxy", "shipper"):
        made.start(role)
    yield made
    for process in made.processes.values():
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def kill_again_and_again(times: int, tiers: Tiers, roles: tuple[str, ...]) -> None:
    load = Load(tiers.folder / "pods" / "shop_web-1_uid" / "app")
    account = Account(tiers.folder / "state" / "pods.files", load)
    load.start()
    for number in range(times):
        fresh, saved = load.count, account.saved()
        until(lambda fresh=fresh, saved=saved: tiers.newest() > fresh and account.saved() > saved)  # type: ignore[misc]
        role = roles[number % len(roles)]
        tiers.kill(role)
        account.killed()
        tiers.start(role)
    load.stopping.set()
    load.join()
    until(lambda: set(tiers.arrived()) >= set(range(load.count)))
    tiers.stop()
    again = account.check(tiers.arrived())
    print(f"{times} kills of {', '.join(roles)}: {load.count} lines, 0 lost, {again} came again")


ROLES = [("shipper",), ("proxy", "router")]
NAMES = ["shipper", "proxy and router"]


@pytest.mark.parametrize("roles", ROLES, ids=NAMES)
def test_kills_under_load_lose_nothing_and_repeat_what_was_not_done(roles: tuple[str, ...], tiers: Tiers) -> None:
    kill_again_and_again(FEW, tiers, roles)


@pytest.mark.fuzz
@pytest.mark.skipif("RUTTA_FUZZ" not in os.environ, reason="the long version: make fuzz")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("roles", [*ROLES, ("shipper", "proxy", "router")], ids=[*NAMES, "all"])
def test_fifty_kills_under_load_lose_nothing_and_repeat_what_was_not_done(roles: tuple[str, ...], tiers: Tiers) -> None:
    kill_again_and_again(MANY, tiers, roles)

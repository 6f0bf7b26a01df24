"""kill -9 of a shipper under load: nothing is lost, and what was done is not sent again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE = 40.0
CONFIG = """\
role: Shipper
sources: [{{name: pods, containerLogs: {{path: {folder}/pods, state: {folder}/state, pollInterval: 10ms}}}}]
targets: [{{file: {{path: {folder}/out/{run}, codec: plain}}}}]
"""


class Load(threading.Thread):
    """Writes numbered lines into a container's log, and rotates it as the kubelet does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.count = 0
        self.stopping = threading.Event()
        folder.mkdir(parents=True)

    def run(self) -> None:
        rotation = 0
        while not self.stopping.wait(0.002):
            with (self.folder / "0.log").open("ab") as log:
                for _ in range(20):
                    log.write(b"2026-11-22T20:00:01.%09dZ stdout F line %d\n" % (self.count, self.count))
                    self.count += 1
            if self.count % 20_000 == 0:
                rotation += 1
                (self.folder / "0.log").rename(self.folder / f"0.log.20261122-{rotation:06}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], "subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "out").mkdir()

    def run(number: int) -> "subprocess.Popen[bytes]":
        config = tmp_path / f"{number}.yaml"
        config.write_text(CONFIG.format(folder=tmp_path, run=number))
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "rutta", "shipper", "--config", str(config)], stderr=subprocess.DEVNULL
            )
        )
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def arrived(out: Path) -> list[int]:
    """Numbers of whole lines, of all runs."""
    found = []
    for file in sorted(out.iterdir(), key=lambda path: int(path.name)):
        found += [int(line.rsplit(b" ", 1)[1]) for line in file.read_bytes().split(b"\n")[:-1]]
    return found


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def kill_again_and_again(times: int, folder: Path, start: Callable[[int], "subprocess.Popen[bytes]"]) -> None:
    load = Load(folder / "pods" / "shop_web-1_uid" / "app")
    load.start()
    done: list[int] = []
    for number in range(times):
        process = start(number)
        before = len(arrived(folder / "out"))
        until(lambda before=before: len(arrived(folder / "out")) > before + 200)  # type: ignore[misc]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done.append(state_of(folder))
    load.stopping.set()
    load.join()
    process = start(times)
    until(lambda: set(arrived(folder / "out")) >= set(range(load.count)))
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert set(arrived(folder / "out")) == set(range(load.count))
    assert done == sorted(done)


def state_of(folder: Path) -> int:
    state = folder / "state" / "pods.files"
    return state.stat().st_mtime_ns if state.exists() else 0


def test_five_kills_under_load_lose_nothing(tmp_path: Path, start: Callable[[int], "subprocess.Popen[bytes]"]) -> None:
    kill_again_and_again(5, tmp_path, start)


@pytest.mark.fuzz
@pytest.mark.skipif("RUTTA_FUZZ" not in os.environ, reason="the long version: make fuzz")
@pytest.mark.timeout(1800)
def test_fifty_kills_under_load_lose_nothing(tmp_path: Path, start: Callable[[int], "subprocess.Popen[bytes]"]) -> None:
    kill_again_and_again(50, tmp_path, start)

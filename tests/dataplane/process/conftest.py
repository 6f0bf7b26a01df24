"""Real processes of the data plane, and how tests talk to them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 20.0


class Rutta:
    """One process: its health page, its log, its end."""

    def __init__(self, *words: str, log: Path, stdin: Any = None) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rutta", *words, "--health", "127.0.0.1:0", "--log-format", "json"],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def event(self, name: str) -> dict[str, Any]:
        """Wait for a log line of this event."""
        return until(lambda: next((line for line in self.lines() if line["event"] == name), None), self.tell)

    def tell(self) -> str:
        return self._log.read_text()

    @property
    def health(self) -> str:
        return str(self.event("health_page")["bindings"][0])

    def binding(self, listener: str) -> tuple[str, int]:
        found = until(
            lambda: next((one for one in self.lines() if one.get("listener") == listener and "bindings" in one), None),
            self.tell,
        )
        host, _, port = found["bindings"][0].rpartition(":")
        return host.strip("[]"), int(port)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.health}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()

    def status(self) -> Any:
        return json.loads(self.get("/status")[1])

    def send(self, listener: str, data: bytes) -> None:
        with socket.create_connection(self.binding(listener)) as peer:
            peer.sendall(data)

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)


def until(condition: Callable[[], Any], tell: Callable[[], str] = str) -> Any:
    """Ask again and again until the answer is true, for as long as a test has patience."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"it never came true\n{tell()}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Rutta]]:
    """Start processes; they are gone when the test is over."""
    started: list[Rutta] = []

    def run(*words: str, stdin: Any = None) -> Rutta:
        started.append(Rutta(*words, log=tmp_path / f"{len(started)}.log", stdin=stdin))
        return started[-1]

    yield run
    for rutta in started:
        if rutta.process.poll() is None:
            rutta.process.kill()
            rutta.process.wait()
        for pipe in (rutta.process.stdin, rutta.process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until

"""One run of one process: started, heard, asked how it is, stopped."""

import asyncio
import contextlib
import ctypes
import http.client
import json
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from rutta_operator.local.launch import Launch
from rutta_operator.local.screen import Screen

_CHUNK: Final = 1 << 16
_LONGEST: Final = 1 << 20  # bytes of a line that are held for its end; a longer one is shown in parts
_POLL: Final = 0.05  # seconds between two looks at /readyz: there is nothing to wait for but its answer
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


class Counts(NamedTuple):
    """What became of the events of a process, and how many inputs were none (``errors``)."""

    received: int = 0
    delivered: int = 0
    dropped: int = 0
    held: int = 0
    errors: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Add the counts of another run."""
        return Counts(*map(sum, zip(self, other, strict=True)))


class Child:
    """A process that runs; made by ``start``."""

    def __init__(self, launch: Launch, process: asyncio.subprocess.Process, screen: Screen, label: str) -> None:
        """Take over a process whose output is piped to us."""
        self.launch, self.label = launch, label
        self.counts: Counts | None = None  # by its last line, once it has ended in order
        self._process, self._screen = process, screen
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self._pumps = [
            asyncio.create_task(_pump(process.stdout, self._show_output)),
            asyncio.create_task(_pump(process.stderr, self._show_log)),
        ]

    @classmethod
    async def start(cls, launch: Launch, program: Sequence[str], screen: Screen, label: str) -> "Child":
        """Start ``program router --config FILE`` in a session of its own: a terminal's Ctrl-C reaches only us."""
        process = await asyncio.create_subprocess_exec(
            *program,
            launch.plan.role.lower(),
            "--config",
            str(launch.config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
        return cls(launch, process, screen, label)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait until it has ended and all it wrote was shown; return its exit code, negative for a signal."""
        code = await self._process.wait()
        done, _ = await asyncio.wait(self._pumps)  # not gather: who waits with a timeout must not end the pumps
        for pump in done:
            pump.result()
        return code

    async def ready(self) -> None:
        """Wait until ``/readyz`` says 200."""
        while await self._ask("/readyz") is None:  # noqa: ASYNC110 - another process's state has no event
            await asyncio.sleep(_POLL)

    async def status(self) -> Counts | None:
        """Return the counts of ``/status``; None if it does not answer."""
        answer = await self._ask("/status")
        try:
            return None if answer is None else _counts_of_status(json.loads(answer))
        except (ValueError, TypeError, AttributeError):
            return None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _ask(self, path: str) -> bytes | None:
        """Return the body of a page of its health server; None unless it is there with 200."""
        return await asyncio.to_thread(_get, self.launch.health, path)

    def _show_output(self, lines: list[bytes]) -> None:
        self._screen.output(self.label, lines)

    def _show_log(self, lines: list[bytes]) -> None:
        for line in lines:
            told = _told(line)
            if told is not None and told.get("event") == "stopped":
                self.counts = _counts_of_line(told)
            self._screen.log(self.label, line, told)


async def _pump(stream: asyncio.StreamReader, show: Callable[[list[bytes]], None]) -> None:
    """Show whole lines as they come; stops at the end of the stream."""
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], b""
        if lines:
            show(lines)
    if rest:
        show([rest])


def _get(address: str, path: str) -> bytes | None:
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if answer.status == 200 else None


def _told(line: bytes) -> dict[str, Any] | None:
    """Read a line of the data plane's log; None if it is something else (a traceback, a library's words)."""
    if not line.startswith(b"{"):
        return None
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if "message" in told else None


def _counts_of_line(told: dict[str, Any]) -> Counts:
    return Counts(*(told[key] if isinstance(told.get(key), int) else 0 for key in Counts._fields))


def _counts_of_status(status: dict[str, Any]) -> Counts:
    targets = status.get("targets", ())
    return Counts(
        sum(one.get("received", 0) for one in status.get("listeners", ())),
        sum(one.get("delivered", 0) for one in targets),
        sum(sum(one.get("dropped", {}).values()) for one in targets),
        sum(one.get("held", 0) for one in targets),
        sum(sum(one.get("errors", {}).values()) for one in status.get("listeners", ())),
    )


def _die_with_parent() -> Callable[[], None] | None:
    """Return what makes a child get SIGTERM when we are killed; nothing where the kernel is not Linux."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: between fork and exec hardly anything is safe
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

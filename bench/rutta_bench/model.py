"""What is measured, in words: loads, jobs, peers, samples. No code but a little arithmetic."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

Transport = Literal["tcp", "udp", "http", "files"]
Shape = Literal["json", "plain"]
Work = Literal["ndjson", "columns", "v6", "plain", "influx"]
Output = Literal["null", "file", "http", "link"]


class Load(Struct, frozen=True, kw_only=True):
    """What the sender does: as fast as the receiver takes it, or at a ``rate``."""

    transport: Transport = "tcp"
    shape: Shape = "json"
    connections: int = 1
    chunk: int = 1 << 20
    """Bytes per send (tcp) or body (http), at most; whole events."""
    rate: int = 0
    """Events per second; 0: as fast as it goes."""
    limit: int = 0
    """Stop after so many events, if not earlier by time; 0: no limit."""


class Job(Struct, frozen=True, kw_only=True):
    """What the measured program does with the events."""

    transport: Transport = "tcp"
    work: Work = "ndjson"
    output: Output = "null"
    tiers: int = 1
    containers: int = 0
    """Containers whose log files it follows (``files``); each has one line before the clock starts."""


class Started(NamedTuple):
    """A program that listens. ``counted`` tells how many events it has delivered, by its own counters."""

    processes: Sequence[subprocess.Popen[bytes]]
    port: int
    counted: Callable[[], int]
    commands: Sequence[str]
    beside: Sequence[subprocess.Popen[bytes]] = ()
    """Processes that it needs and that are not measured (a server that takes its requests)."""
    spinning: str = ""
    """Why the CPU time of the processes themselves is left out, and only that of their children is counted."""
    logs: str = ""
    """The folder of the log files that are written to, when it listens on no port."""


class Peer(Protocol):
    """A program that can be measured."""

    name: str

    def version(self) -> str:
        """Return its version; ``Missing`` says how to get it when it is not there."""

    def start(self, job: Job, folder: Path) -> Started:
        """Start it in the foreground in ``folder``; ``Missing`` when it cannot do the job."""


class Missing(Exception):
    """A peer is not there or cannot do a job; the text says why and what to do. It becomes a note in the table."""


class Sample(Struct, frozen=True, kw_only=True):
    """One measured run."""

    sent: int
    delivered: int
    cpu: float
    """CPU-seconds of all measured processes and threads."""
    wall: float
    """Seconds from the first byte sent until the last work was done."""
    rss_peak: int
    """Bytes, summed over processes."""
    rss_after: int
    sender_busy: float
    """CPU-seconds of the sender per second of sending: near 1 it may have been the bottleneck."""
    others: float
    """Cores that the rest of the machine used meanwhile: it slows memory and caches, so it costs CPU time, too."""

    @property
    def per_cpu_second(self) -> float:
        """Events per CPU-second."""
        return self.delivered / self.cpu if self.cpu else 0.0

    @property
    def per_second(self) -> float:
        """Events per second of wall time."""
        return self.delivered / self.wall if self.wall else 0.0

    @property
    def core(self) -> float:
        """Share of one core, in percent."""
        return 100 * self.cpu / self.wall if self.wall else 0.0

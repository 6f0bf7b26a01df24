"""Source ``hostMetrics``: what the machine does, as gauges with units; one batch per interval.

Measured on a thread of its own, for a dead disk may hold it up for ever. While a queue is full nothing is measured.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta, Struct, field

from rutta.disk.worker import Worker
from rutta.errors import ConfigError
from rutta.host import places
from rutta.host.meter import GROUPS, Group, Meter, Reading
from rutta.listeners import Intake
from rutta.message import Block
from rutta.settings import Duration, default

log = logging.getLogger("rutta.sources.host_metrics")

LEAST: Final = 0.1  # seconds between two measurements
# Ends of pods' networks and their volumes, loops and memory: many, and nothing of the machine's.
EXCLUDED: Final = (
    "lo", "veth*", "cali*", "lxc*", "loop*", "ram*", "zram*", "/var/lib/kubelet/*", "/var/lib/docker/*",
    "/var/lib/containerd/*", "/run/*", "/snap/*",
)  # fmt: skip
_lines = msgspec.json.Encoder().encode_lines


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of host metrics."""

    codec: ClassVar[str] = "json"

    interval: Annotated[Duration, Meta(description="how often to measure")] = default(Duration, "10s")
    groups: Annotated[list[Group], Meta(min_length=1, description="what to measure")] = field(
        default_factory=lambda: list(GROUPS)
    )
    exclude: Annotated[list[str], Meta(description="disks, interfaces and mount points to leave out; globs")] = field(
        default_factory=lambda: list(EXCLUDED)
    )
    proc_path: Annotated[
        str | None, Meta(description="the host's /proc, in a container; absent: /host/proc if it is there")
    ] = None
    root_path: Annotated[
        str | None, Meta(description="the host's /, in a container; absent: /host/root if it is there")
    ] = None

    def __post_init__(self) -> None:
        """Reject intervals that are none."""
        if self.interval < LEAST:
            raise ValueError("interval is at least 100ms")


def make(config: Config, name: str) -> "HostMetrics":
    """Build the source."""
    return HostMetrics(config, name)


class HostMetrics:
    """Measures on its own thread."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch nothing yet."""
        self.config = config
        self.name = name
        self.place = places.find(config.proc_path, config.root_path)
        self.meter = Meter(self.place, config.groups, config.exclude)
        self.context = {"host": os.environ.get("NODE_NAME") or socket.gethostname()}
        self._worker = Worker(f"{name} meter")
        self._stopping = asyncio.Event()
        self._said: set[str] = set()
        self._gauges = 0
        self._seconds = 0.0

    async def bind(self) -> Sequence[str]:
        """Look whether a ``/proc`` that was named is there. ConfigError if not."""
        for setting, path in (("procPath", self.config.proc_path), ("rootPath", self.config.root_path)):
            if path is not None and not places.is_there(path):
                raise ConfigError(f"the source {self.name} cannot measure: {setting} {path} is not there")
        return [self.place.proc or "this machine"]

    async def serve(self, intake: Intake) -> None:
        """Measure until ``stop``."""
        loop = asyncio.get_running_loop()
        stopped = loop.create_task(self._stopping.wait())
        try:
            due = loop.time()
            while not self._stopping.is_set():
                if not intake.full:
                    measuring = loop.create_task(self._worker.run(self._measure))
                    await asyncio.wait({measuring, stopped}, return_when=asyncio.FIRST_COMPLETED)
                    if not measuring.done():  # it hangs
                        measuring.cancel()
                        return
                    self._offer(intake, measuring.result())
                due = max(due + self.config.interval, loop.time())
                await asyncio.wait({stopped}, timeout=due - loop.time())
        finally:
            stopped.cancel()
            self._worker.stop()

    def _measure(self) -> Sequence[Reading]:
        began = time.thread_time()
        found = self.meter.measure()
        self._seconds = time.thread_time() - began
        return found

    def _offer(self, intake: Intake, readings: Sequence[Reading]) -> None:
        self._gauges = len(readings)
        self._complain()
        if readings:
            now = time.time_ns()
            intake.offer(Block(_lines([_event(one, now) for one in readings]), context=self.context))

    def _complain(self) -> None:
        """Say once of each group that it cannot be read."""
        for group, why in self.meter.missing.items():
            if group not in self._said:
                self._said.add(group)
                log.warning(
                    "The source %s cannot measure %s: %s.", self.name, group, why, extra={"event": "host_group_missing"}
                )

    def stop(self) -> None:
        """Make ``serve`` return."""
        self._stopping.set()

    def status(self) -> Mapping[str, Any]:
        """Whose counters these are, and what the last measurement gave and cost."""
        return {
            "proc": self.place.proc or "own",
            "root": self.place.root or "own",
            "gauges": self._gauges,
            "cpuSeconds": round(self._seconds, 6),
            "missing": dict(self.meter.missing),
        }


def _event(reading: Reading, now: int) -> dict[str, Any]:
    return {
        "type": "gauge",
        "name": reading.name,
        "timestamp": now,
        "gauge": {"type": "gauge", "value": reading.value, "unit": reading.unit},
        "labels": reading.labels,
    }

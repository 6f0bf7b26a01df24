"""Measure the machine: counters of psutil as gauges with units. Blocks for some milliseconds, or as a dead disk likes.

What only grows (bytes, packets, time) becomes a rate over the time since the last measurement; the first has none.
Shares are fractions of one, as the unit ``percent`` is elsewhere. What a system does not have is left out.
"""

import fnmatch
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import psutil

from rutta.host.places import Place

Group = Literal["cpu", "load", "memory", "disk", "network", "fileSystems", "system"]
GROUPS: Final[tuple[Group, ...]] = ("cpu", "load", "memory", "disk", "network", "fileSystems", "system")

BYTE_RATE: Final = {"type": "div", "numerator": "bytes", "denominator": "seconds"}
# What the CPU's time is made of; ``guest`` is in ``user`` already, Windows' ``interrupt`` and ``dpc`` in ``system``.
_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_ONE_AT_A_TIME: Final = threading.Lock()  # where /proc is, psutil keeps in a global


class Reading(NamedTuple):
    """One gauge."""

    name: str
    value: float
    unit: Any
    labels: Mapping[str, str] = {}


class Meter:
    """Keeps the last counters of one source."""

    def __init__(self, place: Place, groups: Sequence[Group], exclude: Sequence[str]) -> None:
        """``exclude``: globs of devices, interfaces and mount points."""
        self.missing: dict[str, str] = {}
        """Groups that cannot be read, and why."""
        self._place = place
        self._groups = groups
        self._excluded = re.compile("|".join(fnmatch.translate(glob) for glob in exclude) or r"(?!)")
        self._before: dict[tuple[str, ...], float] = {}
        self._now: dict[tuple[str, ...], float] = {}
        self._elapsed = 0.0
        self._at = 0.0

    def measure(self) -> list[Reading]:
        """Return all gauges there are now."""
        with _ONE_AT_A_TIME, _proc_at(self._place.proc):
            now = time.monotonic()
            self._elapsed, self._at = now - self._at, now
            found: list[Reading] = []
            self.missing = {}
            for group in self._groups:
                try:
                    found += _READ[group](self)
                except (OSError, NotImplementedError, RuntimeError, ValueError, psutil.Error) as exc:
                    self.missing[group] = str(exc) or repr(exc)
            self._before, self._now = self._now, {}
            return found

    def _gain(self, *key: str, value: float) -> float | None:
        """Return how much a counter grew; None the first time, and when it began anew."""
        self._now[key] = value
        before = self._before.get(key)
        return None if before is None or value < before else value - before

    def _rates(self, labels: Mapping[str, str], unit: Any, counters: Mapping[str, float | None]) -> Iterator[Reading]:
        for name, value in counters.items():
            gain = None if value is None else self._gain(name, *labels.values(), value=value)
            if gain is not None and self._elapsed > 0:
                yield Reading(name, gain / self._elapsed, unit, labels)

    def _wants(self, name: str) -> bool:
        return self._excluded.match(name) is None

    # --- the groups -----------------------------------------------------------------------------------------------

    def cpu(self) -> Iterator[Reading]:
        """Yield the shares of the CPUs' time, all together, and how often they are interrupted."""
        times = psutil.cpu_times()._asdict()
        gains = {mode: self._gain("cpu", mode, value=times[mode]) for mode in _MODES if mode in times}
        known = {mode: gain for mode, gain in gains.items() if gain is not None}
        total = sum(known.values())
        if total > 0:
            for mode, gain in known.items():
                yield Reading("host.cpu.usage", gain / total, "percent", {"mode": mode})
            idle = known.get("idle", 0.0) + known.get("iowait", 0.0)
            yield Reading("host.cpu.busy", (total - idle) / total, "percent")
        yield Reading("host.cpu.count", psutil.cpu_count() or 1, "scalar")
        stats = psutil.cpu_stats()
        counters = {"host.cpu.contextSwitches": stats.ctx_switches, "host.cpu.interrupts": stats.interrupts}
        yield from self._rates({}, "hertz", counters)

    def load(self) -> Iterator[Reading]:
        """Yield how many tasks run or want to."""
        for minutes, value in zip(("1", "5", "15"), psutil.getloadavg(), strict=True):
            yield Reading("host.load", value, "scalar", {"minutes": minutes})

    def memory(self) -> Iterator[Reading]:
        """Yield memory and swap."""
        memory = psutil.virtual_memory()
        for key in ("total", "available", "used", "free", "cached", "buffers"):
            if hasattr(memory, key):
                yield Reading(f"host.memory.{key}", getattr(memory, key), "bytes")
        yield Reading("host.memory.usage", memory.percent / 100, "percent")
        swap = psutil.swap_memory()
        for key in ("total", "used", "free"):
            yield Reading(f"host.swap.{key}", getattr(swap, key), "bytes")
        yield Reading("host.swap.usage", swap.percent / 100, "percent")
        yield from self._rates({}, BYTE_RATE, {"host.swap.in": swap.sin, "host.swap.out": swap.sout})

    def disk(self) -> Iterator[Reading]:
        """Yield what disks read and write, and how much of the time they are at it."""
        disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        for name in _whole_disks(disks):
            if not self._wants(name):
                continue
            one, labels = disks[name], {"device": name}
            moved = {"host.disk.read": one.read_bytes, "host.disk.written": one.write_bytes}
            yield from self._rates(labels, BYTE_RATE, moved)
            counts = {"host.disk.reads": one.read_count, "host.disk.writes": one.write_count}
            yield from self._rates(labels, "hertz", counts)
            busy = getattr(one, "busy_time", None)  # milliseconds; Linux and FreeBSD
            share = None if busy is None else busy / 1000
            yield from self._rates(labels, "percent", {"host.disk.busy": share})

    def network(self) -> Iterator[Reading]:
        """Yield what interfaces receive and send."""
        with _proc_at(self._place.of_network):
            interfaces = psutil.net_io_counters(pernic=True, nowrap=False)
        for name, one in interfaces.items():
            if not self._wants(name):
                continue
            labels = {"interface": name}
            moved = {"host.network.received": one.bytes_recv, "host.network.sent": one.bytes_sent}
            yield from self._rates(labels, BYTE_RATE, moved)
            counts = {
                "host.network.packetsReceived": one.packets_recv, "host.network.packetsSent": one.packets_sent,
                "host.network.errorsReceived": one.errin, "host.network.errorsSent": one.errout,
                "host.network.droppedReceived": one.dropin, "host.network.droppedSent": one.dropout,
            }  # fmt: skip
            yield from self._rates(labels, "hertz", counts)

    def file_systems(self) -> Iterator[Reading]:
        """Yield how full file systems are. One that cannot be looked at is left out."""
        for one in self._place.mounts():
            if not self._wants(one.mount):
                continue
            try:
                usage = psutil.disk_usage(one.path)
                inodes = os.statvfs(one.path) if hasattr(os, "statvfs") else None
            except OSError:
                continue
            labels = {"mount": one.mount, "device": one.device, "type": one.kind}
            for key in ("total", "used", "free"):
                yield Reading(f"host.fileSystem.{key}", getattr(usage, key), "bytes", labels)
            yield Reading("host.fileSystem.usage", usage.percent / 100, "percent", labels)
            if inodes is not None and inodes.f_files:
                share = (inodes.f_files - inodes.f_ffree) / inodes.f_files
                yield Reading("host.fileSystem.inodeUsage", share, "percent", labels)

    def system(self) -> Iterator[Reading]:
        """Yield how long the machine is up, and how many processes it has."""
        yield Reading("host.uptime", time.time() - psutil.boot_time(), "seconds")
        yield Reading("host.processes", len(psutil.pids()), "scalar")


_READ: Final[Mapping[Group, Callable[[Meter], Iterator[Reading]]]] = {
    "cpu": Meter.cpu, "load": Meter.load, "memory": Meter.memory, "disk": Meter.disk, "network": Meter.network,
    "fileSystems": Meter.file_systems, "system": Meter.system,
}  # fmt: skip


class _proc_at:  # noqa: N801 - a word of a with statement
    """Let psutil read another ``/proc``, and give it its own back."""

    def __init__(self, proc: str | None) -> None:
        self._proc = proc
        self._before: str | None = None

    def __enter__(self) -> None:
        if self._proc is not None:
            self._before = getattr(psutil, "PROCFS_PATH", None)
            psutil.PROCFS_PATH = self._proc

    def __exit__(self, *exc: object) -> None:
        if self._before is not None:
            psutil.PROCFS_PATH = self._before


def _whole_disks(disks: Mapping[str, Any]) -> Sequence[str]:
    """Leave partitions out, whose disks are there too, where the system tells which is which."""
    whole = {one.name for one in Path("/sys/block").glob("*")} & disks.keys()
    return sorted(whole or disks)

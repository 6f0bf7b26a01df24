"""What machine this is, in a line or two, without its name."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_QUIET: Final = 0.15  # cores that a quiet machine uses at most


def describe() -> dict[str, str]:
    """Return processor, cores, memory, kernel and Python."""
    return {
        "processor": _model(Path("/proc/cpuinfo").read_text()),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
    }


def _model(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def load() -> float:
    """Return how many processes wanted to run in the last minute."""
    return os.getloadavg()[0]


def busy(stat: str | None = None) -> float:
    """Return the CPU-seconds that all processors together have worked (proc(5), the first line of /proc/stat)."""
    fields = (stat or Path("/proc/stat").read_text()).split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def wait_for_quiet(
    patience: float,
    used: Callable[[], float] = busy,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until the machine does (nearly) nothing, ``patience`` seconds at most; tell whether it does."""
    deadline = now() + patience
    while patience > 0:
        began, before = now(), used()
        sleep(0.5)
        if (used() - before) / (now() - began) <= _QUIET:
            return True
        if now() >= deadline:
            break
    return False

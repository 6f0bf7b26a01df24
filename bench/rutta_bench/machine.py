"""What machine this is, in a line or two, without its name."""

import os
import platform
from pathlib import Path


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

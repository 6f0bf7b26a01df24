"""Start what is measured, read its CPU time and memory from /proc, stop it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rutta_bench.model import Missing

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_BOUND = {"tcp": "0A", "udp": "07"}  # /proc/net: LISTEN, and a datagram socket that is bound


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, *, silent: bool = False
) -> subprocess.Popen[bytes]:
    """Start a process in ``folder``, in a session of its own; what it says goes to ``log`` there.

    ``silent`` sends its standard output to /dev/null: not a target's events into a log.
    """
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if silent else log,
            stderr=log,
            start_new_session=True,
        )


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask the processes to stop, give them 5 s together, then end them and what they started."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + 5
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.01, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port of the loopback that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for_port(
    port: int, transport: str, process: subprocess.Popen[bytes], folder: Path, seconds: float = 30
) -> None:
    """Wait until somebody listens on the port; ``Missing`` with the last line of the log if nobody does."""
    kind = "udp" if transport == "udp" else "tcp"
    deadline = time.monotonic() + seconds
    while not is_bound(port, kind):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Missing(f"it did not start: {last_line(folder / 'log')}")
        time.sleep(0.02)


def wait_for_file(path: Path, process: subprocess.Popen[bytes], folder: Path, seconds: float = 30) -> None:
    """Wait until a program has written a file; ``Missing`` with the last line of the log if it does not."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Missing(f"it did not start: {last_line(folder / 'log')}")
        time.sleep(0.02)


def is_bound(port: int, kind: str, proc: Path = _PROC / "net") -> bool:
    """Tell from the kernel's tables whether a socket listens, without a connection that the peer would see."""
    wanted = f":{port:04X}"
    for table in (kind, kind + "6"):
        with contextlib.suppress(FileNotFoundError):
            for line in (proc / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(wanted) and fields[3] == _BOUND[kind]:
                    return True
    return False


def last_line(log: Path) -> str:
    """Return the last thing that a process said."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:300] if lines else "it said nothing"


def tree(pid: int, proc: Path = _PROC) -> Iterator[int]:
    """Yield a process and all that it started and that still lives."""
    yield pid
    for task in sorted((proc / str(pid) / "task").glob("*/children")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in task.read_text().split():
                yield from tree(int(child), proc)


def cpu(processes: Sequence[subprocess.Popen[bytes]], *, children_only: bool = False, proc: Path = _PROC) -> float:
    """Return the CPU-seconds of the processes, all their threads, and their children, living and gone."""
    skipped = {process.pid for process in processes} if children_only else set()
    pids = [pid for process in processes for pid in tree(process.pid, proc) if pid not in skipped]
    return sum(_cpu(pid, proc) for pid in pids)


def _cpu(pid: int, proc: Path) -> float:
    """utime + stime + cutime + cstime, proc(5): fields 14 to 17; the name before them may hold spaces."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = stat[stat.rindex(")") + 2 :].split()
    return sum(map(int, fields[11:15])) / _TICKS


def memory(processes: Sequence[subprocess.Popen[bytes]], key: str, proc: Path = _PROC) -> int:
    """Return the bytes of ``VmRSS`` (now) or ``VmHWM`` (highest so far), summed over processes and children."""
    total = 0
    for process in processes:
        for pid in tree(process.pid, proc):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += _status(proc / str(pid) / "status", key)
    return total


def own_memory(key: str) -> int:
    """Return ``VmRSS`` or ``VmHWM`` of this process; getrusage(2) would count what ran before its exec, too."""
    return _status(_PROC / "self" / "status", key)


def _status(path: Path, key: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0

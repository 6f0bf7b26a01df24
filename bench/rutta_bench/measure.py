"""One measured run: start the program, send, wait until it has done all, read the counters, stop it."""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rutta_bench import machine, processes, sender
from rutta_bench.model import Job, Load, Missing, Peer, Sample, Started

_POLL: Final = 0.05
_QUIET: Final = 0.4  # seconds of (nearly) no CPU time after which a program is taken to have done its work
_IDLING: Final = 0.03  # CPU-seconds within _QUIET that are still idling: some peers poll
_COUNTING: Final = 3.0  # seconds that a program's own counters may lag (rsyslog writes them once a second)
_RESTING: Final = 12.0  # seconds after which a program that follows files has let go of quiet ones
_LONGEST: Final = 120.0  # seconds to work off what is in the kernel's buffers and the program's own


class Settled(NamedTuple):
    """When a program had done its work, and its CPU-seconds then."""

    at: float
    cpu: float


def run(peer: Peer, job: Job, load: Load | None, seconds: float, folder: Path) -> tuple[Sample, Started]:
    """Measure once. Without a load it idles. ``Missing`` when the program is not there or cannot do it."""
    started = peer.start(job, folder)
    try:
        settle(lambda: _cpu(started), 10)
        if load is None and job.transport == "files":
            time.sleep(_RESTING)
        sample = _idle(started, seconds) if load is None else _loaded(started, load, seconds)
    finally:
        processes.stop([*started.processes, *started.beside])
    return sample, started


def _idle(started: Started, seconds: float) -> Sample:
    whole, before, began = machine.busy(), _cpu(started), time.perf_counter()
    time.sleep(seconds)
    wall, cpu = time.perf_counter() - began, _cpu(started) - before
    others = max(0.0, machine.busy() - whole - cpu) / wall
    return _sample(started, sender.Report(sent=0, seconds=wall, cpu=0), Done(0, cpu, wall, others))


class Done(NamedTuple):
    """What was delivered, in how many CPU-seconds and seconds, while others used so many cores."""

    delivered: int
    cpu: float
    wall: float
    others: float


def _cpu(started: Started) -> float:
    return processes.cpu(started.processes, children_only=bool(started.spinning))


def _loaded(started: Started, load: Load, seconds: float) -> Sample:
    order = sender.Order(load=load, port=started.port, logs=started.logs, seconds=seconds)
    with subprocess.Popen(
        [sys.executable, "-m", "rutta_bench.sender", msgspec.json.encode(order).decode()],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise Missing("the sender could not connect to it")
        settle(lambda: _cpu(started), 5)
        whole, before, began = machine.busy(), _cpu(started), time.perf_counter()
        process.stdin.write(b"\n")
        process.stdin.flush()
        said = process.stdout.readline()
    if not said:
        raise Missing("the sender lost its connection to it")
    report = msgspec.json.decode(said, type=sender.Report)
    settled = settle(lambda: _cpu(started), _LONGEST)
    delivered = _count(started, report.sent)
    if _cpu(started) - settled.cpu > _IDLING:  # it had only waited for a receiver that is not measured
        settled = settle(lambda: _cpu(started), _LONGEST)
        delivered = _count(started, report.sent)
    rest = machine.busy() - whole - (settled.cpu - before) - report.cpu
    others = max(0.0, rest) / (time.perf_counter() - began)
    done = Done(delivered, settled.cpu - before, settled.at - began, others)
    return _sample(started, report, done)


def settle(cpu: Callable[[], float], longest: float, now: Callable[[], float] = time.perf_counter) -> Settled:
    """Wait until ``cpu`` stands still; return when that began, and its value then."""
    seen = deque([Settled(now(), cpu())])
    deadline = seen[0].at + longest
    while True:
        time.sleep(_POLL)
        seen.append(Settled(now(), cpu()))
        while len(seen) > 1 and seen[-1].cpu - seen[0].cpu > _IDLING:
            seen.popleft()
        if seen[-1].at - seen[0].at >= _QUIET or seen[-1].at >= deadline:
            return seen[0]


def _count(started: Started, sent: int) -> int:
    """Ask what was delivered until it is what was sent, or no more comes."""
    count, since = started.counted(), time.monotonic()
    while count < sent and time.monotonic() - since < _COUNTING:
        time.sleep(0.2)
        if (new := started.counted()) != count:
            count, since = new, time.monotonic()
    return count


def _sample(started: Started, report: sender.Report, done: Done) -> Sample:
    return Sample(
        sent=report.sent,
        delivered=done.delivered,
        cpu=done.cpu,
        wall=done.wall,
        rss_peak=processes.memory(started.processes, "VmHWM"),
        rss_after=processes.memory(started.processes, "VmRSS"),
        sender_busy=report.cpu / report.seconds,
        others=done.others,
    )

"""The row ``targets``: all targets, found by themselves, each in a process of its own against an instant server."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from rutta import components
from rutta_bench import client, instants, machine, processes, rounds
from rutta_bench.model import Missing, Sample
from rutta_bench.results import Line, Outcome
from rutta_bench.rounds import Manner, Say
from rutta_bench.rows import TARGETS

_HERE: Final = Path(__file__).parents[1]
_BASE: Final = "noop"


def names() -> tuple[str, ...]:
    """List all targets of this checkout; the one that the others are read against comes first."""
    return tuple(sorted(components.names("targets"), key=lambda name: (name != _BASE, name)))


def run(
    wanted: Sequence[str],
    manner: Manner,
    measure: Callable[[str, float, Path], Sample] | None = None,
    say: Say = rounds.say,
) -> Outcome:
    """Measure targets, in turns like programs; what cannot be measured is a line with a note."""
    say(f"{TARGETS.key}: {TARGETS.title}")
    ordered = dict.fromkeys([_BASE, *(name for name in names() if name in wanted)])
    lines = {name: Line(label=name, note=instants.of(name).note, remark=instants.of(name).remark) for name in ordered}
    for _ in range(manner.rounds):
        for name, line in lines.items():
            if not line.note:
                machine.wait_for_quiet(manner.patience)
                lines[name] = _round(line, manner, measure or once, say)
    return Outcome(row=TARGETS, lines=tuple(lines.values()))


def _round(line: Line, manner: Manner, measure: Callable[[str, float, Path], Sample], say: Say) -> Line:
    place = Path(tempfile.mkdtemp(prefix="rutta-bench-", dir=manner.folder))
    try:
        sample = measure(line.label, manner.seconds, place)
    except Missing as exc:
        say(f"    {line.label}: {exc}")
        return msgspec.structs.replace(line, note=str(exc))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    say(f"    {line.label}: {rounds.shown(TARGETS, sample)}")
    return msgspec.structs.replace(line, rounds=(*line.rounds, sample))


def once(name: str, seconds: float, folder: Path) -> Sample:
    """Measure one target once; ``Missing`` says why that is not possible."""
    port = processes.free_port()
    servers = []
    if instants.of(name).kind != "none":
        command = [sys.executable, "-m", "rutta_bench.instant", name, str(port)]
        servers.append(processes.start(command, folder, {"PYTHONPATH": _path()}))
    try:
        for server in servers:
            processes.wait_for_port(port, "tcp", server, folder)
        order = client.Order(name=name, port=port, seconds=seconds, report=str(folder / "report"))
        whole, served, began = machine.busy(), processes.cpu(servers), time.perf_counter()
        report = _client(order, folder)
        rest = machine.busy() - whole - (processes.cpu(servers) - served) - report.cpu
    finally:
        processes.stop(servers)
    return Sample(
        sent=report.sent,
        delivered=report.delivered,
        cpu=report.cpu,
        wall=report.seconds,
        rss_peak=report.rss_peak,
        rss_after=report.rss_after,
        sender_busy=0.0,
        others=max(0.0, rest) / (time.perf_counter() - began),
    )


def _path() -> str:
    """Where Python finds what this process found, from any folder."""
    return ":".join([str(_HERE), *filter(None, sys.path)])


def _client(order: client.Order, folder: Path) -> client.Report:
    command = [sys.executable, "-m", "rutta_bench.client", msgspec.json.encode(order).decode()]
    process = processes.start(command, folder, {"PYTHONPATH": _path()}, silent=True)
    try:
        process.wait(order.seconds + client.OPENING + 2 * client.LONGEST)
    except subprocess.TimeoutExpired:
        raise Missing("its process did not end") from None
    finally:
        processes.stop([process])
    written = Path(order.report)
    if not written.exists():
        raise Missing(f"its process ended: {processes.last_line(folder / 'log')}")
    report = msgspec.json.decode(written.read_bytes(), type=client.Report)
    if report.trouble:
        raise Missing(report.trouble)
    return report

"""Rutta itself: the data plane of this checkout, started as a user would."""

import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from rutta_bench import logs, processes, samples
from rutta_bench.model import Job, Missing, Started

_TARGETS = {"ndjson": "", "columns": "columns=" + ",".join(samples.COLUMNS), "v6": "codec=json", "plain": "codec=plain"}


def make(cache: Path, *, offline: bool) -> "Rutta":
    """Build it; nothing is fetched."""
    return Rutta()


class Rutta:
    """``python -m rutta`` with the interpreter that runs the benchmark."""

    name = "Rutta"

    def version(self) -> str:
        """Return what ``rutta version`` prints, and the commit if this is a checkout."""
        done = subprocess.run([sys.executable, "-m", "rutta", "version"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"rutta does not start here: {done.stderr.strip().splitlines()[-1:]}; run `make test` first")
        version = done.stdout.split()[1]
        return f"{version} at {commit}" if (commit := _commit()) else version

    def start(self, job: Job, folder: Path) -> Started:
        """Start one router, or shipper, proxy and router."""
        if job.transport == "files":
            return _follower(job, folder)
        if job.tiers == 1:
            return _router(job, folder)
        return _chain(job, folder)


def _commit() -> str:
    if not shutil.which("git"):
        return ""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _router(job: Job, folder: Path) -> Started:
    port, health = _port(job), processes.free_port()
    if job.work != "influx":
        return _start([(_listen("router", job, port, health) + _target(job, folder), health)], job, port, folder)
    answering = processes.free_port()
    sink = processes.start([sys.executable, "-m", "rutta_bench.sink", str(answering)], Path(__file__).parents[2])
    target = ["--target", f"influxdb://?endpoint=http://127.0.0.1:{answering}/write&db=bench"]
    started = _start([(_listen("router", job, port, health) + target, health)], job, port, folder)
    return started._replace(beside=[sink])


def _chain(job: Job, folder: Path) -> Started:
    ports = [processes.free_port() for _ in range(6)]
    here = [f"127.0.0.1:{port}" for port in ports]
    router = ["router", "--health", here[0], "--listener", "link", here[1], *_target(job, folder)]
    proxy = ["proxy", "--health", here[2], "--link-bind", here[3], "--link-to", here[1]]
    shipper = [*_listen("shipper", job, ports[5], ports[4]), "--link-to", here[3]]
    return _start([(router, ports[0]), (proxy, ports[2]), (shipper, ports[4])], job, ports[5], folder)


def _follower(job: Job, folder: Path) -> Started:
    """Start a shipper of container logs; the router that it links to is not measured."""
    ports = [processes.free_port() for _ in range(3)]
    here = [f"127.0.0.1:{port}" for port in ports]
    router = ["router", "--health", here[0], "--listener", "link", here[1], "--target", "noop://."]
    config = folder / "shipper.json"
    source = {"path": str(logs.make(folder, job.containers)), "state": str(folder / "state")}
    document = {
        "role": "Shipper", "sources": [{"name": "logs", "containerLogs": source}],
        "targets": [{"link": {"addresses": [here[1]]}}],
    }  # fmt: skip
    config.write_text(json.dumps(document))
    shipper = ["shipper", "--health", here[2], "--config", str(config)]
    started = _start([(router, ports[0]), (shipper, ports[2])], job, ports[2], folder)
    behind, measured = started.processes
    return started._replace(
        processes=[measured],
        beside=[behind],
        counted=lambda: max(0, started.counted() - job.containers),
        logs=source["path"],
    )


def _listen(role: str, job: Job, port: int, health: int) -> list[str]:
    codec = "plain" if job.work == "plain" else "json"
    return [role, "--health", f"127.0.0.1:{health}", "--listener", job.transport, f"127.0.0.1:{port}", codec]


def _target(job: Job, folder: Path) -> list[str]:
    path = str(folder / "out") if job.output == "file" else "/dev/null"
    query = _TARGETS[job.work]
    return ["--target", f"file://{path}" + (f"?{query}" if query else "")]


def _port(job: Job) -> int:
    return processes.free_port(socket.SOCK_DGRAM if job.transport == "udp" else socket.SOCK_STREAM)


def _start(tiers: list[tuple[list[str], int]], job: Job, port: int, folder: Path) -> Started:
    """Start the tiers, last first; the first one given counts what was delivered."""
    running = []
    try:
        for arguments, health in tiers:
            running.append(processes.start([sys.executable, "-m", "rutta", *arguments], folder))
            processes.wait_for_port(health, "tcp", running[-1], folder)
        processes.wait_for_port(port, job.transport, running[-1], folder)
    except Missing:
        processes.stop(running)
        raise
    return Started(running, port, lambda: _delivered(tiers[0][1]), [" ".join(["rutta", *one]) for one, _ in tiers])


def _delivered(health: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health}/status", timeout=10) as answer:
            return delivered(json.load(answer))
    except urllib.error.URLError:
        return 0


def delivered(status: dict[str, Any]) -> int:
    """Sum what the targets of a ``/status`` page delivered."""
    targets = status["targets"]
    return sum(target["delivered"] for target in (targets.values() if isinstance(targets, dict) else targets))

"""OpenTelemetry collector: filelog with its container parser → batch → OTLP, to one that takes it and is not measured.

Taken from PATH only: built by hand from Go modules (the builder with the filelog and otlp receivers, the batch
processor, the otlp and nop exporters). Without the storage extension it keeps no checkpoints.
"""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from rutta_bench import logs, processes
from rutta_bench.model import Job, Missing, Started


def make(cache: Path, *, offline: bool) -> "Otelcol":
    """Build it; nothing is fetched."""
    return Otelcol()


class Otelcol:
    """otelcol with a configuration of its own."""

    name = "otelcol"

    def version(self) -> str:
        """Return its version, if it is there."""
        if not shutil.which("otelcol"):
            raise Missing(
                "not found; to install it, build it with go.opentelemetry.io/collector/cmd/builder (receivers filelog "
                "and otlp, processor batch, exporters otlp and nop) and put it on PATH as otelcol"
            )
        said = subprocess.run(["otelcol", "--version"], capture_output=True, text=True, check=False).stdout
        if not (match := re.search(r"version +v?(\S+)", said)):
            raise Missing("otelcol --version did not say its version")
        return match[1]

    def start(self, job: Job, folder: Path) -> Started:
        """Start one that follows files and one that takes what it sends."""
        if job.transport != "files":
            raise Missing("it takes part in the rows of log files only")
        root, link = logs.make(folder, job.containers), processes.free_port()
        metrics = [processes.free_port() for _ in range(2)]
        taking = {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{link}"}}}},
            "exporters": {"nop": {}},
            "service": _service(["otlp"], [], ["nop"], metrics[0]),
        }
        following = {
            "receivers": {"filelog": _filelog(root)},
            "processors": {"batch": {}},
            "exporters": {"otlp": {"endpoint": f"127.0.0.1:{link}", "tls": {"insecure": True}}},
            "service": _service(["filelog"], ["batch"], ["otlp"], metrics[1]),
        }
        running: list[subprocess.Popen[bytes]] = []
        try:
            for name, document, port in (("taking", taking, metrics[0]), ("following", following, metrics[1])):
                config = folder / f"{name}.json"
                config.write_text(json.dumps(document))
                running.append(processes.start(["otelcol", "--config", str(config)], folder))
                processes.wait_for_port(port, "tcp", running[-1], folder)
        except Missing:
            processes.stop(running)
            raise
        return Started(
            running[1:], metrics[1], lambda: max(0, _sent(metrics[1]) - job.containers),
            ["otelcol: filelog (container) → batch → otlp"], beside=running[:1], logs=str(root),
        )  # fmt: skip


def _filelog(root: Path) -> dict[str, Any]:
    return {"include": [f"{root}/*/*/*.log"], "start_at": "beginning", "include_file_path": True,
            "operators": [{"type": "container"}]}  # fmt: skip


def _service(receivers: list[str], processors: list[str], exporters: list[str], port: int) -> dict[str, Any]:
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port}}}}
    return {
        "pipelines": {"logs": {"receivers": receivers, "processors": processors, "exporters": exporters}},
        "telemetry": {"metrics": {"readers": [reader]}},
    }


def _sent(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return sent(answer.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return 0


def sent(page: str) -> int:
    """Read how many records its exporter has sent."""
    found = re.findall(
        r"^otelcol_exporter_sent_log_records(?:_total|__records__total)?\{[^}]*\} (\S+)$", page, re.MULTILINE
    )
    return sum(int(float(one)) for one in found)

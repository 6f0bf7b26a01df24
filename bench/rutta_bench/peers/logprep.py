"""Logprep: http input, jsonl output; from PyPI into an environment of its own in the cache."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from rutta_bench import processes
from rutta_bench.model import Job, Missing, Started

_CONFIG = """\
version: 1
process_count: 1
timeout: 0.1
logger: {{level: WARNING}}
metrics: {{enabled: true, port: {metrics}}}
input:
  web:
    type: http_input
    message_backlog_size: 1000000
    collect_meta: false
    uvicorn_config: {{host: 127.0.0.1, port: {port}, access_log: false, log_level: warning}}
    endpoints: {{/i/logary: jsonl}}
output:
  out: {{type: jsonl_output, output_file: {path}}}
"""

_SPINNING = "its manager process loops without a pause and uses a core by itself: that is left out, its children count"


def make(cache: Path, *, offline: bool) -> "Logprep":
    """Build it; the environment is made when its version is asked for."""
    return Logprep(cache / "logprep", offline=offline)


class Logprep:
    """``logprep run`` with one pipeline."""

    name = "Logprep"

    def __init__(self, home: Path, *, offline: bool) -> None:
        """Nothing is looked for yet."""
        self._home = home
        self._offline = offline

    def version(self) -> str:
        """Make its environment if there is none, and return its version."""
        by_hand = f"install it: python3 -m venv {self._home} && {self._home}/bin/pip install logprep"
        if not (self._home / "bin/logprep").exists():
            if self._offline:
                raise Missing(f"not found; {by_hand}")
            self._install(by_hand)
        shown = subprocess.run(
            [self._home / "bin/pip", "show", "logprep"], capture_output=True, text=True, check=False
        ).stdout
        if not (match := re.search(r"^Version: (\S+)", shown, re.MULTILINE)):
            raise Missing(f"its environment is broken; remove {self._home}, or {by_hand}")
        return match[1]

    def _install(self, by_hand: str) -> None:
        print(f"Fetching logprep from PyPI into {self._home} ...", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", self._home], capture_output=True, check=True)
            subprocess.run(
                [self._home / "bin/pip", "install", "-q", "--disable-pip-version-check", "logprep"],
                capture_output=True,
                text=True,
                check=True,
            )
        except subprocess.CalledProcessError as exc:
            reason = str(exc.stderr or exc).strip().splitlines()[-1]
            raise Missing(f"pip could not install it ({reason}); {by_hand}") from exc

    def start(self, job: Job, folder: Path) -> Started:
        """Start it; the only network input that it has is http."""
        if job.transport != "http" or job.work != "ndjson":
            raise Missing("it has no tcp or udp input")
        port, metrics = processes.free_port(), processes.free_port()
        path = "/dev/null" if job.output == "null" else folder / "out"
        (folder / "config.yml").write_text(_CONFIG.format(port=port, metrics=metrics, path=path))
        (folder / "metrics").mkdir()
        process = processes.start(
            [str(self._home / "bin/logprep"), "run", "config.yml"],
            folder,
            {"PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"), "PATH": os.environ.get("PATH", "")},
        )
        try:
            processes.wait_for_port(port, "tcp", process, folder, 60)
        except Missing:
            processes.stop([process])
            raise
        command = "logprep run CONFIG: http_input (jsonl) → jsonl_output"
        return Started([process], port, lambda: _stored(metrics), [command], spinning=_SPINNING)


def _stored(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return stored(answer.read().decode())
    except urllib.error.URLError:
        return 0


def stored(page: str) -> int:
    """Sum what the output says it has processed, from a Prometheus page."""
    lines = re.findall(
        r'^logprep_number_of_processed_events_total\{.*component="output".*\} (\S+)$', page, re.MULTILINE
    )
    return int(sum(map(float, lines)))

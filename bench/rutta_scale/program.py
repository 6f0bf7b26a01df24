"""The operator as it is shipped: its image, run by Docker in the host's network with its ServiceAccount's token."""

import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from rutta_scale.shell import run

METRICS = "http://127.0.0.1:18880/metrics"
_TICKS = 100  # per second, in /proc/PID/stat on Linux


class Memory(NamedTuple):
    """Resident memory, in MB of 10^6 bytes."""

    now: float
    highest: float


class Program:
    """One operator at a time; ``remove`` what is left."""

    def __init__(self, name: str, image: str, kubeconfig: Path, hosts: Path) -> None:
        """Touch nothing yet; ``name`` is the container's."""
        self._name = name
        self._image, self._kubeconfig, self._hosts = image, kubeconfig, hosts
        self.started = 0.0

    def start(self) -> None:
        """Start it; the clock begins before Docker does."""
        self.remove()
        self.started = time.time()
        run(
            "docker", "run", "-d", "--name", self._name, "--network", "host", "--read-only",
            "-e", "KUBECONFIG=/kubeconfig",
            "-v", f"{self._kubeconfig}:/kubeconfig:ro", "-v", f"{self._hosts}:/etc/hosts:ro", self._image,
            "--bind", "127.0.0.1:18880", "--lease-namespace", "rutta-system",
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it as Kubernetes does."""
        run("docker", "stop", "-t", "30", self._name)

    def remove(self) -> None:
        """Leave nothing of it."""
        subprocess.run(["docker", "rm", "-f", self._name], capture_output=True, check=False)

    def end(self, log: Path) -> None:
        """Keep what it said, and remove it."""
        with log.open("wb") as file:
            subprocess.run(["docker", "logs", self._name], stdout=file, stderr=subprocess.STDOUT, check=False)
        self.remove()

    def is_caught_up(self, resources: int) -> bool:
        """Tell whether it leads, has looked at so many resources, and has nothing to do. Raises Failed if it ended."""
        try:
            with urllib.request.urlopen(METRICS, timeout=30) as answer:
                page = answer.read().decode()
        except (urllib.error.URLError, OSError):
            run("docker", "exec", self._name, "true")
            return False
        value = dict(re.findall(r"^(rutta_operator_\w+) (\S+)$", page, re.MULTILINE))
        looked = float(value.get("rutta_operator_reconcile_seconds_count", 0))
        leads = float(value.get("rutta_operator_leader", 0)) == 1
        return leads and looked >= resources and float(value.get("rutta_operator_queue_depth", 1)) == 0

    def memory(self) -> Memory:
        """Return how much memory it has, and had at most."""
        found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", self._proc("status"), re.MULTILINE))
        return Memory(int(found["VmRSS"]) * 1024 / 1e6, int(found["VmHWM"]) * 1024 / 1e6)

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def pid(self) -> int:
        """Return its process, for a profiler beside it."""
        return int(run("docker", "inspect", "-f", "{{.State.Pid}}", self._name))

    def _proc(self, file: str) -> str:
        return run("docker", "exec", self._name, "cat", f"/proc/1/{file}")

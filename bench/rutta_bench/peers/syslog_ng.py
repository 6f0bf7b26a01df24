"""syslog-ng: network(), json-parser, file() with format-json; from PATH, or from apt into the cache."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

from rutta_bench import packages, processes, samples
from rutta_bench.model import Job, Missing, Started

_CONFIG = """\
@version: {version}
options {{ stats-level(1); log-msg-size(65536); flush-lines(1000); use-dns(no); dns-cache(no); keep-hostname(yes); }};
source in {{
  network(ip(127.0.0.1) port({port}) transport({transport}) flags(no-parse) max-connections(1100)
          log-iw-size(1100000) log-fetch-limit(1000){more});
}};
parser parsed {{ json-parser(prefix(".json.")); }};
destination out {{ file("{path}" template("{template}\\n") log-fifo-size(1200000)); }};
log {{ source(in); {parser} destination(out); flags(flow-control); }};
"""
_WHOLE = "$(format-json --key .json.* --shift-levels 2)"


def make(cache: Path, *, offline: bool) -> "SyslogNg":
    """Build it; the package is fetched when its version is asked for."""
    return SyslogNg(cache, offline=offline)


class SyslogNg:
    """syslog-ng in the foreground with a configuration of its own."""

    name = "syslog-ng"

    def __init__(self, cache: Path, *, offline: bool) -> None:
        """Nothing is looked for yet."""
        self._cache = cache
        self._offline = offline
        self._command: list[str] = []
        self._control = ""
        self._environment: dict[str, str] = {}
        self._config_version = ""

    def version(self) -> str:
        """Find it and return its version."""
        if found := shutil.which("syslog-ng", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin"):
            self._command, self._control = [found], found + "-ctl"
        else:
            root = packages.unpacked("syslog-ng-core", self._cache, offline=self._offline)
            program, modules = root / "usr/sbin/syslog-ng", next(root.rglob("libjson-plugin.so")).parent
            self._command, self._control = [str(program), f"--module-path={modules}"], f"{program}-ctl"
            self._environment = packages.libraries(root)
        said = subprocess.run(
            [*self._command, "--version"], env=self._environment, capture_output=True, text=True, check=False
        ).stdout
        if not (match := re.search(r"syslog-ng \d+ \(((\d+\.\d+)\S*)\)", said)):
            raise Missing("syslog-ng --version did not say its version")
        self._config_version = match[2]
        return match[1]

    def start(self, job: Job, folder: Path) -> Started:
        """Start one process."""
        if job.transport == "http" or job.tiers > 1 or job.work not in ("ndjson", "v6", "columns", "plain"):
            raise Missing("not measured for this")
        port = processes.free_port(socket.SOCK_DGRAM if job.transport == "udp" else socket.SOCK_STREAM)
        (folder / "conf").write_text(self._configuration(job, port, folder))
        process = processes.start(
            [
                *self._command,
                "-F",
                "--no-caps",
                "-f",
                "conf",
                "--persist-file=persist",
                "--pidfile=pid",
                "--control=ctl",
            ],
            folder,
            self._environment,
        )
        try:
            processes.wait_for_port(port, job.transport, process, folder)
        except Missing:
            processes.stop([process])
            raise
        command = (
            f"syslog-ng -F -f CONFIG: network({job.transport}) → {'' if job.work == 'plain' else 'json-parser → '}file"
        )
        return Started([process], port, lambda: self._written(folder), [command])

    def _configuration(self, job: Job, port: int, folder: Path) -> str:
        templates = {"plain": "$MSG", "columns": "$(format-json " + " ".join(map(_pair, samples.KEYS)) + ")"}
        return _CONFIG.format(
            version=self._config_version,
            port=port,
            transport=job.transport,
            more=" so-rcvbuf(8388608)" if job.transport == "udp" else "",
            path="/dev/null" if job.output == "null" else folder / "out",
            template=templates.get(job.work, _WHOLE),
            parser="" if job.work == "plain" else "parser(parsed);",
        )

    def _written(self, folder: Path) -> int:
        done = subprocess.run(
            [self._control, "stats", f"--control={folder / 'ctl'}"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return written(done.stdout)


def _pair(key: str) -> str:
    return f"{key.split('.')[-1]}=${{.json.{key}}}"


def written(stats: str) -> int:
    """Read what the file took from ``syslog-ng-ctl stats``: lines of SourceName;…;Type;Number."""
    lines = [line.split(";") for line in stats.splitlines() if line.startswith("dst.file;")]
    return sum(int(line[-1]) for line in lines if line[-2] == "written")

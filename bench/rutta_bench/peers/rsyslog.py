"""rsyslog: imptcp or imudp, mmjsonparse, omfile; from PATH, or from apt into the cache.

Configured for what it does best here: no queue between input and actions (twice as fast as one with a queue), no
octet-counted framing (it takes a line that begins with an address for a frame's length), buffered writes.
"""

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

from rutta_bench import logs, packages, processes, samples
from rutta_bench.model import Job, Missing, Started

_HEAD = """\
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="impstats" interval="1" format="json" log.file="{folder}/{name}.stats" log.syslog="off")
module(load="imptcp") module(load="imudp") module(load="mmjsonparse")
template(name="whole" type="list") {{ property(name="$!all-json-plain") constant(value="\\n") }}
{raw}
template(name="columns" type="list" option.jsonf="on") {{ {columns} }}
ruleset(name="way" queue.type="Direct") {{
{actions}
}}
{input}
"""
_RAW = 'template(name="raw" type="list") { property(name="rawmsg") constant(value="\\n") }'
_PARSE = 'action(type="mmjsonparse" cookie="" useRawMsg="on")\n'
_FILE = 'action(name="out" type="omfile" file="{path}" template="{template}" ioBufferSize="256k" flushOnTXEnd="off")'
_FORWARD = (
    'action(name="out" type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="raw" '
    'queue.type="Direct" action.resumeRetryCount="-1")'
)
_FOLLOW = (
    'module(load="imfile") input(type="imfile" file="{logs}/*/*/*.log" tag="pods" ruleset="way" addMetadata="on" '
    'persistStateInterval="20000")'
)
_LINE = """template(name="raw" type="list" option.jsonf="on") {
  property(outname="file" name="$!metadata!filename" format="jsonf")
  property(outname="time" name="msg" position.from="1" position.to="30" format="jsonf")
  property(outname="message" name="msg" position.from="41" format="jsonf")
}"""
_INPUTS = {
    "tcp": 'input(type="imptcp" address="127.0.0.1" port="{port}" ruleset="way" supportOctetCountedFraming="off")',
    "udp": 'input(type="imudp" address="127.0.0.1" port="{port}" ruleset="way" rcvbufSize="8m")',
}
_TEMPLATES = {"ndjson": "whole", "v6": "whole", "columns": "columns", "plain": "raw"}


def make(cache: Path, *, offline: bool) -> "Rsyslog":
    """Build it; the package is fetched when its version is asked for."""
    return Rsyslog(cache, offline=offline)


class Rsyslog:
    """rsyslogd in the foreground with a configuration of its own."""

    name = "rsyslog"

    def __init__(self, cache: Path, *, offline: bool) -> None:
        """Nothing is looked for yet."""
        self._cache = cache
        self._offline = offline
        self._command: list[str] = []
        self._environment: dict[str, str] = {}

    def version(self) -> str:
        """Find it and return its version."""
        if found := shutil.which("rsyslogd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin"):
            self._command = [found]
        else:
            root = packages.unpacked("rsyslog", self._cache, offline=self._offline)
            self._command = [str(root / "usr/sbin/rsyslogd"), "-M", str(next(root.rglob("imptcp.so")).parent)]
            self._environment = packages.libraries(root)
        said = subprocess.run(
            [*self._command, "-v"], env=self._environment, capture_output=True, text=True, check=False
        ).stdout
        if not (match := re.search(r"rsyslogd +(\S+)", said)):
            raise Missing("rsyslogd -v did not say its version")
        return match[1]

    def start(self, job: Job, folder: Path) -> Started:
        """Start one process, or three that forward lines by tcp; the last one parses."""
        if job.transport == "files":
            return self._follower(job, folder)
        if job.transport not in _INPUTS or job.work not in _TEMPLATES:
            raise Missing("its packages have no input or output for this")
        kind = socket.SOCK_DGRAM if job.transport == "udp" else socket.SOCK_STREAM
        ports = [processes.free_port(kind) for _ in range(job.tiers)]
        path = "/dev/null" if job.output == "null" else str(folder / "out")
        last = ("" if job.work == "plain" else _PARSE) + _FILE.format(path=path, template=_TEMPLATES[job.work])
        actions = [_FORWARD.format(port=port) for port in ports[1:]] + [last]
        running = []
        for number, (port, action) in reversed(list(enumerate(zip(ports, actions, strict=True)))):
            reading = _INPUTS[job.transport].format(port=port)
            running.append(self._start_one(f"tier{number}", reading, action, folder))
            self._wait(port, job.transport, running, folder)
        command = "rsyslogd -n -f CONFIG: " + " → ".join(map(_shown, [_INPUTS[job.transport], *actions]))
        stats = folder / f"tier{job.tiers - 1}.stats"
        return Started(running, ports[0], lambda: processed(stats.read_text()) if stats.exists() else 0, [command])

    @staticmethod
    def _wait(port: int, transport: str, running: list[subprocess.Popen[bytes]], folder: Path) -> None:
        try:
            processes.wait_for_port(port, transport, running[-1], folder)
        except Missing:
            processes.stop(running)
            raise

    def _follower(self, job: Job, folder: Path) -> Started:
        """Start one that follows files and forwards by tcp, to one that is not measured."""
        port, root = processes.free_port(), logs.make(folder, job.containers)
        taking = _FILE.format(path="/dev/null", template="raw")
        sink = self._start_one("sink", _INPUTS["tcp"].format(port=port), taking, folder)
        stats = folder / "tier0.stats"
        try:
            processes.wait_for_port(port, "tcp", sink, folder)
            shipper = self._start_one("tier0", _FOLLOW.format(logs=root), _FORWARD.format(port=port), folder, raw=_LINE)
            processes.wait_for_file(stats, shipper, folder)
        except Missing:
            processes.stop([sink])
            raise
        return Started(
            [shipper], port, lambda: max(0, processed(stats.read_text()) - job.containers),
            [f"rsyslogd -n -f CONFIG: {_shown(_FOLLOW)} → {_shown(_FORWARD)}"], beside=[sink], logs=str(root),
        )  # fmt: skip

    def _start_one(
        self, name: str, reading: str, actions: str, folder: Path, *, raw: str = _RAW
    ) -> subprocess.Popen[bytes]:
        config = folder / f"{name}.conf"
        columns = ' constant(value=",") '.join(map(_column, samples.KEYS))
        config.write_text(
            _HEAD.format(
                folder=folder,
                name=name,
                columns=f'constant(value="{{") {columns} constant(value="}}\\n")',
                actions=actions,
                input=reading,
                raw=raw,
            )
        )
        return processes.start(
            [*self._command, "-n", "-f", str(config), "-i", str(folder / f"{name}.pid")], folder, self._environment
        )


def _column(key: str) -> str:
    path, name = "$!" + key.replace(".", "!"), key.split(".")[-1]
    return f'property(outname="{name}" name="{path}" format="jsonf")'


def _shown(part: str) -> str:
    match = re.search(r'type="(\w+)"', part)
    kinds = re.findall(r'type="(im\w+|mm\w+|om\w+)"', part)
    return " + ".join(kinds) if kinds else str(match)


def processed(stats: str) -> int:
    """Read the newest count of the action ``out`` from impstats' lines (a date, then JSON)."""
    for line in reversed(stats.splitlines()):
        at = line.find("{")
        if '"name": "out"' in line and line.endswith("}"):
            return int(json.loads(line[at:])["processed"])
    return 0

"""The rows of the table: what is sent, what is done with it, who takes part, and what Rutta promises."""

from typing import Final, Literal

from msgspec import Struct

from rutta_bench.model import Job, Load

Measure = Literal["throughput", "share", "idle", "targets"]
"""What counts in a row: events per CPU-second, percent of a core at a given rate, what doing nothing costs, or events
per CPU-second of targets that do different work, so that no ratio means anything."""


class Entry(Struct, frozen=True):
    """One participant of a row. ``less`` says what it leaves out that Rutta does, so that ratios can be read."""

    peer: str
    job: Job
    less: str = ""

    @property
    def label(self) -> str:
        """What the table calls it."""
        return f"{self.peer} ({self.less})" if self.less else self.peer


class Row(Struct, frozen=True, kw_only=True):
    """One line of the benchmark."""

    key: str
    title: str
    load: Load | None
    entries: tuple[Entry, ...]
    measure: Measure = "throughput"
    at_least: float = 0
    """Promised events per CPU-second, or percent of a core at most (``share``)."""
    times: float = 0
    """Promised ratio to the best peer that does the same work."""
    wall: bool = False
    """The promise is of events per second, not per CPU-second."""
    memory: int = 0
    """Promised peak memory, MiB."""
    beside: str = ""
    """The row whose cost per event and memory this one is compared with."""


_FLOOD: Final = Load()
_LESS: Final = "lines only, JSON not looked at"


def _entries(job: Job, *peers: str, less: bool = False) -> tuple[Entry, ...]:
    entries = tuple(Entry(peer, job) for peer in ("Rutta", *peers))
    plain = Job(transport=job.transport, work="plain", output=job.output, tiers=job.tiers)
    return (*entries, Entry("rsyslog", plain, _LESS)) if less else entries


_JSON: Final = Job()
_UDP: Final = Job(transport="udp")
_HTTP: Final = Job(transport="http")
_LOGS: Final = Job(transport="files", output="link", containers=100)
_NO_JSON: Final = "prefix cut at a fixed place, JSON not looked at"
_NO_STATE: Final = "no checkpoints, JSON not looked at"


def _followers(job: Job) -> tuple[Entry, ...]:
    return Entry("Rutta", job), Entry("rsyslog", job, _NO_JSON), Entry("otelcol", job, _NO_STATE)


ROWS: Final = (
    Row(
        key="json",
        title="tcp, JSON lines → JSON as it came, /dev/null",
        load=_FLOOD,
        entries=_entries(_JSON, "rsyslog", "syslog-ng", less=True),
        at_least=2e6,
        times=10,
    ),
    Row(
        key="json-file",
        title="tcp, JSON lines → JSON as it came, a file",
        load=Load(limit=6_000_000),
        entries=_entries(Job(output="file"), "rsyslog", "syslog-ng", less=True),
    ),
    Row(
        key="ten-columns",
        title="tcp, JSON lines → ten columns decoded and encoded again, /dev/null",
        load=_FLOOD,
        entries=_entries(Job(work="columns"), "rsyslog", "syslog-ng"),
        at_least=1e6,
        times=10,
    ),
    Row(
        key="v6",
        title="tcp, JSON lines → every key decoded, the v6 form written, /dev/null",
        load=_FLOOD,
        entries=_entries(Job(work="v6"), "rsyslog", "syslog-ng"),
    ),
    Row(
        key="plain",
        title="tcp, plain lines → plain lines, /dev/null",
        load=Load(shape="plain"),
        entries=_entries(Job(work="plain"), "rsyslog", "syslog-ng"),
        at_least=4e6,
        times=5,
    ),
    Row(
        key="udp",
        title="udp, one JSON event a datagram → JSON as it came, /dev/null",
        load=Load(transport="udp"),
        entries=_entries(_UDP, "rsyslog", "syslog-ng", less=True),
        at_least=3e5,
    ),
    Row(
        key="http",
        title="http, 100 JSON events a request, 8 connections → JSON as it came, /dev/null",
        load=Load(transport="http", chunk=27_700, connections=8),
        entries=_entries(_HTTP, "Logprep"),
        at_least=1e6,
    ),
    Row(
        key="chain",
        title="tcp → shipper → proxy → router → /dev/null (three processes; rsyslog: three, by tcp)",
        load=_FLOOD,
        entries=_entries(Job(tiers=3), "rsyslog"),
        at_least=1e6,
        wall=True,
    ),
    Row(
        key="connections-1",
        title="as json, 1 connection, 16 KiB a send",
        load=Load(chunk=16 << 10),
        entries=_entries(_JSON, "rsyslog"),
    ),
    Row(
        key="connections-1000",
        title="as json, 1 000 connections, 16 KiB a send",
        load=Load(chunk=16 << 10, connections=1000),
        entries=_entries(_JSON, "rsyslog"),
        beside="connections-1",
    ),
    Row(
        key="steady",
        title="10 000 events/s, flushed every 10 ms",
        load=Load(rate=10_000, chunk=27_700),
        entries=_entries(_JSON, "rsyslog", "syslog-ng"),
        measure="share",
        at_least=6,
        memory=64,
    ),
    Row(
        key="steady-lines",
        title="10 000 events/s, one line a send",
        load=Load(rate=10_000, chunk=1),
        entries=_entries(_JSON, "rsyslog", "syslog-ng"),
        measure="share",
    ),
    Row(
        key="steady-http",
        title="10 000 events/s by http, 100 a request",
        load=Load(transport="http", rate=10_000, chunk=27_700),
        entries=_entries(_HTTP, "Logprep"),
        measure="share",
    ),
    Row(
        key="idle",
        title="idle",
        load=None,
        entries=(*_entries(_JSON, "rsyslog", "syslog-ng"), Entry("Logprep", _HTTP)),
        measure="idle",
        memory=40,
    ),
    Row(
        key="logs",
        title="log files of 100 containers → link (rsyslog: tcp; otelcol: OTLP)",
        load=Load(transport="files", limit=2_000_000),
        entries=_followers(_LOGS),
        at_least=1e6,
    ),
    Row(
        key="logs-steady",
        title="10 000 lines/s from 100 containers, ten lines a write",
        load=Load(transport="files", rate=10_000, chunk=2_770),
        entries=_followers(_LOGS),
        measure="share",
        at_least=6,
        memory=64,
    ),
    Row(
        key="logs-idle",
        title="idle, 200 containers",
        load=None,
        entries=_followers(Job(transport="files", output="link", containers=200)),
        measure="idle",
        at_least=1,
    ),
    Row(
        key="influxdb",
        title="tcp, JSON lines → InfluxDB lines to a server that answers at once",
        load=_FLOOD,
        entries=_entries(Job(work="influx", output="http")),
    ),
)
TARGETS: Final = Row(
    key="targets",
    title="blocks of 1 MiB decoded and delivered by one target, to a server that answers at once, no listener",
    load=_FLOOD,
    entries=(),
    measure="targets",
)
"""One line per target instead of one per program; in ``noop`` events are checked and nothing else."""

BY_KEY: Final = {row.key: row for row in ROWS}

"""Target ``loki``: push events to Grafana Loki.

https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs. Delivered is what Loki took; what it ignores
of a request (too old, too far behind, too long) is rejected and counted, the rest is never sent again.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from rutta.loki import entries, requests
from rutta.loki.entries import METADATA_PATTERN, PATTERN, Codec, Entries, Rules
from rutta.loki.requests import Writer
from rutta.loki.sending import Sending
from rutta.loki.streams import SERVICE, Streams
from rutta.message import Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Client, Login
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

# A tenant may send 4 MB a second and 6 MB at once by default (ingestion_rate_mb, ingestion_burst_size_mb).
BATCH: Final = Gathering(max_events=10_000, max_bytes=2**20, max_delay=0.5)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:3100"}

_PATH: Final = "/loki/api/v1/push"
# https://grafana.com/docs/loki/latest/operations/multi-tenancy/
_TENANT: Final = r"^[a-zA-Z0-9!_.*'()-]{1,150}$"
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MOST_NAMES: Final = 15  # of a stream, by default; service_name is not counted


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Grafana Loki."""

    endpoint: Annotated[str, Meta(description=f"the server; {_PATH} is put behind it where it is missing")]
    tenant: Annotated[
        Annotated[str, Meta(pattern=_TENANT)] | None, Meta(description="tenant, sent as X-Scope-OrgID")
    ] = None
    labels: Annotated[
        tuple[Annotated[str, Meta(pattern=PATTERN)], ...],
        Meta(
            description="parts of an event that are labels: level, name, kind, context.KEY, fields.KEY; of few values"
        ),
    ] = ("level", "context.namespace", "context.container")
    fixed_labels: Annotated[dict[str, str], Meta(description="labels of every stream; an event's own win")] = {}
    service_name: Annotated[
        str, Meta(description="label service_name of events whose context names no service", min_length=1)
    ] = "rutta"
    structured_metadata: Annotated[
        tuple[Annotated[str, Meta(pattern=METADATA_PATTERN)], ...],
        Meta(description="parts of an event beside its line: traceId, spanId and those of labels; * is all it has"),
    ] = ("traceId", "spanId", "name", "context.pod", "context.node", "context.host")
    codec: Annotated[
        Codec,
        Meta(description="the line: ndjson is the event as it came, json the v6 form, logfmt and plain for people"),
    ] = "ndjson"
    encoding: Annotated[requests.Word, Meta(description="how requests are written: Protobuf (with snappy) or Json")] = (
        "Protobuf"
    )
    compression: Annotated[http_client.Compression, Meta(description="how requests of encoding Json are packed")] = (
        "Gzip"
    )
    streams_per_request: Annotated[
        Annotated[int, Meta(ge=1)],
        Meta(description="streams of one request; Loki reports what it ignored of the last one only"),
    ] = 1
    headers: Annotated[dict[str, Secret], Meta(description="headers of each request; values may be secrets")] = {}
    username: Annotated[str | None, Meta(description="user name of basic authentication")] = None
    password: Annotated[Secret | None, Meta(description="password of basic authentication")] = None
    bearer: Annotated[Secret | None, Meta(description="token, sent as `Authorization: Bearer`")] = None
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.bearer is not None and self.username is not None:
            raise ValueError("give either bearer or username and password")
        if self.compression == "Zstd":
            raise ValueError("Loki reads gzip only; set compression to Gzip or None")
        if wrong := [name for name in self.fixed_labels if not _NAME.fullmatch(name)]:
            raise ValueError(f"fixedLabels: {wrong[0]!r} is no name of a label: letters, digits and _, no digit first")
        names = [entries.named(part) for part in self.labels]
        if len({*names, SERVICE}) != len(names) + 1:
            raise ValueError(f"labels: two parts have the same name ({', '.join([SERVICE, *names])})")
        if len({*names, *self.fixed_labels} - {SERVICE}) > _MOST_NAMES:
            raise ValueError(f"Loki takes {_MOST_NAMES} labels of a stream; there are more in labels and fixedLabels")


def make(config: Config, name: str) -> "Loki":
    """Build the target; nothing is connected before ``send``."""
    return Loki(config)


class Loki:
    """Owns a pool of connections from ``open`` to ``close``."""

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._url = _url(config.endpoint)
        self._rules = Rules(config.labels, config.structured_metadata, config.codec)
        self._writer: Writer = (
            requests.Protobuf() if config.encoding == "Protobuf" else requests.Json(config.compression)
        )
        names = [SERVICE, *(entries.named(part) for part in config.labels)]
        streams = Streams(names, fixed=config.fixed_labels, service=config.service_name)
        self._entries = Entries(self._rules, streams, self._writer)
        self._headers = {"X-Scope-OrgID": config.tenant} if config.tenant else {}
        self._client = Client(
            endpoint=config.endpoint,
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            tls=config.tls,
            login=_login(config),
            headers=config.headers,
        )

    @property
    def columns(self) -> Columns:
        """What labels, metadata and the line read."""
        return entries.columns(self._rules)

    async def open(self) -> None:
        """Prepare the pool; whether Loki answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Push the events, a request for each stream; entries that Loki ignores are rejected, each with its words."""
        made = [entry for batch in batches for entry in self._entries.of(batch)]
        sending = Sending(self._client, self._url, self._writer, self._headers)
        return await sending.run(batches, made, streams=self._config.streams_per_request)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it pushes to, and how often which trouble was met."""
        return {"endpoint": http_client.place(self._url), "failures": dict(self._client.failures)}


def _url(endpoint: str) -> str:
    parts = http_client.endpoint(endpoint)
    path = parts.path.rstrip("/")
    return parts._replace(path=path if path.endswith(_PATH) else path + _PATH).geturl()


def _login(config: Config) -> Login | None:
    if config.bearer is not None:
        return Login("Bearer", config.bearer)
    if config.password is not None:
        return Login("Basic", config.password, config.username or "")
    return None

"""Target ``otlp``: send events to anything that takes OTLP, by HTTP or gRPC, as logs, metrics and traces.

https://opentelemetry.io/docs/specs/otlp/. Delivered is what the server answered success for; what it refuses in part
(``partial_success``) is counted as rejected and never sent again. ``jaeger://`` is this target: Jaeger takes OTLP.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from rutta import formats
from rutta.events.numbering import Numbering
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import grpc_client, http_client
from rutta.net.http_client import Client, Login
from rutta.otlp import exchange
from rutta.otlp.exchange import Exchange
from rutta.otlp.requests import Word
from rutta.otlp.sending import Sending
from rutta.otlp.sorting import Rules, Sorter
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

# Servers take 4 MiB by gRPC (grpc-go's default); as OTLP an event is about a quarter larger than its JSON.
BATCH: Final = Gathering(max_events=8192, max_bytes=2 * 2**20, max_delay=0.2)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:4318"}

_DEFAULT: Final = {"Http": "http://localhost:4318", "Grpc": "http://localhost:4317"}
_PATTERN: Final = r"^(name|level|kind|(fields|context)\..+)$"


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of an OTLP server."""

    endpoint: Annotated[
        str | None, Meta(description="the server; absent: http://localhost:4318, with Grpc http://localhost:4317")
    ] = None
    protocol: Annotated[Literal["Http", "Grpc"], Meta(description="Http: protobuf by OTLP/HTTP; Grpc: OTLP/gRPC")] = (
        "Http"
    )
    signals: Annotated[
        tuple[Word, ...], Meta(description="what is sent; events of another are rejected and counted", min_length=1)
    ] = ("Logs", "Metrics", "Traces")
    logs_path: Annotated[str, Meta(pattern="^/", description="Http: path of logs, behind the endpoint's")] = "/v1/logs"
    metrics_path: Annotated[str, Meta(pattern="^/", description="Http: path of metrics")] = "/v1/metrics"
    traces_path: Annotated[str, Meta(pattern="^/", description="Http: path of traces")] = "/v1/traces"
    headers: Annotated[
        dict[str, Secret], Meta(description="headers (Grpc: metadata) of each request; values may be secrets")
    ] = {}
    username: Annotated[str | None, Meta(description="user name of basic authentication")] = None
    password: Annotated[Secret | None, Meta(description="password of basic authentication")] = None
    bearer: Annotated[Secret | None, Meta(description="token, sent as `Authorization: Bearer`")] = None
    resource_attributes: Annotated[
        dict[str, str], Meta(description="attributes of every resource; those of an event win")
    ] = {}
    gauge_attributes: Annotated[
        tuple[Annotated[str, Meta(pattern=_PATTERN)], ...],
        Meta(description="parts of an event as attributes of the gauges that ride on it: level, fields.KEY, …"),
    ] = ()
    histograms: Annotated[
        Literal["Cumulative", "Delta"], Meta(description="whether a histogram counts since ever, or since the last")
    ] = "Cumulative"
    span_numbers: Annotated[
        Numbering,
        Meta(description="how senders count kinds and status codes of spans: Logary client 1, OpenTelemetry server 1"),
    ] = "Logary"
    compression: Annotated[Literal["None", "Gzip"], Meta(description="how requests are compressed")] = "Gzip"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="Http: longest time until connected")] = default(
        Duration, "10s"
    )
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        parts = http_client.endpoint(self.address)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.bearer is not None and self.username is not None:
            raise ValueError("give either bearer or username and password")
        if self.protocol == "Grpc":
            grpc_client.check_tls(self.tls)
            if parts.path.strip("/") or parts.query:
                raise ValueError("endpoint: gRPC has no paths; write it like http://host:4317")

    @property
    def address(self) -> str:
        """The endpoint, or the protocol's own."""
        return self.endpoint or _DEFAULT[self.protocol]


def make(config: Config, name: str) -> "Otlp":
    """Build the target; nothing is connected before ``send``."""
    if config.protocol == "Grpc":
        grpc_client.available("otlp with protocol Grpc", "grpc")
    return Otlp(config)


class Otlp:
    """Owns its connections from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._exchange = _exchange(config)
        self._warning = ""
        self._sorter = Sorter(
            Rules(
                frozenset(config.signals),
                config.resource_attributes,
                config.gauge_attributes,
                config.span_numbers,
                config.histograms,
            )
        )

    async def open(self) -> None:
        """Prepare the connections; whether the server answers is seen with the first send."""
        await self._exchange.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Send the events' records, one request for each signal, in halves while that is refused."""
        events = [event for batch in batches for event in formats.events(batch)]
        sending = Sending(self._exchange, batches, await self._sorter.sort(events))
        outcome = await sending.run()
        self._warning = sending.warning or self._warning
        return outcome

    async def close(self) -> None:
        """Close all connections."""
        await self._exchange.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it sends to, how often which trouble was met, and what the server last warned of."""
        found = {"endpoint": self._config.address, "failures": dict(self._exchange.failures)}
        return {**found, "warning": self._warning} if self._warning else found


def _exchange(config: Config) -> Exchange:
    login = _login(config)
    if config.protocol == "Grpc":
        return exchange.Grpc(
            config.address,
            timeout=config.timeout,
            tls=config.tls,
            compression=config.compression,
            headers=config.headers,
            login=login,
        )
    client = Client(
        endpoint=config.address,
        timeout=config.timeout,
        connect_timeout=config.connect_timeout,
        tls=config.tls,
        login=login,
        headers=config.headers,
    )
    return exchange.Http(client, _urls(config), compression=config.compression)


def _urls(config: Config) -> dict[Word, str]:
    """Put a signal's path behind the endpoint's; a query stays."""
    parts = http_client.endpoint(config.address)
    paths: dict[Word, str] = {"Logs": config.logs_path, "Metrics": config.metrics_path, "Traces": config.traces_path}
    return {word: parts._replace(path=parts.path.rstrip("/") + path).geturl() for word, path in paths.items()}


def _login(config: Config) -> Login | None:
    if config.bearer is not None:
        return Login("Bearer", config.bearer)
    if config.password is not None:
        return Login("Basic", config.password, config.username or "")
    return None

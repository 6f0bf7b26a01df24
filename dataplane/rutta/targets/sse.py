"""Target ``sse``: serve events to browsers, as server-sent events (``EventSource``).

Delivered means: put into the history, and given to each client that is connected and reads. Nobody has to listen: what
nobody reads is gone when the history is full, and no client can hold events up. This is for people who watch, not for
storing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs

from msgspec import Meta, Struct

from rutta import formats
from rutta.errors import ConfigError, Retry
from rutta.formats import Format
from rutta.message import Batch
from rutta.net import bindings, cors
from rutta.net.cors import Cors
from rutta.net.event_stream import History
from rutta.net.event_stream_server import StreamServer
from rutta.net.http_auth import Auth, Guard
from rutta.net.http_message import TEXT, Request, Response
from rutta.net.tls import Certificate
from rutta.settings import Duration, Port, Size, Tls, default
from rutta.targets import DELIVERED, Gathering, Outcome

BATCH: Final = Gathering(max_bytes=2**18, max_delay=0.05)
EXAMPLE: Final[Mapping[str, Any]] = {"bind": "127.0.0.1:0"}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of server-sent events."""

    bind: Annotated[str, Meta(description="addresses to listen on: host:port, host:port")] = "0.0.0.0:8080"
    ip: Annotated[str | None, Meta(description="address of bind, as the original's URIs say it")] = None
    port: Annotated[Port | None, Meta(description="port of bind, as the original's URIs say it")] = None
    path: Annotated[str, Meta(pattern="^/[^?#]*$", description="where the stream is")] = "/"
    cors: Annotated[bool, Meta(description="let pages of other origins read the stream")] = True
    origins: Annotated[
        tuple[str, ...], Meta(min_length=1, description="origins that may read it, as browsers write them; * is any")
    ] = ("*",)
    codec: Annotated[
        Literal["ndjson", "json"], Meta(description="data: ndjson is the event as it came, json always the v6 form")
    ] = "ndjson"
    history: Annotated[
        Size, Meta(description="bytes kept for clients that are slow or come back; who is further behind is left")
    ] = default(Size, "4Mi")
    max_clients: Annotated[int, Meta(ge=1, description="clients above this are refused")] = 1000
    heartbeat: Annotated[Duration, Meta(description="a comment is sent each time so much has passed")] = default(
        Duration, "5s"
    )
    auth: Annotated[Auth | None, Meta(description="who may read; absent: everybody")] = None
    tls: Annotated[Tls | None, Meta(description="TLS, and mTLS with clientCaFile; absent: clear text")] = None

    def __post_init__(self) -> None:
        """Reject bindings that are none, and a heart that never rests."""
        bindings.parse(self.address)
        if self.heartbeat < 0.05:
            raise ValueError("heartbeat is at least 50ms")

    @property
    def address(self) -> str:
        """Where to listen."""
        if self.ip is None and self.port is None:
            return self.bind
        host = self.ip or "0.0.0.0"  # noqa: S104 - the original's default
        return f"[{host}]:{self.port or 8080}" if ":" in host else f"{host}:{self.port or 8080}"


def make(config: Config, name: str) -> "Sse":
    """Build the target; it listens from ``open`` on."""
    return Sse(config, name)


class Sse:
    """Owns its sockets and clients from ``open`` to ``close``; the history is its own for ever."""

    def __init__(self, config: Config, name: str) -> None:
        """Take the settings."""
        self._config = config
        self._name = name
        self._format = Format(config.codec)
        self.columns = formats.columns_of(self._format)
        self._cors = Cors(enabled=config.cors, origins=config.origins)
        self._history = History(config.history)
        self._guard: Guard | None = None
        self._server: StreamServer | None = None
        self._bound: tuple[str, ...] = ()

    async def open(self) -> None:
        """Listen. ``Retry`` if an address, the certificate or a secret cannot be had now."""
        await self.close()
        config, name = self._config, self._name
        try:
            certificate = None if config.tls is None else Certificate(config.tls, listener=name)
            self._guard = None if config.auth is None else Guard(config.auth, listener=name)
            sockets = await bindings.bind(config.address, listener=name)
        except ConfigError as exc:
            raise Retry(f"{exc}.") from exc
        self._bound = tuple(map(bindings.shown, sockets))
        self._server = StreamServer(
            sockets,
            self._history,
            self._check,
            name=name,
            limit=config.max_clients,
            heartbeat=config.heartbeat,
            certificate=certificate,
        )
        self._server.start()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Give the events to all who listen."""
        if self._server is None:
            raise Retry("The server is not open.")
        for batch in batches:
            self._server.publish(formats.encode_lines(batch, self._format))
        await asyncio.sleep(0)  # clients are written to between two sends, however fast these follow
        return DELIVERED

    def _check(self, request: Request) -> Response | cors.Headers:
        """Say who may read what."""
        if request.path != self._config.path:
            return Response(404, b'"there is nothing here"')
        if request.method == "OPTIONS":
            return cors.preflight(self._cors, request, methods="GET") or Response(404, b'"no cross-origin requests"')
        shared = cors.headers(self._cors, request)
        if request.method not in ("GET", "HEAD"):
            return Response(405, b'"this is a stream to GET"', headers=(("Allow", "GET, HEAD"), *shared))
        if self._guard is not None and not self._guard.admits(_authorization(request)):
            challenge = ("WWW-Authenticate", self._guard.challenge)
            return Response(401, b"credentials are missing or wrong", TEXT, (challenge, *shared))
        return shared

    async def close(self) -> None:
        """End all streams and let go of the addresses; idempotent."""
        server, self._server = self._server, None
        if server is not None:
            await server.close()

    def status(self) -> Mapping[str, Any]:
        """Addresses and clients."""
        counts = self._server.status() if self._server is not None else {}
        return {"bound": list(self._bound), "tls": self._config.tls is not None, **counts}


def _authorization(request: Request) -> bytes:
    """The header, or the token of the query (RFC 6750 §2.3): ``EventSource`` cannot set headers."""
    token = parse_qs(request.query).get("access_token", [""])[0]
    return request.headers.get(b"authorization", b"") or b"Bearer " + token.encode()

"""Listener ``http``: one body is one input; ``POST`` to the path or to ``/i/logary``.

All events of a body are accepted (201 ``true``) or none is (400 and one JSON string that says why, or 413, 415, 503).
Answers in the order of requests; a client may send ahead.
"""

import asyncio
import socket
from collections.abc import Awaitable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from rutta.listeners import Intake
from rutta.message import Block, Failure, Receipt
from rutta.net import bindings, inflate
from rutta.net.cors import Cors, headers, preflight
from rutta.net.flow import room_within
from rutta.net.http_auth import Auth, Guard
from rutta.net.http_message import NO_MEMORY, TEXT, Request, Response
from rutta.net.http_server import HttpServer, Limits
from rutta.net.tls import Certificate
from rutta.settings import Duration, Size, Tls, default

ALWAYS: Final = "/i/logary"  # where the original's clients post, whatever the path is set to
RETRY_AFTER: Final = (("Retry-After", "2"),)

# Headers that become context of every event of a body, under these names.
CONTEXT: Final = (
    "cf-ipcountry", "cf-connecting-ip", "x-forwarded-for", "x-forwarded-proto", "forwarded", "user-agent",
)  # fmt: skip
_CONTEXT: Final = tuple((name.encode(), name) for name in CONTEXT)


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of an http listener."""

    bind: Annotated[str, Meta(description="addresses to listen on: host:port, host:port")]
    codec: Annotated[str, Meta(description="what a body is: json, plain, auto, syslog, log4jxml, binary")] = "json"
    strict: Annotated[bool, Meta(description="check every event against the schema")] = False
    path: Annotated[str, Meta(pattern="^/[^?#]*$", description="where to post, beside /i/logary")] = "/"
    acknowledge: Annotated[
        Literal["Accepted", "Delivered"],
        Meta(description="answer 201 when the events are queued, or when every target is done with them"),
    ] = "Accepted"
    acknowledge_timeout: Annotated[
        Duration, Meta(description="Delivered: answer 503 after this; the events may still be delivered")
    ] = default(Duration, "30s")
    max_wait: Annotated[Duration, Meta(description="how long a full queue holds a request up before 503")] = default(
        Duration, "1s"
    )
    max_body_bytes: Annotated[Size, Meta(description="largest body, also when decompressed; above: 413")] = default(
        Size, "16Mi"
    )
    max_in_flight_bytes: Annotated[Size, Meta(description="all bodies in memory together; above: 503")] = default(
        Size, "256Mi"
    )
    header_timeout: Annotated[Duration, Meta(description="time for a request's headers to arrive")] = default(
        Duration, "10s"
    )
    body_timeout: Annotated[Duration, Meta(description="time for a whole request to arrive")] = default(Duration, "60s")
    idle_timeout: Annotated[Duration, Meta(description="close a connection without a request after this")] = default(
        Duration, "75s"
    )
    max_connections: Annotated[int, Meta(ge=1, description="connections above this are refused")] = 10_000
    cors: Annotated[Cors, Meta(description="which pages in a browser may post")] = Cors()
    auth: Annotated[Auth | None, Meta(description="who may post; absent: everybody")] = None
    tls: Annotated[Tls | None, Meta(description="TLS, and mTLS with clientCaFile; absent: clear text")] = None
    reuse_port: Annotated[bool, Meta(description="share the port with other processes (SO_REUSEPORT)")] = False

    def __post_init__(self) -> None:
        """Reject bindings that are none."""
        bindings.parse(self.bind)


def make(config: Config, name: str) -> "Http":
    """Build the listener."""
    return Http(config, name)


class Http:
    """Owns its sockets and connections."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch nothing yet."""
        self.config = config
        self.name = name
        self._stopping = asyncio.Event()
        self._sockets: list[socket.socket] = []
        self._bound: tuple[str, ...] = ()
        self._guard: Guard | None = None
        self._certificate: Certificate | None = None
        self._server: HttpServer | None = None

    async def bind(self) -> Sequence[str]:
        """Read certificate and secrets, and bind all addresses."""
        config = self.config
        if config.tls is not None:
            self._certificate = Certificate(config.tls, listener=self.name)
        if config.auth is not None:
            self._guard = Guard(config.auth, listener=self.name)
        self._sockets = await bindings.bind(config.bind, listener=self.name, reuse_port=config.reuse_port)
        self._bound = tuple(map(bindings.shown, self._sockets))
        return self._bound

    async def serve(self, intake: Intake) -> None:
        """Serve until ``stop``; requests that have begun get their answers."""
        if self._stopping.is_set():
            bindings.close(self._sockets)
            return
        reception = _Reception(self.config, intake, self._guard)
        self._server = server = HttpServer(
            self._sockets,
            reception.handle,
            name=self.name,
            check=reception.check,
            limits=_limits(self.config),
            certificate=self._certificate,
        )
        reception.server = server
        server.start()
        try:
            await self._stopping.wait()
            await server.finish()
        finally:
            await server.close()

    def stop(self) -> None:
        """Accept nothing new; ``serve`` returns when all are answered."""
        self._stopping.set()
        if self._server is None:
            bindings.close(self._sockets)

    def status(self) -> Mapping[str, Any]:
        """Addresses, connections, requests."""
        counts = self._server.status() if self._server is not None else {}
        return {"bound": list(self._bound), "tls": self.config.tls is not None, **counts}


def _limits(config: Config) -> Limits:
    return Limits(
        body=config.max_body_bytes,
        bodies=config.max_in_flight_bytes,
        head_timeout=config.header_timeout,
        body_timeout=config.body_timeout,
        idle_timeout=config.idle_timeout,
        connections=config.max_connections,
    )


class _Reception:
    """Answers requests."""

    def __init__(self, config: Config, intake: Intake, guard: Guard | None) -> None:
        self._config = config
        self._intake = intake
        self._guard = guard
        self.server: HttpServer | None = None  # charged for what comes out of a compressed body
        self._full_since: float | None = None
        self._accepted = Response(201, b"true")
        self._context: tuple[tuple[bytes | None, ...], dict[str, str]] = ((), {})

    def check(self, request: Request) -> Response | None:
        """Refuse a POST that cannot be taken before its body is read."""
        if request.method != "POST" or request.path not in (self._config.path, ALWAYS):
            return None
        if self._guard is not None and not self._guard.admits(request.headers.get(b"authorization", b"")):
            return self._say(request, 401, "this needs credentials", (("WWW-Authenticate", self._guard.challenge),))
        coding = _coding(request)
        if coding and coding not in inflate.CODINGS:
            offer = (("Accept-Encoding", "gzip, deflate, zstd"),)
            return self._say(request, 415, f"the content encoding {coding} is not known here", offer)
        return self._busy(request) if self._long_full() else None

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        here = request.path == self._config.path
        if request.method == "POST" and (here or request.path == ALWAYS):
            return self._post(request)
        if request.method == "GET" and here:
            hint = f"This is Rutta. POST events to {self._config.path}\n"
            return Response(200, hint.encode(), TEXT)
        if request.method == "OPTIONS" and (answer := preflight(self._config.cors, request)) is not None:
            return answer
        return Response(404, b"false")

    def _post(self, request: Request) -> Response | Awaitable[Response]:
        if self._intake.full or self._config.acknowledge == "Delivered":
            return self._offer_later(request)
        body = self._body_of(request)
        return body if isinstance(body, Response) else self._answer(request, self._offer(request, body))

    def _body_of(self, request: Request) -> bytes | Response:
        """Decompress the body, or say why not. What comes out counts as held until the request has its answer."""
        coding, server = _coding(request), self.server
        if not coding:
            return request.body
        most = self._config.max_body_bytes
        room = most if server is None else min(most, max(0, server.limits.bodies - server.held))
        try:
            body = inflate.CODINGS[coding](request.body, room)
        except inflate.TooLarge:
            if room < most:
                return NO_MEMORY
            return self._say(request, 413, "the body is larger than maxBodyBytes when decompressed")
        except inflate.Broken as exc:
            self._intake.refuse("encoding")
            return self._say(request, 400, f"the body is not {coding}: {exc}")
        if server is not None:
            server.charge(request, len(body))
        return body

    def _offer(self, request: Request, body: bytes) -> Receipt:
        return self._intake.offer(Block(body, lines=False, atomic=True, context=self._context_of(request)))

    async def _offer_later(self, request: Request) -> Response:
        """Wait for room, offer, and wait for delivery if that is what 201 means here."""
        if not await room_within(self._intake, self._config.max_wait):
            return self._busy(request)
        self._full_since = None
        body = self._body_of(request)  # not before there is room: what waits stays compressed
        if isinstance(body, Response):
            return body
        receipt = self._offer(request, body)
        if self._config.acknowledge == "Delivered" and not receipt.failed:
            try:
                async with asyncio.timeout(self._config.acknowledge_timeout):
                    await receipt.wait()
            except TimeoutError:
                return self._say(request, 503, "the events are accepted but not delivered yet", RETRY_AFTER)
        return self._answer(request, receipt)

    def _answer(self, request: Request, receipt: Receipt) -> Response:
        if receipt.failed:
            return self._say(request, 400, complaint(receipt))
        return self._accepted._replace(headers=headers(self._config.cors, request))

    def _say(self, request: Request, status: int, text: str, more: Sequence[tuple[str, str]] = ()) -> Response:
        return Response(status, msgspec.json.encode(text), headers=(*headers(self._config.cors, request), *more))

    def _busy(self, request: Request) -> Response:
        return self._say(request, 503, "the queues are full; try again", RETRY_AFTER)

    def _long_full(self) -> bool:
        """Whether requests have waited in vain already: then the next one need not."""
        if not self._intake.full:
            self._full_since = None
            return False
        now = asyncio.get_running_loop().time()
        if self._full_since is None:
            self._full_since = now
        return now - self._full_since > self._config.max_wait

    def _context_of(self, request: Request) -> dict[str, str] | None:
        """Return the context of a request; clients send the same over and over, so the last one is kept."""
        found = request.headers
        values = tuple(found.get(key) for key, _ in _CONTEXT)
        if values != self._context[0]:
            context = {
                name: value.decode("utf-8", "replace")
                for (_, name), value in zip(_CONTEXT, values, strict=True)
                if value is not None
            }
            self._context = values, context
        return self._context[1] or None


def _coding(request: Request) -> str:
    coding = request.headers.get(b"content-encoding", b"").strip().lower().decode("latin-1")
    return "" if coding == "identity" else coding


def complaint(receipt: Receipt) -> str:
    """Say what was wrong with a body: ``Found N errors:`` and a line each, as the original said it."""
    lines = [f"Found {receipt.failed} error{'s' if receipt.failed != 1 else ''}:"]
    lines += [f"  {_placed(error)}" for error in receipt.errors]
    if receipt.failed > len(receipt.errors):
        lines.append(f"  … and {receipt.failed - len(receipt.errors)} more")
    return "\n".join(lines)


def _placed(failure: Failure) -> str:
    """Begin with the event's number in the body, unless the codec did."""
    if failure.message.startswith("["):
        return failure.message
    return f"[{failure.row}]{'' if failure.message.startswith('.') else ': '}{failure.message}"

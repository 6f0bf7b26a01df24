"""Target ``rabbitmq``: publish events to an exchange (AMQP 0-9-1), with publisher confirms.

All messages of a send are written at once and their confirms awaited together. What the broker refuses (nack) is tried
again; what no queue is bound for comes back and is rejected with the broker's words.
"""

import gzip
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from msgspec import Meta, Struct

from rutta import formats
from rutta.amqp import wire
from rutta.amqp.publisher import Address, Broken, Message, Publisher
from rutta.errors import ConfigError, Retry
from rutta.events.event import KINDS
from rutta.events.flat import shown
from rutta.formats import parts
from rutta.message import Batch, Columns
from rutta.net.splitting import Tally, deliver
from rutta.net.tls import client_context
from rutta.net.uri import split
from rutta.settings import ClientTls, Duration, Port, Secret, default
from rutta.targets import Gathering, Outcome

BATCH: Final = Gathering(max_events=5000, max_bytes=4 * 2**20, max_delay=0.02)
EXAMPLE: Final[Mapping[str, Any]] = {"hostname": "127.0.0.1"}

_TYPES: Final = {"ndjson": "application/json", "json": "application/json", "msgpack": "application/msgpack"}
_PART: Final = re.compile(r"\{(0|level|name|kind|(?:fields|context)\.[^{}]+)\}")


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of RabbitMQ."""

    hostname: Annotated[str, Meta(min_length=1, description="host of the broker")] = "localhost"
    port: Annotated[Port | None, Meta(description="port; absent: 5672, with tls 5671")] = None
    v_host: Annotated[str, Meta(description="virtual host")] = "/"
    username: Annotated[str, Meta(description="user name")] = "guest"
    password: Annotated[Secret | None, Meta(description="password; absent: guest")] = None
    exchange: Annotated[str, Meta(max_length=255, description="exchange to publish to")] = "logary"
    exchange_type: Annotated[
        Literal["topic", "direct", "fanout", "headers"], Meta(description="type of a declared exchange")
    ] = "topic"
    declare: Annotated[bool, Meta(description="declare the exchange, durable, before publishing")] = False
    topic: Annotated[str, Meta(description="routing key; {level} or {0}, {name}, {kind}, {fields.KEY}")] = "{level}"
    codec: Annotated[formats.Word, Meta(description="body: ndjson is the event as it came")] = "ndjson"
    headers: Annotated[dict[str, str], Meta(description="headers of every message")] = {}
    app_id: Annotated[str, Meta(description="property app-id")] = "logary"
    persistent: Annotated[bool, Meta(description="ask for messages to survive a restart")] = True
    mandatory: Annotated[bool, Meta(description="reject what no queue is bound for; else it is lost")] = True
    compression: Annotated[Literal["None", "Gzip"], Meta(description="how bodies are compressed")] = "None"
    heartbeat: Annotated[Duration, Meta(description="silence after which a peer is asked")] = default(Duration, "30s")
    timeout: Annotated[Duration, Meta(description="longest wait for all confirms")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until logged in")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="use TLS: whom to trust, what to show; may be empty")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        for word in re.findall(r"\{[^{}]*\}", self.topic):
            if not _PART.fullmatch(word):
                raise ValueError(f"topic has {word}; there are {{level}}, {{name}}, {{kind}}, {{fields.KEY}}")
        if not 1 <= self.heartbeat <= 3600:
            raise ValueError("heartbeat is between 1s and 1h")


def from_uri(uri: str) -> dict[str, Any]:
    """Take host, port and path (``rabbitmq://user:pass@broker:5672/vhost?exchange=logs``)."""
    parts = split(uri)
    found: dict[str, Any] = {}
    if parts.hostname not in (None, "."):
        found["hostname"] = parts.hostname
    if parts.port is not None:
        found["port"] = parts.port
    if len(parts.path) > 1:
        found["vHost"] = unquote(parts.path[1:])
    return found


def make(config: Config, name: str) -> "RabbitMq":
    """Build the target; nothing is connected before ``send``."""
    return RabbitMq(config)


class RabbitMq:
    """Owns a connection from the first ``send`` to ``close``; a broken one is made anew by the next send."""

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._format = formats.Format(config.codec)
        self._place = f"rabbitmq://{config.hostname}:{config.port or (5671 if config.tls is not None else 5672)}"
        self._common = wire.properties(
            content_type=_TYPES.get(config.codec, "text/plain; charset=utf-8"),
            encoding="gzip" if config.compression == "Gzip" else "",
            headers=config.headers,
            is_persistent=config.persistent,
            app_id=config.app_id,
        )
        pieces = _PART.split(config.topic)  # text, part, text, …
        self._texts = pieces[::2]
        self._words = ["level" if word == "0" else word for word in pieces[1::2]]
        self._is_deep = any("." in word for word in self._words)  # values that may be lists or objects
        self._publisher: Publisher | None = None
        self._failures: Counter[str] = Counter()

    async def open(self) -> None:
        """Do nothing yet; whether the broker answers is seen with the first send."""

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Publish the events; nacks are tried again, what came back is rejected."""
        largest = (await self._connected()).frame_max
        made = [message for batch in batches for message in self._messages(batch, largest)]
        tally = Tally(batches)
        return await deliver(tally, partial(self._post, made, tally))

    @property
    def columns(self) -> Columns:
        """What the format, the routing key and the properties are made of."""
        return formats.columns_of(self._format) | {"kind", "timestamp", *self._words}

    def _messages(self, batch: Batch, largest: int) -> list[Message]:
        config, common = self._config, self._common
        bodies: Sequence[bytes] = formats.encode_lines(batch, self._format)
        if config.compression == "Gzip":
            bodies = [gzip.compress(body, compresslevel=1, mtime=0) for body in bodies]
        write = partial(wire.publish, flags=common.flags, largest=largest, mandatory=config.mandatory)
        exchange = wire.short(config.exchange)
        ids = parts.ids(batch)
        return [
            Message(write(exchange, key, own, body), id_, key)
            for key, own, id_, body in zip(self._keys(batch), self._own(batch, ids), ids, bodies, strict=True)
        ]

    def _own(self, batch: Batch, ids: Sequence[bytes]) -> list[bytes]:
        """The properties of each message: id, time in seconds, kind."""
        before, after = self._common.before + b"\x18", self._common.after
        kinds = {kind: wire.short(kind) + after for kind in KINDS}
        times = [max(0, one // 10**9).to_bytes(8, "big") for one in parts.times(batch)]
        return [
            before + id_ + time + kinds[kind]
            for id_, time, kind in zip(ids, times, batch.rows.column("kind"), strict=True)
        ]

    def _keys(self, batch: Batch) -> Sequence[bytes]:
        """The routing keys; few are different, so each is written once."""
        known: dict[tuple[Any, ...], bytes] = {}
        if not self._words:
            return [wire.short("".join(self._texts))] * len(batch)
        rows = list(zip(*(parts.column(batch, word) for word in self._words), strict=True))
        shows = [tuple(map(_shown, row)) for row in rows] if self._is_deep else rows
        return [known.get(row) or known.setdefault(row, self._key(row)) for row in shows]

    def _key(self, values: Sequence[Any]) -> bytes:
        texts = [*map(_shown, values), ""]
        return wire.short("".join(text + value for text, value in zip(self._texts, texts, strict=True)))

    async def _post(self, made: Sequence[Message], tally: Tally, numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        publisher = await self._connected()
        confirmed = await publisher.publish([made[number] for number in numbers], self._config.timeout)
        for at, words in confirmed.returned.items():
            tally.reject([numbers[at]], f"{self._place} returned it: {words}.")
        if confirmed.nacked:
            self._failures["nack"] += len(confirmed.nacked)
            refused = [at for at in confirmed.nacked if at not in confirmed.returned]
            tally.retry([numbers[at] for at in refused], f"{self._place} refused it (nack).")
        if not confirmed.unknown or confirmed.broken is None:
            return ()
        return self._broken(confirmed.broken, [numbers[at] for at in confirmed.unknown], numbers, tally)

    def _broken(
        self, why: Broken, left: Sequence[int], numbers: Sequence[int], tally: Tally
    ) -> Sequence[Sequence[int]]:
        """Say what becomes of messages whose connection broke before they were confirmed."""
        self._failures[str(why.code or "connection")] += 1
        said = f"{self._place} {why.said}."
        if why.code == 406 and "larger than" in why.said:  # one of these is too large: which, halves will tell
            if len(left) == 1:
                tally.reject(left, said)
                return ()
            return [left[: len(left) // 2], left[len(left) // 2 :]]
        if len(left) == len(numbers):
            raise Retry(said)
        tally.retry(left, said)
        return ()

    async def _connected(self) -> Publisher:
        if self._publisher is not None and self._publisher.broken is None:
            return self._publisher
        await self.close()
        config = self._config
        declare = (config.exchange, config.exchange_type) if config.declare else None
        try:
            self._publisher = await Publisher.connect(self._address(), declare=declare)
        except Broken as exc:
            self._failures[str(exc.code or "connect")] += 1
            hint = "; check the credentials, they are read anew for each try" if exc.code == 403 else ""
            raise Retry(f"{self._place} {exc.said}{hint}.") from exc
        return self._publisher

    def _address(self) -> Address:
        config = self._config
        try:
            password = config.password.reveal() if config.password is not None else "guest"
        except ConfigError as exc:  # a file that is mounted later, or just being replaced
            raise Retry(f"{exc}.") from exc
        return Address(
            host=config.hostname,
            port=config.port or (5671 if config.tls is not None else 5672),
            vhost=config.v_host,
            username=config.username,
            password=password,
            context=client_context(config.tls) if config.tls is not None else None,
            heartbeat=round(config.heartbeat),
            timeout=config.connect_timeout,
        )

    async def close(self) -> None:
        """Say goodbye to the broker."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it publishes to, and how often which trouble was met."""
        return {"endpoint": f"{self._place}/{self._config.exchange}", "failures": dict(self._failures)}


def _shown(value: Any) -> str:
    return "" if value is None else shown(value)

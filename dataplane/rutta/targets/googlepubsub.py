"""Target ``googlepubsub``: publish events to a topic of Google Cloud Pub/Sub, by gRPC.

The protocol is google.pubsub.v1 (https://cloud.google.com/pubsub/docs/reference/rpc). A request is taken or refused as
a whole: one that is refused for what is in it is cut in halves until the bad message is alone.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from rutta import formats
from rutta.errors import Retry
from rutta.events.flat import shown
from rutta.formats import parts
from rutta.googlecloud import credentials
from rutta.googlecloud.credentials import Credentials
from rutta.message import Batch, Columns
from rutta.net import grpc_client, http_client, protobuf
from rutta.net.splitting import Tally, TooLarge, deliver
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

if TYPE_CHECKING:
    from grpc import aio

# Limits: https://cloud.google.com/pubsub/quotas#resource_limits
_AT_ONCE: Final = 1000
_LARGEST: Final = 10_000_000  # bytes of a request, and of a message
_VALUE: Final = 1024  # bytes of an attribute, and of an ordering key

BATCH: Final = Gathering(max_events=_AT_ONCE, max_bytes=4 * 2**20, max_delay=0.05)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:8085", "projectId": "my-project"}

_PATTERN: Final = r"^(name|level|kind|(fields|context)\..+)$"
_TOPIC, _MESSAGES, _DATA, _ATTRIBUTES, _ORDER = map(protobuf.tag_of, (1, 2, 1, 2, 5))
_KEY, _TEXT = protobuf.tag_of(1), protobuf.tag_of(2)
_SERVICE: Final = "/google.pubsub.v1.Publisher/"


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Google Pub/Sub."""

    project_id: Annotated[str | None, Meta(description="project; absent: the credentials' or the machine's")] = None
    topic: Annotated[str, Meta(pattern=r"^[a-zA-Z][a-zA-Z0-9._~+%-]{2,254}$", description="topic to publish to")] = (
        "logs"
    )
    try_create: Annotated[bool, Meta(description="create the topic when it is missing")] = True
    codec: Annotated[formats.Word, Meta(description="data: ndjson is the event as it came")] = "ndjson"
    attributes: Annotated[dict[str, str], Meta(description="attributes of every message")] = {}
    event_attributes: Annotated[
        tuple[Annotated[str, Meta(pattern=_PATTERN)], ...],
        Meta(description="parts as attributes: level, name, kind, fields.KEY, …"),
    ] = ()
    ordering_key: Annotated[
        Annotated[str, Meta(pattern=_PATTERN)] | None,
        Meta(description="part that orders messages: name, fields.KEY, …"),
    ] = None
    credentials: Annotated[Secret | None, Meta(description="key of a service account, as JSON")] = None
    endpoint: Annotated[str, Meta(description="the service; http:// is an emulator and needs no login")] = (
        "https://pubsub.googleapis.com"
    )
    compression: Annotated[Literal["None", "Gzip"], Meta(description="how requests are compressed")] = "None"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)
        grpc_client.check_tls(self.tls)
        if self.topic.startswith("goog"):
            raise ValueError("topic must not begin with goog: such names belong to Google")
        for name in self.attributes:
            if name.startswith("goog") or not name:
                raise ValueError(f"the attribute {name!r} belongs to Google; give it another name")


def make(config: Config, name: str) -> "PubSub":
    """Build the target; nothing is connected before ``send``."""
    credentials.available()
    grpc_client.available("googlepubsub", "googlecloud")
    return PubSub(config)


class PubSub:
    """Owns a channel and its credentials from ``open`` to ``close``."""

    def __init__(self, config: Config) -> None:
        """Take the settings; the variable that Google's own clients read for an emulator is read here, too."""
        self._config = config
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
        self._endpoint = f"http://{emulator}" if emulator else config.endpoint
        self._is_plain = self._endpoint.startswith("http://")
        self._format = formats.Format(config.codec)
        self._credentials = Credentials(config.credentials)
        self._channel: aio.Channel | None = None
        self._created: set[str] = set()
        self._failures: Counter[str] = Counter()

    @property
    def columns(self) -> Columns:
        """What the format, attributes and ordering keys are made of."""
        config = self._config
        own = {*config.event_attributes, *([config.ordering_key] if config.ordering_key else ())}
        return formats.columns_of(self._format) | own

    async def open(self) -> None:
        """Prepare the channel; whether the service answers is seen with the first send."""
        await self.close()
        await self._credentials.open()
        self._channel = grpc_client.channel(self._endpoint, self._config.tls)

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Publish the events; a message that the service finds invalid is rejected alone."""
        topic = f"projects/{await self._credentials.project(self._config.project_id)}/topics/{self._config.topic}"
        made = [message for batch in batches for message in self._messages(batch)]
        tally = Tally(batches)
        return await deliver(tally, partial(self._post, topic, made, tally), most=_AT_ONCE)

    def _messages(self, batch: Batch) -> list[bytes]:
        """Write each event as a field of a PublishRequest."""
        field, config = protobuf.field, self._config
        lines = formats.encode_lines(batch, self._format)
        rest = b"".join(_attribute(name, text) for name, text in config.attributes.items())
        if not config.event_attributes and config.ordering_key is None:
            return [field(_MESSAGES, field(_DATA, line) + rest) for line in lines]
        tails = [rest] * len(lines)
        for column in config.event_attributes:
            name = column.partition(".")[2] or column
            tails = [
                tail if value is None else tail + _attribute(name, shown(value))
                for tail, value in zip(tails, parts.column(batch, column), strict=True)
            ]
        if config.ordering_key is not None:
            keys = parts.column(batch, config.ordering_key)
            tails = [
                tail if key is None else tail + field(_ORDER, _cut(shown(key)))
                for tail, key in zip(tails, keys, strict=True)
            ]
        return [field(_MESSAGES, field(_DATA, line) + tail) for line, tail in zip(lines, tails, strict=True)]

    async def _post(self, topic: str, made: Sequence[bytes], tally: Tally, numbers: Sequence[int]) -> Sequence[Any]:
        import grpc

        body = b"".join([protobuf.field(_TOPIC, topic.encode()), *[made[number] for number in numbers]])
        if len(body) > _LARGEST:
            raise TooLarge(f"The message has {len(body)} bytes; Pub/Sub takes {_LARGEST}.")
        try:
            await self._call("Publish", body)
            self._created.discard(topic)
        except grpc.aio.AioRpcError as exc:
            if exc.code() == grpc.StatusCode.NOT_FOUND and self._config.try_create:
                if topic in self._created:  # it is on its way to all of the service
                    raise Retry(f"The topic {topic} was missing and is created.") from exc
                await self._create(topic)
                return [numbers]
            if exc.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise self._retry(topic, exc) from exc
            self._failures["INVALID_ARGUMENT"] += 1
            middle = len(numbers) // 2
            if middle:
                return [numbers[:middle], numbers[middle:]]
            tally.reject(numbers, self._words(topic, exc))
        return ()

    async def _call(self, method: str, body: bytes) -> None:
        """Call a method; the answer holds nothing that is wanted. Raises ``AioRpcError`` and ``Retry``."""
        if self._channel is None:
            raise Retry("The gRPC client is not open.")
        has_login = self._config.credentials is not None or not self._is_plain
        metadata = (("authorization", f"Bearer {await self._credentials.token()}"),) if has_login else ()
        call = self._channel.unary_unary(_SERVICE + method)
        packed = grpc_client.compression(self._config.compression)
        await call(body, timeout=self._config.timeout, metadata=metadata, compression=packed)

    async def _create(self, topic: str) -> None:
        import grpc

        try:
            await self._call("CreateTopic", protobuf.field(_TOPIC, topic.encode()))
        except grpc.aio.AioRpcError as exc:
            if exc.code() != grpc.StatusCode.ALREADY_EXISTS:
                words = self._words(topic, exc)
                raise Retry(f"The topic {topic} is missing and cannot be created ({words}); create it.") from exc
        self._created.add(topic)

    def _retry(self, topic: str, exc: "aio.AioRpcError") -> Retry:
        word = exc.code().name
        self._failures[word] += 1
        hint = ""
        if word == "UNAUTHENTICATED":
            self._credentials.forget()
        if word in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            hint = " Check the credentials and their role (roles/pubsub.publisher)."
        return Retry(self._words(topic, exc) + hint, after=_delay(exc))

    def _words(self, topic: str, exc: "aio.AioRpcError") -> str:
        details = " ".join((exc.details() or "").split())[:200]
        return self._credentials.hide(f"{topic} at {self._endpoint} answered {exc.code().name}: {details}.")

    async def close(self) -> None:
        """Close the channel."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
        await self._credentials.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it publishes to, and how often which trouble was met."""
        return {"endpoint": f"{self._endpoint} {self._config.topic}", "failures": dict(self._failures)}


def _attribute(name: str, text: str) -> bytes:
    return protobuf.field(_ATTRIBUTES, protobuf.field(_KEY, name.encode()[:256]) + protobuf.field(_TEXT, _cut(text)))


def _cut(text: str) -> bytes:
    """Encode, at most as long as may be, cut at a character."""
    data = text.encode(errors="replace")
    return data if len(data) <= _VALUE else data[:_VALUE].decode(errors="ignore").encode()


def _delay(exc: "aio.AioRpcError") -> float | None:
    """How long the service asks to wait (google.rpc.RetryInfo in the trailers), in seconds."""
    for key, value in exc.trailing_metadata() or ():
        if key == "google.rpc.retryinfo-bin" and isinstance(value, bytes):
            delay = protobuf.numbers(value).get(1)
            if isinstance(delay, bytes):
                found = protobuf.numbers(delay)
                return float(int(found.get(1, 0)) + int(found.get(2, 0)) / 1e9)
    return None

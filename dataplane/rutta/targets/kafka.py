"""Target ``kafka``: write events as records, with librdkafka (package confluent-kafka).

All records of a send are queued at once and awaited together; the producer is idempotent. Each record fails by itself:
one that is too large or that the broker finds invalid is rejected, what the broker could not take now is tried again.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from rutta import formats
from rutta.errors import ConfigError, Retry
from rutta.kafka import topics
from rutta.kafka.records import Record, Shape, records
from rutta.kafka.sender import Sender
from rutta.message import Batch, Columns
from rutta.net.splitting import Tally, deliver
from rutta.net.uri import split
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

BATCH: Final = Gathering(max_events=10_000, max_bytes=8 * 2**20, max_delay=0.02)
EXAMPLE: Final[Mapping[str, Any]] = {"bootstrapServers": "127.0.0.1:9092"}
URI_REST: Final = "producer"

_COLUMN: Final = r"^(Id|None|name|level|kind|(fields|context)\..+)$"
_MECHANISMS: Final = {"Plain": "PLAIN", "ScramSha256": "SCRAM-SHA-256", "ScramSha512": "SCRAM-SHA-512"}
_OURS: Final = ("schema.registry", "json", "noJsonSchema", "prodConfFile")
_OF_BATCHES: Final = ("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD", "INVALID_TIMESTAMP")


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Kafka."""

    bootstrap_servers: Annotated[str, Meta(min_length=1, description="brokers to ask first, with commas")] = (
        "broker-kafka-bootstrap.kafka.svc:9092"
    )
    topic_name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]{1,230}$", description="topic, or how topics begin")] = (
        "logary"
    )
    single_topic: Annotated[bool, Meta(description="one topic; otherwise topicName_event, _gauge, _span, …")] = False
    try_create: Annotated[bool, Meta(description="create topics that are missing")] = True
    partitions: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="of created topics")] = None
    replication_factor: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="of created topics")] = None
    codec: Annotated[formats.Word, Meta(description="value: ndjson is the event as it came")] = "ndjson"
    key: Annotated[str, Meta(pattern=_COLUMN, description="Id, None, name, level, kind, fields.KEY, context.KEY")] = (
        "Id"
    )
    headers: Annotated[dict[str, str], Meta(description="headers of every record")] = {}
    event_headers: Annotated[
        tuple[Annotated[str, Meta(pattern=_COLUMN)], ...], Meta(description="parts of events as headers: see key")
    ] = ()
    schema_id: Annotated[
        Annotated[int, Meta(ge=0, le=2**31 - 1)] | None, Meta(description="put Confluent's framing before each value")
    ] = None
    compression: Annotated[
        Literal["None", "Gzip", "Snappy", "Lz4", "Zstd"], Meta(description="how batches are compressed")
    ] = "Snappy"
    batch_size: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="records awaited together")] = None
    username: Annotated[str | None, Meta(description="SASL: user name")] = None
    password: Annotated[Secret | None, Meta(description="SASL: password")] = None
    sasl_mechanism: Annotated[Literal["Plain", "ScramSha256", "ScramSha512"], Meta(description="SASL: how")] = (
        "ScramSha512"
    )
    timeout: Annotated[Duration, Meta(description="longest time until a record is acknowledged")] = default(
        Duration, "30s"
    )
    tls: Annotated[ClientTls | None, Meta(description="use TLS: whom to trust, what to show; may be empty")] = None
    producer: Annotated[dict[str, Secret], Meta(description="librdkafka's own keys, over all others")] = {}

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if "Id" in self.event_headers or "None" in self.event_headers:
            raise ValueError("eventHeaders are name, level, kind, fields.KEY or context.KEY")
        if self.timeout < 1:
            raise ValueError("timeout is at least 1s")
        for key in self.producer:
            if key.startswith(_OURS):
                raise ValueError(
                    f"{key} is not known: events are neither checked nor registered; for Confluent's framing set "
                    "schemaId to the number of a schema that is registered"
                )


def from_uri(uri: str) -> dict[str, Any]:
    """Take host and port, if there are any, as the first broker (``kafka://broker:9092?topicName=logs``)."""
    parts = split(uri)
    host = parts.netloc.rpartition("@")[2]
    return {} if host in ("", ".") else {"bootstrapServers": host}


def make(config: Config, name: str) -> "Kafka":
    """Build the target; nothing is connected before ``send``. ``ConfigError`` if librdkafka refuses a key."""
    try:
        from confluent_kafka import KafkaException, Producer
    except ModuleNotFoundError as exc:
        raise ConfigError(
            "the target kafka needs the Python package confluent-kafka; install the extra: rutta[kafka]"
        ) from exc
    plain = {key: value.reveal() for key, value in config.producer.items() if _stands_here(key, value)}
    try:
        Producer({**plain, "log_level": 0}).close()  # it has no brokers, and connects nowhere
    except KafkaException as exc:
        raise ConfigError(f"producer: {exc.args[0].str()}") from exc
    return Kafka(config)


def _stands_here(key: str, value: Secret) -> bool:
    """Whether a key of librdkafka can be judged now: not a file that comes later, nor brokers, nor a secret."""
    return "(***)" in repr(value) and key.partition(".")[0] not in ("ssl", "sasl", "bootstrap", "metadata", "log_level")


class Kafka:
    """Owns a producer and its thread from ``open`` to ``close``."""

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._shape = Shape(
            topic=config.topic_name,
            single=config.single_topic,
            format=formats.Format(config.codec),
            key=config.key,
            headers=config.headers,
            event_headers=config.event_headers,
            prefix=b"" if config.schema_id is None else b"\0" + config.schema_id.to_bytes(4, "big"),
        )
        self._sender = Sender(partial(_settings, config), self._prepare)
        self._uncreated = ""
        self._failures: Counter[str] = Counter()

    @property
    def columns(self) -> Columns:
        """What the format, the topics, keys and headers are made of."""
        return self._shape.columns

    async def open(self) -> None:
        """Start the producer's thread; whether brokers answer is seen with the first send."""
        await self._sender.open()

    def _prepare(self, producer: "Producer", stopped: Callable[[], bool]) -> None:
        config = self._config
        if config.try_create:
            self._uncreated = topics.ensure(
                producer,
                stopped,
                settings=_for_admin(_settings(config)),
                topics=self._shape.topics(),
                partitions=config.partitions or -1,
                replication=config.replication_factor or -1,
            )

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Write the events; what one record is refused for is that record's outcome only."""
        made = [record for batch in batches for record in records(batch, self._shape)]
        tally = Tally(batches)
        return await deliver(tally, partial(self._post, made, tally), most=self._config.batch_size)

    async def _post(self, made: Sequence[Record], tally: Tally, numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        failed = await self._sender.send([made[number] for number in numbers])
        if not failed:
            return ()
        self._failures.update(error.name() for error in failed.values())
        local, bad, later = _sorted(failed)
        for at in local:
            tally.reject([numbers[at]], self._why(made[numbers[at]], failed[at]))
        if len(later) == len(numbers):
            raise Retry(self._why(made[numbers[0]], failed[later[0]]))
        for at in later:
            tally.retry([numbers[at]], self._why(made[numbers[at]], failed[at]))
        if len(bad) == 1:
            tally.reject([numbers[bad[0]]], self._why(made[numbers[bad[0]]], failed[bad[0]]))
            return ()
        middle = len(bad) // 2
        return [[numbers[at] for at in half] for half in (bad[:middle], bad[middle:]) if half]

    def _why(self, record: Record, error: "KafkaError") -> str:
        more = "; ".join(filter(None, (error.str(), self._sender.trouble, self._uncreated)))
        return self._hide(f"Kafka did not take a record for {record[0]}: {more}.")

    def _hide(self, text: str) -> str:
        """Take secrets out of what the client says; they may stand in a value that it finds wrong."""
        for key, value in _settings(self._config).items():
            if "password" in key and isinstance(value, str) and value:
                text = text.replace(value, "***")
        return text

    async def close(self) -> None:
        """Throw away what is not sent, stop the thread."""
        await self._sender.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it writes to, and how often which trouble was met."""
        return {"endpoint": self._config.bootstrap_servers, "failures": dict(self._failures)}


def _sorted(failed: Mapping[int, "KafkaError"]) -> tuple[list[int], list[int], list[int]]:
    """Sort failures: refused by the client itself; of a request of which one record was bad; to be tried again."""
    found: tuple[list[int], list[int], list[int]] = ([], [], [])
    for number, error in sorted(failed.items()):
        is_local = error.str().startswith("Unable to produce")
        found[
            0 if is_local and error.name() == "MSG_SIZE_TOO_LARGE" else 1 if error.name() in _OF_BATCHES else 2
        ].append(number)
    return found


def _settings(config: Config) -> dict[str, Any]:
    """The settings of librdkafka, secrets read now."""
    found: dict[str, Any] = {
        "bootstrap.servers": config.bootstrap_servers,
        "client.id": "logary",
        "enable.idempotence": True,
        "compression.type": config.compression.lower(),
        "message.timeout.ms": int(config.timeout * 1000),
        "socket.connection.setup.timeout.ms": int(min(config.timeout, 10) * 1000),
        "queue.buffering.max.messages": 100_000,
        "queue.buffering.max.kbytes": 64 * 2**10,
        "linger.ms": 5,
        "delivery.report.only.error": True,
        "enable.metrics.push": False,
        "log.connection.close": False,
    }
    tls = config.tls
    if tls is not None:
        files = {
            "ssl.ca.location": tls.ca_file,
            "ssl.certificate.location": tls.cert_file,
            "ssl.key.location": tls.key_file,
        }
        found |= {key: value for key, value in files.items() if value}
        found["enable.ssl.certificate.verification"] = not tls.insecure_skip_verify
    if config.password is not None:
        found |= {
            "sasl.mechanism": _MECHANISMS[config.sasl_mechanism],
            "sasl.username": config.username,
            "sasl.password": config.password.reveal(),
        }
    found["security.protocol"] = f"{'sasl_' if config.password else ''}{'ssl' if tls is not None else 'plaintext'}"
    return found | {key: value.reveal() for key, value in config.producer.items()}


_OF_PRODUCERS: Final = (
    "enable.idempotence", "compression.type", "message.timeout.ms", "queue.buffering.max.messages",
    "queue.buffering.max.kbytes", "linger.ms", "delivery.report.only.error",
)  # fmt: skip


def _for_admin(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _OF_PRODUCERS}

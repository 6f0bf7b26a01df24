"""The services that targets send to, reduced to their word for "taken": a table by the target's name.

A target that is not in it has a note in the results, and a test of the benchmark fails for it. Settings are the
target's own ``EXAMPLE`` with the server's address in it; an entry names only what differs. The answers are those of the
stand-ins in ``tests/dataplane/targets``, whose docstrings name the documents.
"""

import gzip
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
import zstandard

Kind = Literal["http", "grpc", "amqp", "none"]


class Answer(NamedTuple):
    """Status, body and type of an answer by HTTP."""

    status: int = 200
    body: bytes = b""
    media: str = "application/json"


class Instant(NamedTuple):
    """How a target is measured: against what, with which settings beside its example's, or why it is not."""

    kind: Kind = "none"
    answer: Callable[[bytes], Answer] = lambda _body: Answer(204)
    settings: Mapping[str, Any] = {}
    port_setting: str = ""
    """The setting that holds the port, where the example has no ``endpoint``."""
    remark: str = ""
    """What a reader must know of how it was measured."""
    note: str = ""
    """Why it is not measured."""


def plain(body: bytes, encoding: str) -> bytes:
    """Undo a ``Content-Encoding``."""
    if encoding == "gzip":
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompressobj().decompress(body) if encoding == "zstd" else body


def _always(status: int, body: bytes = b"", media: str = "application/json") -> Callable[[bytes], Answer]:
    answer = Answer(status, body, media)
    return lambda _body: answer


def _tracked(body: bytes) -> Answer:
    count = body.count(b"\n") + 1
    return Answer(body=b'{"itemsReceived":%d,"itemsAccepted":%d,"errors":[]}' % (count, count))


def _bulk(body: bytes) -> Answer:
    """Items as ``filter_path`` leaves them: a status for each document, of which each has two lines."""
    items = b",".join([b'{"create":{"status":201}}'] * (body.count(b"\n") // 2))
    return Answer(body=b'{"errors":false,"items":[' + items + b"]}")


def _messages(body: bytes) -> Answer:
    count = len(msgspec.json.decode(body, type=list[msgspec.Raw]))
    return Answer(body=b"[" + b",".join([b'{"statusCode":201,"location":null}'] * count) + b"]")


def _imported(body: bytes) -> Answer:
    count = len(msgspec.json.decode(body, type=list[msgspec.Raw]))
    return Answer(body=b'{"code":200,"num_records_imported":%d,"status":"OK"}' % count)


_CHAIN: Final = Instant(note="measured by the row chain, with what takes it")
_NOWHERE: Final = {"path": "/dev/null"}

INSTANTS: Final[Mapping[str, Instant]] = {
    "aliyun": Instant("http", _always(200)),
    "applicationinsights": Instant(
        "http", _tracked, {"connectionString": "InstrumentationKey=00000000-0000-4000-8000-000000000000"}
    ),
    "bigquery": Instant("http", _always(200, b"{}")),
    "console": Instant(remark="its stream is /dev/null"),
    "elasticsearch": Instant("http", _bulk),
    "elmahio": Instant("http", _messages),
    "file": Instant(settings=_NOWHERE, remark="its path is /dev/null"),
    "googlepubsub": Instant("grpc"),
    "http": Instant("http"),
    "influxdb": Instant("http"),
    "kafka": Instant(
        settings={"producer": {"test.mock.num.brokers": "1"}, "tryCreate": False},
        remark="librdkafka's mock broker is within its process: the broker's cost is in it",
    ),
    "link": _CHAIN,
    "loki": Instant("http"),
    "mixpanel": Instant("http", _imported),
    "noop": Instant(),
    "opsgenie": Instant("http", _always(202, b'{"result":"Request will be processed","took":0.1,"requestId":"1"}')),
    "otlp": Instant("http", _always(200, media="application/x-protobuf")),
    "rabbitmq": Instant(
        "amqp", port_setting="port", remark="a script of a broker confirms at once all that it has read"
    ),
    "shipper": _CHAIN,
    "sse": Instant(remark="no client listens"),
    "stackdriver": Instant("http", _always(200, b"{}"), {"maxAge": "0s"}),  # the events are of September 2026
}


def of(name: str) -> Instant:
    """Return how a target is measured; one that nobody has thought of is not, and says so."""
    return INSTANTS.get(name) or Instant(note="no instant server for it: name it in bench/rutta_bench/instants.py")


def settings(name: str, example: Mapping[str, Any], port: int) -> dict[str, Any]:
    """Return the settings of a target for its server on ``port``; secrets of the environment are a word."""
    instant = of(name)
    made = {key: _shown(value) for key, value in example.items()}
    if "endpoint" in made:
        scheme, _, rest = made["endpoint"].partition("://")
        made["endpoint"] = f"{scheme}://127.0.0.1:{port}/{rest.partition('/')[2]}".rstrip("/")
    if instant.port_setting:
        made[instant.port_setting] = port
    return {**made, **instant.settings}


def _shown(value: Any) -> Any:
    return "benchmark" if isinstance(value, Mapping) and "env" in value else value

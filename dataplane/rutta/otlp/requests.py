"""The three signals: how their requests are put together, and what the answers say.

A request holds resources, each with scopes, each with records; events of one send are sorted into these.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from rutta.net import protobuf
from rutta.net.protobuf import field, tag_of
from rutta.otlp.metrics import Point
from rutta.otlp.values import encoded

Word = Literal["Logs", "Metrics", "Traces"]

_RESOURCES, _RESOURCE, _SCOPES, _SCOPE, _RECORD, _NAME = map(tag_of, (1, 1, 2, 1, 2, 1))


class Signal(NamedTuple):
    """One of the three: the method of its gRPC service, and what its records are called."""

    word: Word
    method: str
    records: str


_SERVICE: Final = "/opentelemetry.proto.collector."
LOGS: Final = Signal("Logs", f"{_SERVICE}logs.v1.LogsService/Export", "log records")
METRICS: Final = Signal("Metrics", f"{_SERVICE}metrics.v1.MetricsService/Export", "data points")
TRACES: Final = Signal("Traces", f"{_SERVICE}trace.v1.TraceService/Export", "spans")


class Record(NamedTuple):
    """A log record or span, or a metric's data points, with the resource and scope (its logger) that it belongs to."""

    resource: bytes
    scope: str
    data: bytes | Sequence[Point]


def request(records: Iterable[Record]) -> bytes:
    """Write an Export…ServiceRequest."""
    resources: dict[bytes, dict[str, list[bytes | Sequence[Point]]]] = {}
    for resource, scope, data in records:
        scopes = resources.get(resource)
        if scopes is None:
            scopes = resources[resource] = {}
        if scope in scopes:
            scopes[scope].append(data)
        else:
            scopes[scope] = [data]
    found = []
    for resource, scopes in resources.items():
        parts = [field(_RESOURCE, resource)]
        parts += [field(_SCOPES, _scope(name) + _records(several)) for name, several in scopes.items()]
        found.append(field(_RESOURCES, b"".join(parts)))
    return b"".join(found)


@lru_cache(maxsize=4096)
def _scope(name: str) -> bytes:
    return field(_SCOPE, field(_NAME, encoded(name))) if name else b""


def _records(several: Sequence[bytes | Sequence[Point]]) -> bytes:
    parts: list[bytes] = []
    metrics: dict[bytes, list[Point]] = {}
    for data in several:
        if isinstance(data, bytes):
            parts += (_RECORD, protobuf.length(len(data)), data)
        else:
            for point in data:
                metrics.setdefault(point.head, []).append(point)
    for head, points in metrics.items():
        parts.append(field(_RECORD, points[0].wrap(head, [point.data for point in points])))
    return b"".join(parts)


class Partial(NamedTuple):
    """How many records of a request were refused, and why; or, with none refused, a warning."""

    rejected: int = 0
    message: str = ""


def partial_success(answer: bytes) -> Partial:
    """Read an Export…ServiceResponse. One that is none says nothing: the request was taken."""
    inner = protobuf.numbers(answer).get(1)
    found: Mapping[int, int | bytes] = protobuf.numbers(inner) if isinstance(inner, bytes) else {}
    rejected, message = found.get(1), found.get(2)
    return Partial(
        rejected if isinstance(rejected, int) and rejected < 2**63 else 0,
        message.decode(errors="replace") if isinstance(message, bytes) else "",
    )


class Status(NamedTuple):
    """What a google.rpc.Status says: a text, and how long to wait (seconds) if it holds a RetryInfo."""

    message: str = ""
    after: float | None = None


def status(data: bytes) -> Status:
    """Read the Status of a failed request (https://github.com/googleapis/googleapis/blob/master/google/rpc)."""
    message, after = "", None
    try:
        for number, value in protobuf.fields(data):
            if number == 2 and isinstance(value, bytes):
                message = value.decode()
            elif number == 3 and isinstance(value, bytes):
                after = _retry_info(protobuf.numbers(value)) if after is None else after
    except ValueError:  # no Status: a proxy's page, or cut off
        return Status()
    return Status(message, after)


def _retry_info(detail: Mapping[int, int | bytes]) -> float | None:
    kind, value = detail.get(1), detail.get(2)
    if not isinstance(kind, bytes) or not kind.endswith(b"/google.rpc.RetryInfo") or not isinstance(value, bytes):
        return None
    delay = protobuf.numbers(value).get(1, b"")
    found = protobuf.numbers(delay) if isinstance(delay, bytes) else {}
    seconds, nanos = found.get(1, 0), found.get(2, 0)
    return seconds + nanos / 1e9 if isinstance(seconds, int) and isinstance(nanos, int) else None

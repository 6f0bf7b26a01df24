"""The events that are sent: distinct, of one length, built before the clock starts."""

from collections.abc import Callable, Iterator
from typing import Final

from rutta_bench.model import Shape

SIZE: Final = 277  # bytes of an event and its line feed, the length that the design's prototypes were measured with

_BEGAN: Final = 1_790_000_000_000_000_000
_HOSTS: Final = ("web-01", "web-02", "web-03", "web-04", "web-05", "web-06", "web-07")
_REGIONS: Final = ("eu-n1", "eu-w3", "us-e2", "ap-s1")
_LEVELS: Final = ("debug", "info", "info", "info", "warn", "error")
_PATHS: Final = ("orders", "basket", "search", "health", "users.", "prices")

COLUMNS: Final = (
    "level",
    "name",
    "timestamp",
    "text",
    "fields.orderId",
    "fields.userId",
    "fields.amount",
    "fields.status",
    "fields.elapsed",
    "fields.region",
)
"""The ten columns of the row ``ten-columns``, as Rutta names them."""

KEYS: Final = (
    "level",
    "name",
    "timestamp",
    "event",
    "fields.orderId",
    "fields.userId",
    "fields.amount",
    "fields.status",
    "fields.elapsed",
    "fields.region",
)
"""The same ten as they stand in the JSON."""


def events(shape: Shape, count: int) -> Iterator[bytes]:
    """Yield ``count`` distinct events of ``SIZE`` bytes, each with its line feed."""
    make: Callable[[int], str] = _plain if shape == "plain" else _json
    for number in range(count):
        yield make(number).encode() + b"\n"


def _json(number: int) -> str:
    """One event of the v6 schema; what varies in length is filled up in its text."""
    start = (
        f'{{"type":"event","level":"{_LEVELS[number % 6]}","name":["Shop","Web","Checkout"],'
        f'"timestamp":{_BEGAN + number * 1_000_003},"context":{{"host":"{_HOSTS[number % 7]}"}},'
        f'"fields":{{"orderId":{10_000_000 + number},"userId":"u-{number * 7919 % 1_000_000:06}",'
        f'"amount":{100 + number % 900}.95,"status":{200 + number % 300},"elapsed":{10 + number % 90}.25,'
        f'"region":"{_REGIONS[number % 4]}"}},"event":"Order {number:08} placed'
    )
    return start + "." * (SIZE - 1 - len(start) - 2) + '"}'


def _plain(number: int) -> str:
    """One line as web servers write them; what varies in length is filled up at the end."""
    line = (
        f"198.51.100.{number % 256} - u{number * 7919 % 1_000_000:06} [22/Nov/2026:16:{number // 60 % 60:02}:"
        f'{number % 60:02} +0000] "GET /api/v1/{_PATHS[number % 6]}/{10_000_000 + number} HTTP/1.1" '
        f'{200 + number % 300} {1000 + number % 9000} "https://shop.example.com/checkout" '
        '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36" '
    )
    return line + "0" * (SIZE - 1 - len(line))


PREFIX: Final = 40  # bytes that a container runtime writes before a line


def container_lines(count: int) -> Iterator[bytes]:
    """Yield the JSON events as a container runtime writes them (CRI): a time, the stream, a tag, the line."""
    for number, event in enumerate(events("json", count)):
        second, part = divmod(number, 10_000)
        yield b"2026-11-22T16:%02d:%02d.%09dZ stdout F " % (second // 60 % 60, second % 60, part * 100_003) + event


def container_chunks(*, lines: int, total: int) -> list[bytes]:
    """Build ``total`` bytes of lines of containers, in pieces of so many."""
    count = max(1, total // (lines * (SIZE + PREFIX)))
    stream = container_lines(lines * count)
    return [b"".join(next(stream) for _ in range(lines)) for _ in range(count)]


def chunks(shape: Shape, *, chunk: int, total: int) -> list[bytes]:
    """Build ``total`` bytes of events, cut into pieces of about ``chunk`` bytes; each holds whole events only."""
    per_chunk = max(1, chunk // SIZE)
    count = max(1, total // (per_chunk * SIZE))
    stream = events(shape, per_chunk * count)
    return [b"".join(next(stream) for _ in range(per_chunk)) for _ in range(count)]

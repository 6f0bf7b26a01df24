"""Gauges and histograms as metrics (opentelemetry.proto.metrics.v1), units by UCUM as the semantic conventions ask.

https://opentelemetry.io/docs/specs/otel/metrics/data-model/ and https://ucum.org/ucum
"""

import bisect
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rutta.events import units
from rutta.events.event import Event, Gauge, Unit
from rutta.net.protobuf import FIXED64, NUMBER, field, tag_of
from rutta.otlp.resources import Split
from rutta.otlp.values import attributes, encoded

_NAME, _UNIT, _GAUGE, _HISTOGRAM, _POINT = map(tag_of, (1, 3, 5, 9, 1))
_TEMPORALITY: Final = tag_of(2, NUMBER)
_TIME, _DOUBLE, _WHOLE = tag_of(3, FIXED64), tag_of(4, FIXED64), tag_of(6, FIXED64)
_COUNT, _SUM, _COUNTS, _BOUNDS = tag_of(4, FIXED64), tag_of(5, FIXED64), tag_of(6), tag_of(7)
_GAUGE_ATTRIBUTE, _HISTOGRAM_ATTRIBUTE = tag_of(7), tag_of(9)
TEMPORALITIES: Final[Mapping[str, bytes]] = {"Delta": b"\1", "Cumulative": b"\2"}

_INT64: Final = range(-(2**63), 2**63)
_fixed: Final = struct.Struct("<q").pack
_unsigned: Final = struct.Struct("<Q").pack
_double: Final = struct.Struct("<d").pack

_CODES: Final[Mapping[str, str]] = {
    "bits": "bit", "bytes": "By", "seconds": "s", "metres": "m", "scalar": "1", "amperes": "A", "kelvins": "K",
    "moles": "mol", "candelas": "cd", "percent": "1", "watts": "W", "hertz": "Hz", "joules": "J", "grams": "g",
}  # fmt: skip
_PREFIXES: Final[Mapping[float, str]] = {1e3: "m", 1e6: "u", 1e9: "n", 1e12: "p", 1e-3: "k", 1e-6: "M", 1e-9: "G"}
_PREFIXED: Final = frozenset({"bits", "bytes", "seconds", "metres", "amperes", "watts", "hertz", "joules", "grams"})


class Point(NamedTuple):
    """One data point: ``head`` is the Metric up to its data, the same for all points of a metric; ``data`` is its own.

    Points of one head stand in one Metric: ``wrap`` makes it.
    """

    head: bytes
    data: bytes
    wrap: Callable[[bytes, Sequence[bytes]], bytes]


def gauges(event: Event, labels: Sequence[tuple[str, Any]]) -> list[Point]:
    """Return a point for each gauge that rides on an event; only ``labels`` become attributes, the rest is its log's.

    A gauge that holds a text is no number and gives no point.
    """
    return [
        _gauge(name or "gauge", gauge, event.timestamp, labels)
        for name, gauge in event.gauges.items()
        if not isinstance(gauge.value, str)
    ]


def gauge(event: Event, split: Split) -> list[Point]:
    """Return the point of an event of kind gauge (labels, fields and context are attributes), and what rides on it."""
    own = list(_labels(event, split))
    found = gauges(event, own)
    if event.gauge is not None:
        found.insert(0, _gauge(event.name or "gauge", event.gauge, event.timestamp, own))
    return found


def is_number(event: Event) -> bool:
    """Whether a metric can say what an event of kind gauge measures."""
    return event.gauge is not None and not isinstance(event.gauge.value, str)


def histogram(event: Event, split: Split, temporality: str) -> list[Point]:
    """Return the point of an event of kind histogram, and what rides on it.

    Buckets are those of the original: upper bound to the count between it and the bound before. The last is open in
    OTLP; it is empty unless a bound is infinite. Counts are whole there, so fractions are rounded.
    """
    own = list(_labels(event, split))
    bounds, counts = _buckets(event.buckets)
    data = b"".join([
        _time(event.timestamp), _COUNT, _unsigned(sum(counts)), _SUM, _double(units.as_number(event.sum)),
        field(_COUNTS, struct.pack(f"<{len(counts)}Q", *counts)),
        field(_BOUNDS, struct.pack(f"<{len(bounds)}d", *bounds)),
        attributes(_HISTOGRAM_ATTRIBUTE, own),
    ])  # fmt: skip
    tail = _TEMPORALITY + TEMPORALITIES[temporality]
    head = field(_NAME, encoded(event.name or "histogram"))
    point = Point(head, data, lambda head, points: head + field(_HISTOGRAM, _points(points) + tail))
    return [point, *gauges(event, own)]


def _buckets(given: Mapping[str, float]) -> tuple[list[float], list[int]]:
    """Return the finite bounds in order, and one count more than these."""
    found: dict[float, int] = {}
    most = 2**63 // (len(given) + 1)
    for text, count in given.items():
        bound = float(text)
        found[bound] = found.get(bound, 0) + min(most, max(0, round(count)))
    bounds = sorted(bound for bound in found if math.isfinite(bound))
    counts = [0] * (len(bounds) + 1)
    for bound, count in found.items():
        counts[bisect.bisect_left(bounds, bound)] += count
    return bounds, counts


def _labels(event: Event, split: Split) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a point, the first of a name: labels, then fields, then context."""
    seen: set[str] = set()
    for values in (event.labels, event.fields, split.rest):
        for key, value in values.items():
            if key not in seen:
                seen.add(key)
                yield key, value


def _gauge(name: str, gauge: Gauge, time: int, labels: Sequence[tuple[str, Any]]) -> Point:
    value, unit = measured(gauge)
    if isinstance(value, int) and value in _INT64:
        number = _WHOLE + _fixed(value)
    else:
        number = _DOUBLE + _double(units.as_number(value))
    data = _time(time) + number + attributes(_GAUGE_ATTRIBUTE, labels)
    head = field(_NAME, encoded(name)) + (field(_UNIT, encoded(unit)) if unit else b"")
    return Point(head, data, _wrapped)


def _wrapped(head: bytes, points: Sequence[bytes]) -> bytes:
    return head + field(_GAUGE, _points(points))


def _points(points: Sequence[bytes]) -> bytes:
    return b"".join([field(_POINT, point) for point in points])


def _time(time: int) -> bytes:
    return _TIME + _unsigned(max(0, time))


def measured(gauge: Gauge) -> tuple[Any, str]:
    """Return the value and the unit as UCUM writes it; what it has no code for is an annotation: ``{requests}``.

    A scaled value stays as it is where a prefix says the same (``ns``), and is divided where none does.
    """
    value, unit = gauge.value, gauge.unit
    if unit.kind == "scaled":
        inner = unit.of[0]
        prefix = _PREFIXES.get(unit.number)
        if prefix is not None and inner.kind in _PREFIXED:
            return value, prefix + _CODES[inner.kind]
        return (units.as_number(value) / unit.number if unit.number else value), code(inner)
    return value, code(unit)


def code(unit: Unit) -> str:
    """Write a unit by UCUM."""
    match unit.kind:
        case "mul":
            return f"{code(unit.of[0])}.{code(unit.of[1])}"
        case "div":
            return f"{code(unit.of[0])}/{code(unit.of[1])}"
        case "pow" if float(unit.number).is_integer() and unit.of[0].kind in _CODES:
            return f"{code(unit.of[0])}{unit.number:.0f}"
    return _CODES.get(unit.kind) or _annotation(units.symbol(unit))


def _annotation(text: str) -> str:
    """Braces hold printable ASCII without braces."""
    inside = "".join(char for char in text if "!" <= char <= "~" and char not in "{}")
    return f"{{{inside}}}" if inside else ""
